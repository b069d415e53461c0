//! Go's names for the types of values, which its error messages print.

use std::fmt;
use std::sync::Arc;

/// A Go type: what a value is, or what a function wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `interface {}`: anything.
    Any,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint64`.
    Uint,
    /// `uint8`.
    Byte,
    /// `float64`.
    Float,
    /// `string`.
    Str,
    /// A slice of values of that type.
    List(Arc<Type>),
    /// A map from strings to values of that type.
    Map(Arc<Type>),
    /// A type with a name of its own, such as `memkv.KVPair`.
    Named(Arc<str>),
}

impl Type {
    /// A slice of values of that type.
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    /// A map from strings to values of that type.
    pub fn map(element: Self) -> Self {
        Self::Map(Arc::new(element))
    }

    /// A type with a name of its own.
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self::Named(name.into())
    }

    /// Whether Go lets `nil` stand for a value of the type.
    pub(crate) fn can_be_nil(&self) -> bool {
        matches!(self, Self::Any | Self::List(_) | Self::Map(_))
    }

    /// Whether it is one of the integer types.
    pub(crate) fn is_integer(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Byte)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("interface {}"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint64"),
            Self::Byte => f.write_str("uint8"),
            Self::Float => f.write_str("float64"),
            Self::Str => f.write_str("string"),
            Self::List(element) => write!(f, "[]{element}"),
            Self::Map(element) => write!(f, "map[string]{element}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}
