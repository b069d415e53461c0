//! What is wrong with a template, in Go's words.

/// A template that cannot be read. `template: NAME:LINE: MESSAGE`, as Go prints it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}: {message}")]
pub struct ParseError {
    /// The name that the template was given, most often its file's.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 0, which Go does not print.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A template that failed while it was rendered.
/// `template: NAME:LINE:COLUMN: executing "TEMPLATE" at <NODE>: MESSAGE`, as Go prints it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}:{column}: executing {} at <{node}>: {message}", crate::fmt::quote(template))]
pub struct RunError {
    /// The name that the whole text was given, most often its file's.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 0, as Go counts.
    pub column: usize,
    /// The template that ran: the text's name, or that of a `define` in it.
    pub template: String,
    /// The part of the template that failed.
    pub node: String,
    /// What is wrong.
    pub message: String,
}
