//! Go's package `fmt`: how values become text.

use crate::value::Value;

/// The operands as Go's `Sprint` writes them.
pub(crate) fn print(operands: &[Value]) -> Vec<u8> {
    operands.iter().flat_map(|operand| format!("{operand:?}").into_bytes()).collect()
}

/// A Go string literal.
pub(crate) fn quote(text: &str) -> String {
    format!("{text:?}")
}
