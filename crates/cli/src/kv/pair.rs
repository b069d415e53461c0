//! A key with its value, as people and programs see it.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use etcd_client::KeyValue;
use serde::Serialize;

use super::LeaseNumber;

/// A key as JSON: text where it is text, base64 where it is not.
#[derive(Debug, Default, Serialize)]
pub struct Pair {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    create_revision: i64,
    mod_revision: i64,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
}

impl Pair {
    /// A key with its value; without it where only keys were asked for.
    pub fn new(pair: &KeyValue, with_value: bool) -> Pair {
        let (key, key_base64) = text_or_base64(pair.key());
        let (value, value_base64) = if with_value { text_or_base64(pair.value()) } else { (None, None) };
        Pair {
            key,
            key_base64,
            value,
            value_base64,
            create_revision: pair.create_revision(),
            mod_revision: pair.mod_revision(),
            version: pair.version(),
            lease: (pair.lease() != 0).then(|| LeaseNumber(pair.lease()).to_string()),
        }
    }
}

fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// Bytes as one line of text: what is not text, or would end the line, is escaped.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() { text.extend(character.escape_default()) } else { text.push(character) }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_whatever_the_bytes() {
        assert_eq!(shown("ñandú 10.0.0.1:80".as_bytes()), "ñandú 10.0.0.1:80");
        assert_eq!(shown(b"a\nb\tc\xff\0"), "a\\nb\\tc\\xff\\u{0}");
    }
}
