//! Values from Rust's own types.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{List, Map, Object, Str, Type, Value};
use crate::function::Function;

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<Str> for Value {
    fn from(text: Str) -> Self {
        Self::Str(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Function> for Value {
    fn from(function: Function) -> Self {
        Self::Func(function)
    }
}

/// A `[]interface {}`.
impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        List::new(Type::Any, items).into()
    }
}

/// A `[]string`.
impl From<Vec<String>> for Value {
    fn from(items: Vec<String>) -> Self {
        List::new(Type::Str, items.into_iter().map(Self::from).collect()).into()
    }
}

/// A `map[string]interface {}`.
impl From<BTreeMap<Str, Self>> for Value {
    fn from(entries: BTreeMap<Str, Self>) -> Self {
        Map::new(Type::Any, entries).into()
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(Arc::new(list))
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl<T: Object + 'static> From<Arc<T>> for Value {
    fn from(object: Arc<T>) -> Self {
        Self::Object(object)
    }
}
