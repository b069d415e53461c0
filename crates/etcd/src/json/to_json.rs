//! From the wire to JSON: etcd's own field names, 64-bit numbers as strings, bytes in base64, and nothing that is zero.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::schema::{Field, Kind, Message};
use super::wire::{Malformed, Reader, Value};

/// Messages inside messages, at most; deeper ones are refused as malformed. A transaction takes two for each level of its own.
const MAX_DEPTH: usize = 300;

/// The JSON of a message.
pub(super) fn message(bytes: &[u8], message: &Message) -> Result<String, Malformed> {
    let mut out = String::new();
    put_message(&mut out, bytes, message, 0)?;
    Ok(out)
}

fn put_message(out: &mut String, bytes: &[u8], message: &Message, depth: usize) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    // The wire has any order, JSON that of the definition.
    let mut found: Vec<Vec<Value<'_>>> = vec![Vec::new(); message.fields.len()];
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        if let Some(at) = message.fields.iter().position(|field| u64::from(field.number) == number) {
            found[at].push(value);
        }
    }
    out.push('{');
    let mut comma = "";
    for (field, values) in message.fields.iter().zip(&found) {
        let mut text = String::new();
        put_field(&mut text, field, values, depth)?;
        if !text.is_empty() {
            let _ = write!(out, "{comma}\"{}\":{text}", field.name);
            comma = ",";
        }
    }
    out.push('}');
    Ok(())
}

/// Nothing for a field that is not shown.
fn put_field(out: &mut String, field: &Field, values: &[Value<'_>], depth: usize) -> Result<(), Malformed> {
    if !field.many {
        return match values.last() {
            Some(value) if field.choice || !is_zero(field.kind, *value) => put_value(out, field.kind, *value, depth),
            _ => Ok(()),
        };
    }
    let mut comma = '[';
    for value in values {
        for value in unpacked(field.kind, *value)? {
            out.push(comma);
            put_value(out, field.kind, value, depth)?;
            comma = ',';
        }
    }
    if comma == ',' {
        out.push(']');
    }
    Ok(())
}

/// Numbers may come many in one.
fn unpacked(kind: Kind, value: Value<'_>) -> Result<Vec<Value<'_>>, Malformed> {
    let is_number = !matches!(kind, Kind::Bytes | Kind::String | Kind::Message(_));
    let Value::Bytes(bytes) = value else { return Ok(vec![value]) };
    if !is_number {
        return Ok(vec![value]);
    }
    let mut reader = Reader::new(bytes);
    let mut numbers = Vec::new();
    while let Some(number) = reader.packed()? {
        numbers.push(Value::Number(number));
    }
    Ok(numbers)
}

/// A message is never zero: it is there or not.
fn is_zero(kind: Kind, value: Value<'_>) -> bool {
    match value {
        Value::Number(number) => number == 0,
        Value::Bytes(bytes) => bytes.is_empty() && !matches!(kind, Kind::Message(_)),
    }
}

fn put_value(out: &mut String, kind: Kind, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
    match (kind, value) {
        (Kind::Message(inner), Value::Bytes(bytes)) => return put_message(out, bytes, inner, depth + 1),
        (Kind::Bytes, Value::Bytes(bytes)) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
        (Kind::String, Value::Bytes(bytes)) => quote(out, &String::from_utf8_lossy(bytes)),
        (Kind::Bool, Value::Number(number)) => out.push_str(if number == 0 { "false" } else { "true" }),
        (Kind::Int64, Value::Number(number)) => _ = write!(out, "\"{}\"", number as i64),
        (Kind::Uint64, Value::Number(number)) => _ = write!(out, "\"{number}\""),
        (Kind::Uint32, Value::Number(number)) => _ = write!(out, "{}", number as u32),
        (Kind::Enum(names), Value::Number(number)) => {
            match usize::try_from(number).ok().and_then(|number| names.values.get(number)) {
                Some(name) => _ = write!(out, "\"{name}\""),
                None => _ = write!(out, "{}", number as i32),
            }
        }
        _ => return Err(Malformed),
    }
    Ok(())
}

/// A string as Go writes it, safe to stand in HTML too.
pub(super) fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::schema::{RANGE_RESPONSE, STATUS_RESPONSE, TXN_RESPONSE, WATCH_RESPONSE};
    use super::*;
    use etcd_client::proto::{
        PbEvent, PbKeyValue, PbPutResponse, PbRangeResponse, PbResponseHeader, PbResponseOp, PbStatusResponse,
        PbTxnOpResponse, PbTxnResponse, PbWatchResponse,
    };
    use prost::Message as _;

    #[test]
    fn zeros_are_left_out_and_large_numbers_are_strings() {
        let kv = PbKeyValue { key: b"foo".to_vec(), create_revision: 2, mod_revision: 2, ..PbKeyValue::default() };
        let header = Some(PbResponseHeader { cluster_id: u64::MAX, revision: -1, ..PbResponseHeader::default() });
        let range = PbRangeResponse { header, kvs: vec![kv], more: true, count: 0 };
        assert_eq!(
            message(&range.encode_to_vec(), &RANGE_RESPONSE).unwrap(),
            r#"{"header":{"cluster_id":"18446744073709551615","revision":"-1"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2"}],"more":true}"#
        );
        assert_eq!(message(&[], &RANGE_RESPONSE).unwrap(), "{}");
    }

    #[test]
    fn enums_have_names_and_empty_messages_are_shown() {
        let event = PbEvent { r#type: 1, kv: Some(PbKeyValue::default()), prev_kv: None };
        let watch = PbWatchResponse { watch_id: -1, events: vec![event], ..PbWatchResponse::default() };
        assert_eq!(
            message(&watch.encode_to_vec(), &WATCH_RESPONSE).unwrap(),
            r#"{"watch_id":"-1","events":[{"type":"DELETE","kv":{}}]}"#
        );
        let put = PbResponseOp { response: Some(PbTxnOpResponse::ResponsePut(PbPutResponse::default())) };
        let txn = PbTxnResponse { responses: vec![put], ..PbTxnResponse::default() };
        assert_eq!(message(&txn.encode_to_vec(), &TXN_RESPONSE).unwrap(), r#"{"responses":[{"response_put":{}}]}"#);
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        let errors = vec!["a<b>&\"\\\u{2028}\n\u{1}é".to_owned()];
        let status = PbStatusResponse { errors, ..PbStatusResponse::default() };
        assert_eq!(
            message(&status.encode_to_vec(), &STATUS_RESPONSE).unwrap(),
            r#"{"errors":["a\u003cb\u003e\u0026\"\\\u2028\n\u0001é"]}"#
        );
        assert_eq!(message(&[0x0a, 9], &STATUS_RESPONSE), Err(Malformed));
    }
}
