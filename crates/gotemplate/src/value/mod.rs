//! What templates compute with: Go's dynamic values, as far as configuration needs them, cheap to clone.

mod container;
mod convert;
mod object;
mod text;
mod types;

use std::fmt;
use std::sync::Arc;

pub use container::{List, MAX_VALUE_DEPTH, Map};
pub use object::Object;
pub use text::Str;
pub(crate) use text::{decode_rune, runes};
pub use types::Type;

use crate::fmt::print;
use crate::function::Function;

/// A value of a template. Every clone is a counter.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Go's `nil` in an interface.
    #[default]
    Nil,
    /// A `bool`.
    Bool(bool),
    /// An `int`, of 64 bits.
    Int(i64),
    /// A `uint64`.
    Uint(u64),
    /// A `uint8`, which is what indexing a string gives.
    Byte(u8),
    /// A `float64`.
    Float(f64),
    /// A `string`: any bytes, most often UTF-8.
    Str(Str),
    /// A slice.
    List(Arc<List>),
    /// A map with string keys.
    Map(Arc<Map>),
    /// A struct, or anything with methods.
    Object(Arc<dyn Object>),
    /// A function as a value, for `call`.
    Func(Function),
}

impl Value {
    /// The value's type, or none for nil.
    pub fn go_type(&self) -> Option<Type> {
        Some(match self {
            Self::Nil => return None,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Byte(_) => Type::Byte,
            Self::Float(_) => Type::Float,
            Self::Str(_) => Type::Str,
            Self::List(list) => list.go_type().clone(),
            Self::Map(map) => map.go_type().clone(),
            Self::Object(object) => Type::named(object.type_name()),
            Self::Func(function) => Type::named(function.signature().to_string()),
        })
    }

    /// Go's name of the value's type, such as `[]string`; `<nil>` for nil.
    pub fn type_name(&self) -> String {
        self.go_type().map_or_else(|| "<nil>".to_owned(), |ty| ty.to_string())
    }

    /// What `if` makes of it: false for nil, false, zero and whatever is empty.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Uint(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(_) | Self::Func(_) => true,
        }
    }

    /// The string, if it is one and is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => text.as_str(),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Byte(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// How many lists and maps are around the innermost value: 0 for a plain one.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::List(list) => list.depth(),
            Self::Map(map) => map.depth(),
            _ => 0,
        }
    }
}

/// As Go prints it with `%v`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&print(std::slice::from_ref(self))))
    }
}
