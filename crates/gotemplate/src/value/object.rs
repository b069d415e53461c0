//! Structs and values with methods, which the user of the crate gives to templates.

use std::fmt::Debug;

use super::Value;
use crate::function::Function;

/// A Go struct, or a value with methods: a key with its value, a record of DNS, a point in time.
///
/// `.Name` asks for a method first and for a field then, as in Go.
pub trait Object: Debug + Send + Sync {
    /// Go's name of the type, such as `memkv.KVPair`.
    fn type_name(&self) -> &str;

    /// The value of a field.
    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    /// All fields in their order, for printing: `{a b}`.
    fn fields(&self) -> Vec<(&str, Value)> {
        Vec::new()
    }

    /// A method, bound to this value.
    fn method(&self, _name: &str) -> Option<Function> {
        None
    }

    /// What Go's method `String` gives, if the type has one: how it is printed instead of its fields.
    fn display(&self) -> Option<String> {
        None
    }
}
