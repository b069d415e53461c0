//! One node under construction: elements in front, keys and values behind them, in one page or a page with overflow.

use crate::format::{BRANCH, ELEMENT, LEAF, PAGE_BYTES, PAGE_HEAD};

/// What an element of a node points at.
pub(crate) enum Value {
    /// A child node of a branch, by its page.
    Child(u64),
    /// Bytes that are in the body already, behind the key, with the element's flags.
    Bytes { flags: u32, length: usize },
}

/// A node that takes elements in the order of their keys.
///
/// When sizes are all that is wanted, the bodies of values are left out and only counted.
pub(crate) struct Node {
    kind: u16,
    /// Key sizes and values, in order.
    elements: Vec<(usize, Value)>,
    /// Keys and values, one after the other.
    pub(crate) body: Vec<u8>,
    /// Bytes of the body, those left out included.
    body_bytes: usize,
    /// The first key.
    pub(crate) first: Vec<u8>,
}

impl Node {
    pub(crate) fn leaf() -> Node {
        Node::new(LEAF)
    }

    pub(crate) fn branch() -> Node {
        Node::new(BRANCH)
    }

    fn new(kind: u16) -> Node {
        Node { kind, elements: Vec::new(), body: Vec::new(), body_bytes: 0, first: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Bytes of the node as it is.
    pub(crate) fn bytes(&self) -> usize {
        PAGE_HEAD + self.elements.len() * ELEMENT + self.body_bytes
    }

    /// Whether a further element of so many bytes of key and value would need another page.
    pub(crate) fn is_full_for(&self, bytes: usize) -> bool {
        // A branch with one child would make no level smaller than the one below it.
        let least = if self.kind == BRANCH { 2 } else { 1 };
        self.elements.len() >= least && self.bytes() + ELEMENT + bytes > PAGE_BYTES
    }

    /// Adds an element whose key, and value if there are bytes of one, stand at the end of the body, or have been left out.
    pub(crate) fn push(&mut self, key: &[u8], value: Value) {
        if self.elements.is_empty() {
            self.first.clear();
            self.first.extend_from_slice(key);
        }
        self.body_bytes += key.len() + if let Value::Bytes { length, .. } = value { length } else { 0 };
        self.elements.push((key.len(), value));
    }

    /// Pages that the node takes.
    pub(crate) fn pages(&self) -> u64 {
        self.bytes().div_ceil(PAGE_BYTES) as u64
    }

    /// Appends the node as page `id`, without padding; its body must be whole.
    pub(crate) fn encode(&self, id: u64, out: &mut Vec<u8>) {
        debug_assert_eq!(self.body.len(), self.body_bytes);
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&self.kind.to_le_bytes());
        out.extend_from_slice(&(self.elements.len() as u16).to_le_bytes());
        out.extend_from_slice(&((self.pages() - 1) as u32).to_le_bytes());
        let mut at = 0;
        for (place, (key_bytes, value)) in self.elements.iter().enumerate() {
            let position = ((self.elements.len() - place) * ELEMENT + at) as u32;
            at += key_bytes;
            match value {
                Value::Child(page) => {
                    out.extend_from_slice(&position.to_le_bytes());
                    out.extend_from_slice(&(*key_bytes as u32).to_le_bytes());
                    out.extend_from_slice(&page.to_le_bytes());
                }
                Value::Bytes { flags, length } => {
                    for number in [*flags, position, *key_bytes as u32, *length as u32] {
                        out.extend_from_slice(&number.to_le_bytes());
                    }
                    at += length;
                }
            }
        }
        out.extend_from_slice(&self.body);
    }

    /// Makes it a node without elements.
    pub(crate) fn clear(&mut self) {
        self.elements.clear();
        self.body.clear();
        self.body_bytes = 0;
    }
}
