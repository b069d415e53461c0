//! What an expression yields while a template runs.

use std::borrow::Cow;

use crate::value::{List, Map, Type, Value};

/// A value as Go's reflection sees it: templates can tell nothing, an interface that holds nothing, and a value in an
/// interface from one that is not, by what they may do with it and by their messages.
#[derive(Debug, Clone)]
pub(crate) enum Operand {
    /// Nothing at all, such as a key that a map does not have.
    Missing,
    /// A value of its own type; never nil.
    Plain(Value),
    /// A value, or nil, in an `interface {}`: what is in a map or slice of any type.
    Boxed(Value),
}

impl Operand {
    /// A value that is in no interface, unless it is nil.
    pub(crate) fn of(value: Value) -> Self {
        match value {
            Value::Nil => Self::Boxed(Value::Nil),
            value => Self::Plain(value),
        }
    }

    /// An element of a slice.
    pub(crate) fn element(list: &List, index: usize) -> Option<Self> {
        let value = list.items().get(index)?.clone();
        Some(if list.holds_any() { Self::Boxed(value) } else { Self::of(value) })
    }

    /// An entry of a map.
    pub(crate) fn entry(map: &Map, key: &[u8]) -> Option<Self> {
        map.entries().get(key).map(|value| Self::entry_value(map, value))
    }

    /// A value that is in that map.
    pub(crate) fn entry_value(map: &Map, value: &Value) -> Self {
        if *map.element() == Type::Any { Self::Boxed(value.clone()) } else { Self::of(value.clone()) }
    }

    /// What a type has where nothing was put.
    pub(crate) fn zero(ty: &Type) -> Self {
        Self::of(match ty {
            Type::Any | Type::Named(_) => Value::Nil,
            Type::Bool => Value::Bool(false),
            Type::Int => Value::Int(0),
            Type::Uint => Value::Uint(0),
            Type::Byte => Value::Byte(0),
            Type::Float => Value::Float(0.0),
            Type::Str => Value::from(""),
            Type::List(_) => List::typed(ty.clone(), Vec::new()).into(),
            Type::Map(element) => Map::new((**element).clone(), Default::default()).into(),
        })
    }

    /// The value out of its interface.
    pub(crate) fn unboxed(self) -> Self {
        match self {
            Self::Boxed(Value::Nil) => Self::Missing,
            Self::Boxed(value) => Self::Plain(value),
            other => other,
        }
    }

    /// The value, unless there is none or it is nil.
    pub(crate) fn get(&self) -> Option<&Value> {
        match self {
            Self::Missing | Self::Boxed(Value::Nil) => None,
            Self::Plain(value) | Self::Boxed(value) => Some(value),
        }
    }

    /// The value, with nil for nothing.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Missing => Value::Nil,
            Self::Plain(value) | Self::Boxed(value) => value,
        }
    }

    /// The value for printing on its own: nothing is printed in words.
    pub(crate) fn printable(&self) -> Cow<'_, Value> {
        match self {
            Self::Missing => Cow::Owned(Value::from("<no value>")),
            Self::Plain(value) | Self::Boxed(value) => Cow::Borrowed(value),
        }
    }

    /// Go's name of the type that is known without looking into an interface.
    pub(crate) fn static_type(&self) -> String {
        match self {
            Self::Missing => "<nil>".to_owned(),
            Self::Plain(value) => value.type_name(),
            Self::Boxed(_) => Type::Any.to_string(),
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        self.get().is_some_and(Value::is_true)
    }

    pub(crate) fn depth(&self) -> usize {
        self.get().map_or(0, Value::depth)
    }
}
