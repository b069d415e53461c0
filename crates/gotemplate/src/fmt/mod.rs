//! Go's package `fmt`: how values become text.

mod composite;
mod float;
mod format;
mod integer;
mod pad;
mod printer;
mod quoting;
mod string;

pub(crate) use format::printf;
pub(crate) use quoting::{is_printable, quote, quote_bytes, unicode};

use crate::value::Value;
use printer::Printer;

/// The operands as Go's `Sprint` writes them: a space between two of which none is a string.
pub(crate) fn print(operands: &[Value]) -> Vec<u8> {
    let mut printer = Printer::default();
    let mut after_string = true;
    for operand in operands {
        let is_string = matches!(operand, Value::Str(_));
        if !is_string && !after_string {
            printer.out.push(b' ');
        }
        printer.value(operand, 'v', 0);
        after_string = is_string;
    }
    printer.out
}

/// The operands as Go's `Sprintln` writes them.
pub(crate) fn println(operands: &[Value]) -> Vec<u8> {
    let mut printer = Printer::default();
    for (index, operand) in operands.iter().enumerate() {
        if index > 0 {
            printer.out.push(b' ');
        }
        printer.value(operand, 'v', 0);
    }
    printer.out.push(b'\n');
    printer.out
}

/// One value under a verb such as `s`, without flags.
pub(crate) fn with_verb(value: &Value, verb: char) -> String {
    let mut printer = Printer::default();
    printer.value(value, verb, 0);
    String::from_utf8_lossy(&printer.out).into_owned()
}
