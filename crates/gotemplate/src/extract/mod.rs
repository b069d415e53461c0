//! What a template reads, found without running it.

use crate::value::{Str, Value};

/// An argument of a call, as far as it is known without running the template.
#[derive(Debug, Clone)]
pub enum Arg {
    /// A constant.
    Literal(Value),
    /// A string that starts so, as `printf "/app/%s" .` does.
    Prefix(Str),
    /// Known only when the template runs.
    Dynamic,
}

/// A call of a function in a template's text.
#[derive(Debug, Clone)]
pub struct Call {
    /// The function's name.
    pub function: String,
    /// Its arguments, with what comes through a pipe as the last one.
    pub args: Vec<Arg>,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 0.
    pub column: usize,
}

/// A chain of fields of the dot that a template is rendered with: `.a.b`, or `$.a.b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    /// The names of the fields.
    pub names: Vec<String>,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 0.
    pub column: usize,
}
