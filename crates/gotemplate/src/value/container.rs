//! Slices and maps, with Go's types, and a bound on how deep they can be nested.

use std::collections::BTreeMap;

use super::Value;
use super::text::Str;
use super::types::Type;

/// How deep lists and maps may be nested in what a function returns; more is an error of that call. Printing and
/// freeing a value take stack for each level.
pub const MAX_VALUE_DEPTH: usize = 200;

/// A slice.
#[derive(Debug, Clone)]
pub struct List {
    ty: Type,
    depth: usize,
    items: Vec<Value>,
}

impl List {
    /// A slice of elements of that type, such as `[]string`.
    pub fn new(element: Type, items: Vec<Value>) -> Self {
        Self::typed(Type::list(element), items)
    }

    /// A slice of a type with a name of its own, such as `memkv.KVPairs`.
    pub fn named(name: &str, items: Vec<Value>) -> Self {
        Self::typed(Type::named(name), items)
    }

    pub(crate) fn typed(ty: Type, items: Vec<Value>) -> Self {
        let depth = 1 + items.iter().map(Value::depth).max().unwrap_or(0);
        Self { ty, depth, items }
    }

    /// The elements.
    pub fn items(&self) -> &[Value] {
        &self.items
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn go_type(&self) -> &Type {
        &self.ty
    }

    /// Whether the elements are of type `interface {}`, and so each may be of another type.
    pub(crate) fn holds_any(&self) -> bool {
        matches!(&self.ty, Type::List(element) if **element == Type::Any)
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }
}

/// A map with string keys.
#[derive(Debug, Clone)]
pub struct Map {
    element: Type,
    ty: Type,
    depth: usize,
    entries: BTreeMap<Str, Value>,
}

impl Map {
    /// A map to values of that type.
    pub fn new(element: Type, entries: BTreeMap<Str, Value>) -> Self {
        let depth = 1 + entries.values().map(Value::depth).max().unwrap_or(0);
        Self { ty: Type::map(element.clone()), element, depth, entries }
    }

    /// The entries, sorted by key.
    pub fn entries(&self) -> &BTreeMap<Str, Value> {
        &self.entries
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key.as_bytes())
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn go_type(&self) -> &Type {
        &self.ty
    }

    pub(crate) fn element(&self) -> &Type {
        &self.element
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }
}
