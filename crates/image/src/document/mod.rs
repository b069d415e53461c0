//! Text that people wrote, YAML or TOML, as values that know their place; and what is wrong with it, all of it.

mod fields;
mod toml;
mod yaml;

pub use fields::Fields;
pub use toml::parse as parse_toml;
pub use yaml::parse as parse_yaml;

use std::fmt;

/// The largest text that is read, in bytes: what clouds allow for user-data is far below.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// A place in a text; line and column count from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// Something that a person should know about a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where.
    pub at: Place,
    /// What.
    pub message: String,
}

impl Finding {
    /// One finding.
    pub fn new(at: Place, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.at.line, self.at.column, self.message)
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, as YAML's `~` or a key without a value.
    Null,
    /// A text, a number or a truth value.
    Scalar {
        /// As it is written, without its quotes.
        text: String,
        /// It had quotes, so that it is a text whatever it looks like.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys with their places, in the order of the text.
    Map(Vec<(String, Place, Node)>),
}

impl Node {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a table of keys",
        }
    }
}

/// The known name that is most like this one, if one is at all.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = name.replace('-', "_");
    let distances =
        known.iter().map(|candidate| (strsim::osa_distance(&name, &candidate.replace('-', "_")), *candidate));
    let near = distances.filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3)).min();
    near.map(|(_, candidate)| candidate)
}
