//! The functions and values of the corpus; `tests/oracle/main.go` has the same ones in Go.

use std::collections::BTreeMap;
use std::sync::Arc;

use flota_gotemplate::{Function, Functions, List, Map, Object, Signature, Str, Type, Value};
use serde_json::Value as Json;

/// A struct.
#[derive(Debug)]
struct KvPair {
    key: Str,
    value: Str,
}

impl Object for KvPair {
    fn type_name(&self) -> &'static str {
        "main.KVPair"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Key" => Some(Value::Str(self.key.clone())),
            "Value" => Some(Value::Str(self.value.clone())),
            _ => None,
        }
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        vec![("Key", Value::Str(self.key.clone())), ("Value", Value::Str(self.value.clone()))]
    }
}

/// A value with methods.
#[derive(Debug)]
struct Clock {
    hour: i64,
}

impl Object for Clock {
    fn type_name(&self) -> &'static str {
        "main.Clock"
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        vec![("hour", Value::Int(self.hour))]
    }

    fn display(&self) -> Option<String> {
        Some(format!("{:02}:00", self.hour))
    }

    fn method(&self, name: &str) -> Option<Function> {
        let hour = self.hour;
        let none = || Signature::new([]);
        Some(match name {
            "String" => Function::new(none(), move |_| Ok(format!("{hour:02}:00").into())),
            "Add" => {
                Function::new(Signature::new([Type::Int]), move |args| Ok(clock(hour + args[0].as_int().unwrap())))
            }
            "Hour" => Function::new(none(), move |_| Ok(Value::Int(hour))),
            "Format" => Function::new(Signature::new([Type::Str]), move |args| {
                Ok(args[0].as_str().unwrap().replace("15", &hour.to_string()).into())
            }),
            "Fail" => Function::new(none(), |_| Err("the clock stands still".into())),
            _ => return None,
        })
    }
}

fn clock(hour: i64) -> Value {
    Arc::new(Clock { hour }).into()
}

pub fn pair(key: &str, value: &str) -> Value {
    Arc::new(KvPair { key: key.into(), value: value.into() }).into()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What the templates of the corpus can call.
pub fn functions() -> Functions {
    let mut functions = Functions::new();
    let none = || Signature::new([]);
    functions.insert("add", Signature::new([Type::Int, Type::Int]), |args| {
        Ok(Value::Int(args[0].as_int().unwrap() + args[1].as_int().unwrap()))
    });
    functions.insert("half", Signature::new([Type::Float]), |args| match args[0] {
        Value::Float(float) => Ok(Value::Float(float / 2.0)),
        _ => unreachable!("checked by the signature"),
    });
    functions.insert("either", Signature::new([Type::Bool, Type::Any, Type::Any]), |args| {
        Ok(args[if args[0].is_true() { 1 } else { 2 }].clone())
    });
    functions.insert("upper", Signature::new([Type::Str]), |args| Ok(text(&args[0]).to_uppercase().into()));
    functions.insert("fail", Signature::new([Type::Str]), |args| Err(text(&args[0]).into()));
    functions.insert("nothing", none(), |_| Ok(Value::Nil));
    functions.insert("anys", none().variadic(Type::Any), |args| Ok(args.to_vec().into()));
    functions
        .insert("strings", none().variadic(Type::Str), |args| Ok(args.iter().map(text).collect::<Vec<_>>().into()));
    functions.insert("join", Signature::new([Type::list(Type::Str), Type::Str]), |args| {
        let items: Vec<_> = args[0].as_list().unwrap().items().iter().map(text).collect();
        Ok(items.join(&text(&args[1])).into())
    });
    functions.insert("size", Signature::new([Type::map(Type::Any)]), |args| {
        Ok(Value::Int(args[0].as_map().unwrap().len() as i64))
    });
    functions.insert("at", Signature::new([Type::Int]), |args| Ok(clock(args[0].as_int().unwrap())));
    functions.insert("hour", Signature::new([Type::named("main.Clock")]), |args| match &args[0] {
        Value::Object(clock) => Ok(clock.fields()[0].1.clone()),
        _ => unreachable!("checked by the signature"),
    });
    functions.insert("pair", Signature::new([Type::Str, Type::Str]), |args| Ok(pair(&text(&args[0]), &text(&args[1]))));
    functions.insert("octets", none(), |_| Ok(Value::Str(b"\xff\x00\xc3\xa9\xc3".to_vec().into())));
    functions
}

/// A value from JSON: whole numbers are ints, and an object whose one key starts with a dollar sign is what it says.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number.as_i64().map_or_else(|| number.as_f64().unwrap().into(), Value::Int),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(entries) => match entries.iter().next() {
            Some((kind, inner)) if kind.starts_with('$') => special(kind, &value(inner)),
            _ => entries
                .iter()
                .map(|(key, inner)| (key.as_str().into(), value(inner)))
                .collect::<BTreeMap<_, _>>()
                .into(),
        },
    }
}

fn special(kind: &str, value: &Value) -> Value {
    let items = || value.as_list().unwrap().items();
    let pair_of = |both: &[Value]| pair(both[0].as_str().unwrap(), both[1].as_str().unwrap());
    match kind {
        "$strings" => List::new(Type::Str, items().to_vec()).into(),
        "$ints" => List::new(Type::Int, items().to_vec()).into(),
        "$stringmap" => Map::new(Type::Str, value.as_map().unwrap().entries().clone()).into(),
        "$kv" => pair_of(items()),
        "$kvs" => {
            let pairs = items().iter().map(|both| pair_of(both.as_list().unwrap().items())).collect();
            List::new(Type::named("main.KVPair"), pairs).into()
        }
        "$clock" => clock(value.as_int().unwrap()),
        "$func" => functions().get(value.as_str().unwrap()).unwrap().clone().into(),
        "$byte" => Value::Byte(value.as_int().unwrap() as u8),
        "$uint" => Value::Uint(value.as_int().unwrap() as u64),
        _ => panic!("unknown {kind}"),
    }
}
