//! Values as JSON with a format version, so that `etcdctl get` shows what a person can read.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The format that this version writes. It grows only when an older reader would go wrong.
pub const FORMAT: u32 = 1;

/// Why a value cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// A later version of Flota wrote it.
    #[error("value has format {found}, this version reads up to format {FORMAT}: upgrade flota on this machine")]
    Newer {
        /// The value's format.
        found: u32,
    },
    /// It is not what the key should hold.
    #[error("value is damaged")]
    Damaged(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u32,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

/// Encodes `value` (a struct) as one JSON object that begins with its format version.
///
/// # Panics
/// Never for the types of this crate: their maps have string keys and they hold no floats.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "serialising these structs into memory has no way to fail")]
    serde_json::to_vec(&Versioned { v: FORMAT, body: value }).expect("structs with string keys serialise")
}

/// Decodes what [`encode`] wrote. Fields that this version does not know are passed over: an older reader
/// meets a newer writer during every rolling upgrade.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let VersionOnly { v } = serde_json::from_slice(bytes)?;
    if v > FORMAT {
        return Err(CodecError::Newer { found: v });
    }
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DesiredState, DesiredUnit};

    fn unit() -> DesiredUnit {
        DesiredUnit {
            hash: "1c6fb6f3684bafb0c173d8b8b957ceff031180c1".parse().unwrap(),
            desired: DesiredState::Launched,
        }
    }

    #[test]
    fn a_value_is_readable_json() {
        let text = String::from_utf8(encode(&unit())).unwrap();
        assert_eq!(text, r#"{"v":1,"hash":"1c6fb6f3684bafb0c173d8b8b957ceff031180c1","desired":"launched"}"#);
        assert_eq!(decode::<DesiredUnit>(text.as_bytes()).unwrap(), unit());
    }

    #[test]
    fn an_unknown_field_of_the_same_format_is_passed_over() {
        let text = r#"{"v":1,"hash":"1c6fb6f3684bafb0c173d8b8b957ceff031180c1","desired":"launched","later":1}"#;
        assert_eq!(decode::<DesiredUnit>(text.as_bytes()).unwrap(), unit());
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let error = decode::<DesiredUnit>(br#"{"v":2}"#).unwrap_err();
        assert!(matches!(error, CodecError::Newer { found: 2 }), "{error}");
    }

    #[test]
    fn garbage_is_damaged_not_a_panic() {
        for bytes in [&b""[..], b"{", b"[]", b"\xff", br#"{"v":1}"#] {
            assert!(matches!(decode::<DesiredUnit>(bytes), Err(CodecError::Damaged(_))));
        }
    }
}
