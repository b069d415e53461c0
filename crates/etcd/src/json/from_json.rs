//! From JSON to the wire, as lenient and as strict as the gateway of etcd; the words of its errors are Go's.

use base64::DecodeError;
use base64::alphabet::STANDARD;
use base64::engine::{Engine, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::schema::{Enum, Field, Kind, Message};
use super::wire::{put_bytes, put_number, put_varint};

/// Go's decoder does not mind the bits after the last whole byte.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Why a JSON value is not the message; told to the client as it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Invalid(String);

/// The bytes of `value` as a `message`. Fields that the message does not have are passed over, and so is `null`.
///
/// The recursion ends with the value's own depth, which the parser bounds (128).
pub(super) fn message(value: &Value, message: &Message) -> Result<Vec<u8>, Invalid> {
    let mut out = Vec::new();
    let object = match value {
        Value::Null => return Ok(out),
        Value::Object(object) => object,
        other => return Err(mismatch(other, "map[string]json.RawMessage")),
    };
    for field in message.fields {
        match find(object, field.name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) if field.many => put_many(&mut out, field, items)?,
            Some(other) if field.many => return Err(mismatch(other, "[]json.RawMessage")),
            Some(value) => put(&mut out, field, value)?,
        }
    }
    Ok(out)
}

/// A list: numbers packed, everything else one by one.
fn put_many(out: &mut Vec<u8>, field: &Field, items: &[Value]) -> Result<(), Invalid> {
    if matches!(field.kind, Kind::Bytes | Kind::String | Kind::Message(_)) {
        return items.iter().try_for_each(|item| put(out, field, item));
    }
    let mut packed = Vec::new();
    for item in items {
        put_varint(&mut packed, number(field.kind, item)?);
    }
    put_bytes(out, field.number, &packed);
    Ok(())
}

fn put(out: &mut Vec<u8>, field: &Field, value: &Value) -> Result<(), Invalid> {
    match field.kind {
        Kind::String => match value {
            Value::String(text) => put_bytes(out, field.number, text.as_bytes()),
            Value::Null => put_bytes(out, field.number, &[]),
            other => return Err(mismatch(other, "string")),
        },
        Kind::Bytes => match value {
            Value::String(text) => put_bytes(out, field.number, &base64(text)?),
            Value::Null => put_bytes(out, field.number, &[]),
            other => return Err(mismatch(other, "[]uint8")),
        },
        Kind::Message(inner) => put_bytes(out, field.number, &message(value, inner)?),
        kind => put_number(out, field.number, number(kind, value)?),
    }
    Ok(())
}

/// A number, a flag or a name, as its bits on the wire.
fn number(kind: Kind, value: &Value) -> Result<u64, Invalid> {
    match (kind, value) {
        (_, Value::Null) => Ok(0),
        (Kind::Bool, Value::Bool(flag)) => Ok(u64::from(*flag)),
        (Kind::Bool, other) => Err(mismatch(other, "bool")),
        (Kind::Enum(names), Value::String(name)) => named(names, name),
        (Kind::Enum(_), other) => integer(other, "int32", |n| i32::try_from(n).map(|n| i64::from(n) as u64).ok()),
        (Kind::Uint32, other) => integer(other, "uint32", |n| u32::try_from(n).map(u64::from).ok()),
        (Kind::Uint64, other) => integer(other, "uint64", |n| u64::try_from(n).ok()),
        (_, other) => integer(other, "int64", |n| i64::try_from(n).map(|n| n as u64).ok()),
    }
}

fn named(names: &Enum, name: &str) -> Result<u64, Invalid> {
    let found = names.values.iter().position(|value| *value == name);
    found.map(|n| n as u64).ok_or_else(|| Invalid(format!("unknown value {name:?} for enum {}", names.name)))
}

/// A number, or a string that holds one.
fn integer(value: &Value, kind: &str, fit: impl Fn(i128) -> Option<u64>) -> Result<u64, Invalid> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        other => return Err(mismatch(other, kind)),
    };
    let is_number = serde_json::from_str::<serde_json::Number>(&text).is_ok();
    match text.parse().ok().and_then(fit) {
        Some(bits) if is_number => Ok(bits),
        _ if is_number => Err(Invalid(format!("json: cannot unmarshal number {text} into Go value of type {kind}"))),
        _ => Err(Invalid(match text.chars().next() {
            None => "unexpected end of JSON input".to_owned(),
            Some(first) => format!("invalid character {first:?} looking for beginning of value"),
        })),
    }
}

