//! The corpus: templates, and what Go makes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One file of the corpus.
#[derive(Debug, Deserialize, Serialize)]
pub struct Corpus {
    /// The data of the cases that have none of their own, in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The keys that confd's functions read, in a file of cases of theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<BTreeMap<String, String>>,
    /// The environment that confd's functions read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    pub case: Vec<Case>,
}

/// One template.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub template: String,
    /// In JSON. An object whose one key starts with a dollar sign is what the key says (`functions.rs`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_key: Option<String>,
    /// Delimiters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// The version of Go that does this, where Debian's is older: such a case was not verified by Go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<String>,
    /// Why the outcome is not Go's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<String>,
    /// The output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub want: Option<String>,
    /// The output in hexadecimal digits, where it is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub want_hex: Option<String>,
    /// The error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Case {
    /// Whether Debian's Go says what the outcome is.
    pub fn is_for_go(&self) -> bool {
        self.newer.is_none() && self.differs.is_none()
    }

    /// What is wanted: output, or an error.
    pub fn outcome(&self) -> Result<Vec<u8>, String> {
        match (&self.want, &self.want_hex, &self.error) {
            (Some(want), None, None) => Ok(want.clone().into_bytes()),
            (None, Some(digits), None) => Ok(unhex(digits)),
            (None, None, Some(error)) => Err(error.clone()),
            _ => panic!("{}: exactly one of want, want_hex and error must be there", self.name),
        }
    }

    pub fn set_outcome(&mut self, outcome: Result<Vec<u8>, String>) {
        (self.want, self.want_hex, self.error) = (None, None, None);
        match outcome.map(String::from_utf8) {
            Ok(Ok(text)) => self.want = Some(text),
            Ok(Err(bytes)) => {
                let digits: Vec<_> = bytes.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                self.want_hex = Some(digits.concat());
            }
            Err(error) => self.error = Some(error),
        }
    }
}

/// Bytes from hexadecimal digits.
pub fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// All files of this crate's corpus.
pub const FILES: &[(&str, &str)] = &[
    ("actions", include_str!("../corpus/actions.toml")),
    ("blocks", include_str!("../corpus/blocks.toml")),
    ("builtins", include_str!("../corpus/builtins.toml")),
    ("comparison", include_str!("../corpus/comparison.toml")),
    ("literals", include_str!("../corpus/literals.toml")),
    ("newer", include_str!("../corpus/newer.toml")),
    ("objects", include_str!("../corpus/objects.toml")),
    ("parse_errors", include_str!("../corpus/parse_errors.toml")),
    ("printf", include_str!("../corpus/printf.toml")),
    ("run_errors", include_str!("../corpus/run_errors.toml")),
];

pub fn read(name: &str, text: &str) -> Corpus {
    let mut corpus: Corpus = toml::from_str(text).unwrap_or_else(|error| panic!("{name}.toml: {error}"));
    for case in &mut corpus.case {
        case.data = case.data.take().or_else(|| corpus.data.clone());
    }
    corpus
}
