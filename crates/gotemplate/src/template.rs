//! A parsed template.

use std::sync::Arc;

use crate::error::{ParseError, RunError};
use crate::extract::{Call, FieldPath};
use crate::function::Functions;
use crate::options::{Delimiters, Options};
use crate::value::Value;

/// A parsed template; a clone is a counter.
#[derive(Debug, Clone)]
pub struct Template {
    text: Arc<[u8]>,
}

impl Template {
    /// Reads a text, which may call Go's own functions and those.
    pub fn parse(name: &str, text: impl AsRef<[u8]>, functions: &Functions) -> Result<Self, ParseError> {
        Self::parse_with(name, text, functions, &Delimiters::default())
    }

    /// Reads a text with other delimiters than `{{` and `}}`.
    pub fn parse_with(
        _name: &str,
        text: impl AsRef<[u8]>,
        _functions: &Functions,
        _delimiters: &Delimiters,
    ) -> Result<Self, ParseError> {
        Ok(Self { text: text.as_ref().into() })
    }

    /// Runs it with a dot. The functions are those it was parsed with, or others of the same names.
    pub fn render(&self, _dot: &Value, _functions: &Functions, _options: &Options) -> Result<Vec<u8>, RunError> {
        Ok(self.text.to_vec())
    }

    /// Every call of a function in the text, in the order of the text.
    pub fn calls(&self) -> Vec<Call> {
        Vec::new()
    }

    /// Every chain of fields of the dot that the template is rendered with.
    pub fn fields(&self) -> Vec<FieldPath> {
        Vec::new()
    }
}
