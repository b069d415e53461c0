//! Functions of structured data: JSON, maps, base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flota_gotemplate::{FuncError, Functions, MAX_VALUE_DEPTH, Map, Signature, Str, Type, Value};

use super::arguments::{error, items, strings, text, utf8};

/// Adds them.
pub(super) fn add(functions: &mut Functions) {
    functions.insert("json", strings(1), |args| match parse(&utf8(args, 0))? {
        object @ serde_json::Value::Object(_) => Ok(from_json(object)),
        // Go leaves the map as it is.
        serde_json::Value::Null => Ok(Map::new(Type::Any, BTreeMap::new()).into()),
        other => Err(unfit(&other, "map[string]interface {}")),
    });
    functions.insert("jsonArray", strings(1), |args| match parse(&utf8(args, 0))? {
        array @ serde_json::Value::Array(_) => Ok(from_json(array)),
        serde_json::Value::Null => Ok(Vec::<Value>::new().into()),
        other => Err(unfit(&other, "[]interface {}")),
    });
    functions.insert("fromJson", strings(1), |args| Ok(from_json(parse(&utf8(args, 0))?)));
    functions.insert("toJson", Signature::new([Type::Any]), |args| Ok(to_json(&args[0], 0)?.to_string().into()));
    functions.insert("toPrettyJson", Signature::new([Type::Any]), |args| {
        let pretty = serde_json::to_string_pretty(&to_json(&args[0], 0)?);
        pretty.map(Value::from).map_err(|wrong| error(wrong.to_string()))
    });
    functions.insert("map", Signature::new([]).variadic(Type::Any), dictionary);
    functions.insert("dict", Signature::new([]).variadic(Type::Any), dictionary);
    functions.insert("list", Signature::new([]).variadic(Type::Any), |args| Ok(args.to_vec().into()));
    functions.insert("hasKey", Signature::new([Type::Any, Type::Str]), |args| {
        Ok(args[0].as_map().is_some_and(|map| map.get(&utf8(args, 1)).is_some()).into())
    });
    functions.insert("keys", Signature::new([Type::Any]), |args| {
        let keys = args[0].as_map().map(|map| map.entries().keys().cloned().map(Value::Str).collect());
        Ok(keys.unwrap_or_else(Vec::new).into())
    });
    functions.insert("values", Signature::new([Type::Any]), |args| {
        Ok(args[0].as_map().map_or_else(Vec::new, |map| map.entries().values().cloned().collect()).into())
    });
    functions.insert("base64Encode", strings(1), |args| Ok(STANDARD.encode(text(args, 0).as_bytes()).into()));
    functions.insert("base64Decode", strings(1), |args| decoded(&text(args, 0)));
    choices(functions);
}

fn choices(functions: &mut Functions) {
    functions.insert("empty", Signature::new([Type::Any]), |args| Ok((!args[0].is_true()).into()));
    functions.insert("default", Signature::new([Type::Any, Type::Any]), |args| {
        Ok(if args[1].is_true() { args[1].clone() } else { args[0].clone() })
    });
    functions.insert("coalesce", Signature::new([]).variadic(Type::Any), |args| {
        Ok(args.iter().find(|value| value.is_true()).cloned().unwrap_or_default())
    });
    functions.insert("ternary", Signature::new([Type::Any, Type::Any, Type::Bool]), |args| {
        Ok(if args[2].is_true() { args[0].clone() } else { args[1].clone() })
    });
}

fn dictionary(args: &[Value]) -> Result<Value, FuncError> {
    if !args.len().is_multiple_of(2) {
        return Err(error("invalid map call"));
    }
    let mut entries = BTreeMap::new();
    for pair in args.chunks_exact(2) {
        let Value::Str(key) = &pair[0] else { return Err(error("map keys must be strings")) };
        entries.insert(key.clone(), pair[1].clone());
    }
    Ok(entries.into())
}

/// Line ends within the text do not count, as in Go.
fn decoded(encoded: &Str) -> Result<Value, FuncError> {
    let joined: Vec<u8> = encoded.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    match STANDARD.decode(&joined) {
        Ok(bytes) => Ok(Str::from(bytes).into()),
        Err(base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _)) => {
            Err(error(format!("illegal base64 data at input byte {at}")))
        }
        // Go points at the beginning of the group of four that is not whole.
        Err(_) => Err(error(format!("illegal base64 data at input byte {}", joined.len() / 4 * 4))),
    }
}

fn parse(text: &str) -> Result<serde_json::Value, FuncError> {
    serde_json::from_str(text).map_err(|wrong| error(format!("invalid JSON: {wrong}")))
}

fn unfit(value: &serde_json::Value, wanted: &str) -> FuncError {
    let kind = match value {
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::Bool(_) => "bool",
        serde_json::Value::Null => "null",
    };
    error(format!("json: cannot unmarshal {kind} into Go value of type {wanted}"))
}

/// Numbers become `float64`, as in Go.
fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => value.into(),
        serde_json::Value::Number(number) => number.as_f64().unwrap_or(f64::NAN).into(),
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => items.into_iter().map(from_json).collect::<Vec<_>>().into(),
        serde_json::Value::Object(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (Str::from(key), from_json(value)));
            entries.collect::<BTreeMap<_, _>>().into()
        }
    }
}

fn to_json(value: &Value, depth: usize) -> Result<serde_json::Value, FuncError> {
    if depth > MAX_VALUE_DEPTH {
        return Err(error("too deep"));
    }
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Uint(value) => (*value).into(),
        Value::Byte(value) => (*value).into(),
        // Go writes a whole number without a fraction.
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => (*value as i64).into(),
        Value::Float(value) => (*value).into(),
        Value::Str(text) => text.lossy().into_owned().into(),
        Value::List(_) => {
            let list = items(std::slice::from_ref(value), 0).iter().map(|item| to_json(item, depth + 1));
            list.collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Map(map) => {
            let mut object = serde_json::Map::new();
            for (key, value) in map.entries() {
                object.insert(key.lossy().into_owned(), to_json(value, depth + 1)?);
            }
            object.into()
        }
        Value::Object(object) => {
            let mut fields = serde_json::Map::new();
            for (name, value) in object.fields() {
                fields.insert(name.to_owned(), to_json(&value, depth + 1)?);
            }
            fields.into()
        }
        Value::Func(_) => return Err(error("json: unsupported type: func")),
    })
}