fn base64(text: &str) -> Result<Vec<u8>, Invalid> {
    // Go passes over line breaks.
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    BASE64.decode(&text).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
        };
        Invalid(format!("illegal base64 data at input byte {at}"))
    })
}

fn mismatch(value: &Value, wanted: &str) -> Invalid {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Invalid(format!("json: cannot unmarshal {found} into Go value of type {wanted}"))
}

/// A field by its name or, which comes first, by its name in camel case.
fn find<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if !name.contains('_') {
        return object.get(name);
    }
    let mut camel = String::with_capacity(name.len());
    let mut parts = name.split('_');
    camel.extend(parts.next());
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    object.get(&camel).or_else(|| object.get(name))
}

#[cfg(test)]
mod tests {
    use super::super::schema::{RANGE_REQUEST, TXN_REQUEST, WATCH_REQUEST};
    use super::*;
    use etcd_client::proto::{PbRangeRequest, PbTxnRequest, PbWatchRequest};
    use prost::Message as _;

    fn encode(json: &str, of: &Message) -> Vec<u8> {
        message(&serde_json::from_str(json).unwrap(), of).unwrap()
    }

    #[test]
    fn names_and_numbers_are_read_in_both_spellings() {
        let text = r#"{"key":"Zm9v","rangeEnd":"Zm9w","limit":"7","revision":3,"sort_order":"DESCEND","sortTarget":4,
            "keys_only":true,"max_mod_revision":"9223372036854775807","unknown":{"a":[1]},"count_only":null}"#;
        let range = PbRangeRequest::decode(&*encode(text, &RANGE_REQUEST)).unwrap();
        assert_eq!((range.key.as_slice(), range.range_end.as_slice()), (&b"foo"[..], &b"fop"[..]));
        assert_eq!((range.limit, range.revision, range.sort_order, range.sort_target), (7, 3, 2, 4));
        assert_eq!((range.keys_only, range.max_mod_revision), (true, i64::MAX));
        let both =
            PbRangeRequest::decode(&*encode(r#"{"range_end":"YQ==","rangeEnd":"Yg=="}"#, &RANGE_REQUEST)).unwrap();
        assert_eq!(both.range_end, b"b");
    }

    #[test]
    fn messages_inside_messages_are_whole() {
        let text = r#"{"compare":[{"result":"EQUAL","target":"VALUE","key":"YQ==","value":"Yg=="}],
            "success":[{"requestPut":{"key":"YQ==","lease":"-1"}},{"request_txn":{"failure":[{"request_range":{}}]}}]}"#;
        let txn = PbTxnRequest::decode(&*encode(text, &TXN_REQUEST)).unwrap();
        assert_eq!((txn.compare.len(), txn.compare[0].target, txn.success.len()), (1, 3, 2));
        let watch = r#"{"create_request":{"filters":["NODELETE",0]}}"#;
        let watch = PbWatchRequest::decode(&*encode(watch, &WATCH_REQUEST)).unwrap();
        assert!(format!("{watch:?}").contains("filters: [Nodelete, Noput]"), "{watch:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused_in_gos_words() {
        for (json, error) in [
            ("[]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
            (r#"{"key":7}"#, "json: cannot unmarshal number into Go value of type []uint8"),
            (r#"{"key":"a"}"#, "illegal base64 data at input byte 1"),
            (r#"{"limit":"x"}"#, "invalid character 'x' looking for beginning of value"),
            (r#"{"limit":1.5}"#, "json: cannot unmarshal number 1.5 into Go value of type int64"),
            (
                r#"{"limit":"9223372036854775808"}"#,
                "json: cannot unmarshal number 9223372036854775808 into Go value of type int64",
            ),
            (r#"{"sort_order":"UP"}"#, "unknown value \"UP\" for enum etcdserverpb.RangeRequest_SortOrder"),
            (r#"{"keys_only":"true"}"#, "json: cannot unmarshal string into Go value of type bool"),
        ] {
            let refused = message(&serde_json::from_str(json).unwrap(), &RANGE_REQUEST).unwrap_err();
            assert_eq!(refused.to_string(), error, "{json}");
        }
    }
}
