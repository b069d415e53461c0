//! A parsed template.

use std::sync::Arc;

use crate::error::{ParseError, RunError};
use crate::exec::{Source, render};
use crate::extract::{Call, FieldPath, calls, fields};
use crate::function::Functions;
use crate::options::{Delimiters, Options};
use crate::parse::{Parsed, parse};
use crate::value::Value;

/// A parsed template; a clone is a counter.
#[derive(Debug, Clone)]
pub struct Template {
    name: Arc<str>,
    text: Arc<[u8]>,
    parsed: Arc<Parsed>,
}

impl Template {
    /// Reads a text, which may call Go's own functions and those. The name is for messages.
    pub fn parse(name: &str, text: impl AsRef<[u8]>, functions: &Functions) -> Result<Self, ParseError> {
        Self::parse_with(name, text, functions, &Delimiters::default())
    }

    /// Reads a text with other delimiters than `{{` and `}}`.
    pub fn parse_with(
        name: &str,
        text: impl AsRef<[u8]>,
        functions: &Functions,
        delimiters: &Delimiters,
    ) -> Result<Self, ParseError> {
        let text = text.as_ref();
        let parsed = parse(name, text, functions, delimiters)?;
        Ok(Self { name: name.into(), text: text.into(), parsed: Arc::new(parsed) })
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs it with a dot. The functions are those it was parsed with, or others of the same names.
    pub fn render(&self, dot: &Value, functions: &Functions, options: &Options) -> Result<Vec<u8>, RunError> {
        render(self.source(), &self.parsed, dot, functions, options)
    }

    /// Every call of a function in the text, of each template in the order of its text.
    pub fn calls(&self) -> Vec<Call> {
        calls(self.source(), &self.parsed)
    }

    /// Every chain of fields of the dot that the template is rendered with, in the order of the text.
    pub fn fields(&self) -> Vec<FieldPath> {
        fields(self.source(), &self.parsed)
    }

    fn source(&self) -> Source<'_> {
        Source { name: &self.name, text: &self.text }
    }
}
