//! Diagnostics: what is wrong in a unit file, where, and what to write instead.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::lex;

/// How many problems of one file are told; one more entry then says that there are others.
pub const MAX_DIAGNOSTICS: usize = 20;

/// How much of a source line is shown around the column, in characters.
const MAX_EXCERPT_CHARS: usize = 120;

/// How much of the user's text a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// A place in a unit file. Both count from 1; the column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The line; 0 stands for the whole file.
    pub line: u32,
    /// The column; 0 stands for the whole line.
    pub column: u32,
}

/// One problem in a unit file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The line, from 1; 0 stands for the whole file.
    pub line: u32,
    /// The column in characters, from 1; 0 stands for the whole line.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The text of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_line: Option<String>,
}

impl Diagnostic {
    /// A problem of the file as a whole.
    pub fn whole_file(message: impl Into<String>) -> Self {
        Self { line: 0, column: 0, message: message.into(), hint: None, source_line: None }
    }

    /// The same problem with advice.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The problem as a person reads it in a terminal: place, message, source line with a caret, hint.
    pub fn render(&self, path: &str) -> String {
        let mut out = match self.line {
            0 => format!("{path}: error: {}\n", self.message),
            line => format!("{path}:{line}:{}: error: {}\n", self.column, self.message),
        };
        if let (Some(source), true) = (&self.source_line, self.line > 0) {
            let (excerpt, caret) = excerpt(source, self.column);
            let _ = write!(out, "  {excerpt}\n  {:caret$}^\n", "");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "hint: {hint}");
        }
        out
    }
}

/// The part of a line that shows its column, and how many characters stand before the caret.
fn excerpt(source: &str, column: u32) -> (String, usize) {
    let before = (column as usize).saturating_sub(1);
    let start = if before < MAX_EXCERPT_CHARS { 0 } else { before - MAX_EXCERPT_CHARS / 2 };
    // A tab would move the caret, and a control character could drive the terminal.
    let text =
        source.chars().skip(start).take(MAX_EXCERPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    (text, before - start)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// A piece of the user's text as a message can repeat it: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == MAX_SHOWN_CHARS {
            out.push_str("...");
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The problems found so far in one text, at most [`MAX_DIAGNOSTICS`] and a closing remark.
pub(crate) struct Findings<'a> {
    text: &'a str,
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, list: Vec::new(), dropped: 0 }
    }

    pub(crate) fn push(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        if self.list.len() == MAX_DIAGNOSTICS {
            self.dropped += 1;
            return;
        }
        self.list.push(Diagnostic {
            line: span.line,
            column: span.column,
            message: message.into(),
            hint,
            source_line: lex::line_at(self.text, span.line).map(str::to_owned),
        });
    }

    pub(crate) fn into_result<T>(mut self, value: T) -> Result<T, Vec<Diagnostic>> {
        if self.list.is_empty() {
            return Ok(value);
        }
        self.list.sort_by_key(|finding| (finding.line, finding.column));
        if self.dropped > 0 {
            self.list.push(Diagnostic::whole_file(format!("{} more problems", self.dropped)));
        }
        Err(self.list)
    }
}
