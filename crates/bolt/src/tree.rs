//! A bucket's tree: leaves as they fill, then the branches above them, level by level, up to one root.

use crate::format::MAX_KEY_BYTES;
use crate::layout::{Node, Value};
use crate::write::{Entry, WriteError};

/// Takes nodes in the order of their pages.
pub(crate) trait Sink {
    /// Whether nodes need their bodies; where only pages are counted they do not.
    fn wants_bodies(&self) -> bool;
    /// Takes the node that begins at page `id`.
    fn node(&mut self, id: u64, node: &Node) -> Result<(), WriteError>;
}

/// The nodes of one level, by their first keys.
#[derive(Default)]
struct Level {
    keys: Vec<u8>,
    /// Where the first key ends in `keys`, and the node's page.
    nodes: Vec<(usize, u64)>,
}

impl Level {
    fn push(&mut self, first: &[u8], page: u64) {
        self.keys.extend_from_slice(first);
        self.nodes.push((self.keys.len(), page));
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut start = 0;
        self.nodes.iter().map(move |(end, page)| {
            let key = &self.keys[start..*end];
            start = *end;
            (key, *page)
        })
    }
}

/// Hands the tree of `entries` to the sink from page `next` on; returns its root and the page after it.
pub(crate) fn build<E: Entry>(
    entries: impl Iterator<Item = E>,
    mut next: u64,
    sink: &mut dyn Sink,
) -> Result<(u64, u64), WriteError> {
    let mut level = leaves(entries, &mut next, sink)?;
    while level.nodes.len() > 1 {
        level = branches(&level, &mut next, sink)?;
    }
    let root = level.nodes.first().map_or(0, |(_, page)| *page);
    Ok((root, next))
}

fn leaves<E: Entry>(
    entries: impl Iterator<Item = E>,
    next: &mut u64,
    sink: &mut dyn Sink,
) -> Result<Level, WriteError> {
    let mut level = Level::default();
    let mut node = Node::leaf();
    let (mut key, mut previous) = (Vec::new(), None);
    for entry in entries {
        key.clear();
        entry.key(&mut key);
        check_key(&key, previous.as_deref())?;
        let length = entry.value_bytes();
        if node.is_full_for(key.len() + length) {
            flush(&mut node, &mut level, next, sink)?;
        }
        if sink.wants_bodies() {
            node.body.extend_from_slice(&key);
            let start = node.body.len();
            entry.value(&mut node.body);
            if node.body.len() - start != length {
                return Err(WriteError::ValueSize { key });
            }
        }
        node.push(&key, Value::Bytes { flags: entry.flags(), length });
        previous.get_or_insert_with(Vec::new).clone_from(&key);
    }
    // A bucket without entries is still a page.
    flush(&mut node, &mut level, next, sink)?;
    Ok(level)
}

fn branches(below: &Level, next: &mut u64, sink: &mut dyn Sink) -> Result<Level, WriteError> {
    let mut level = Level::default();
    let mut node = Node::branch();
    for (key, page) in below.iter() {
        if node.is_full_for(key.len()) {
            flush(&mut node, &mut level, next, sink)?;
        }
        node.body.extend_from_slice(key);
        node.push(key, Value::Child(page));
    }
    flush(&mut node, &mut level, next, sink)?;
    Ok(level)
}

fn flush(node: &mut Node, level: &mut Level, next: &mut u64, sink: &mut dyn Sink) -> Result<(), WriteError> {
    sink.node(*next, node)?;
    level.push(if node.is_empty() { &[] } else { &node.first }, *next);
    *next += node.pages();
    node.clear();
    Ok(())
}

fn check_key(key: &[u8], previous: Option<&[u8]>) -> Result<(), WriteError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(WriteError::KeySize { bytes: key.len() });
    }
    if previous.is_some_and(|previous| previous >= key) {
        return Err(WriteError::KeyOrder { key: key.to_vec() });
    }
    Ok(())
}
