//! PURE. Nodes and events as v2 shows them, and the tree that v3 keys make.

use std::collections::BTreeMap;

use etcd_client::proto::PbKeyValue;
use serde::Serialize;

use super::path::KeyPath;
use super::time::Millis;
use super::ttl::Tag;

/// A file or directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its path; empty for the root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// A file's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether it is a directory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dir: bool,
    /// When it goes, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Millis>,
    /// Seconds until then.
    #[serde(skip_serializing_if = "is_zero")]
    pub ttl: i64,
    /// What is in a directory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// Index of its last change; of a directory: of its making.
    #[serde(skip_serializing_if = "is_zero")]
    pub modified_index: i64,
    /// Index of its making.
    #[serde(skip_serializing_if = "is_zero")]
    pub created_index: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    Get,
    Set,
    Create,
    Update,
    CompareAndSwap,
    Delete,
    CompareAndDelete,
    Expire,
}

/// What a request is answered with, and what a waiter is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What happened.
    pub action: Action,
    /// What it happened to, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// As it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_node: Option<Node>,
}

impl Event {
    /// Whether the answer's status is 201.
    pub fn created(&self) -> bool {
        self.action == Action::Create || (self.action == Action::Set && self.prev_node.is_none())
    }

    /// Whether it took something away.
    pub fn removes(&self) -> bool {
        matches!(self.action, Action::Delete | Action::CompareAndDelete | Action::Expire)
    }

    /// Bytes it takes, about.
    pub fn size(&self) -> usize {
        let nodes = self.node.iter().chain(&self.prev_node);
        nodes.map(|node| 128 + node.key.len() + node.value.as_ref().map_or(0, String::len)).sum()
    }
}

/// What is known of time while nodes are shown.
#[derive(Debug, Clone)]
pub struct Times {
    /// Now.
    pub now: Millis,
    /// The ends of leases that are not v2's.
    pub others: BTreeMap<i64, Millis>,
}

impl Times {
    /// Only v2's own leases are known.
    pub fn at(now: Millis) -> Times {
        Times { now, others: BTreeMap::new() }
    }

    fn mark(&self, node: &mut Node, lease: i64) {
        let end = Tag::of(lease).map(|tag| tag.end).or_else(|| self.others.get(&lease).copied());
        node.expiration = end;
        node.ttl = end.map_or(0, |end| end.seconds_from(self.now));
    }

    /// The file that a v3 key is.
    pub fn file(&self, pair: &PbKeyValue) -> Node {
        let mut node = Node {
            key: String::from_utf8_lossy(&pair.key).into_owned(),
            value: Some(String::from_utf8_lossy(&pair.value).into_owned()),
            modified_index: pair.mod_revision,
            created_index: pair.create_revision,
            ..Node::default()
        };
        self.mark(&mut node, pair.lease);
        node
    }

    /// A directory without what is in it.
    pub fn directory(&self, path: &KeyPath, created: i64, lease: i64) -> Node {
        let key = if path.is_root() { String::new() } else { path.as_str().to_owned() };
        let index = if path.is_root() { 0 } else { created };
        let mut node = Node { key, dir: true, modified_index: index, created_index: index, ..Node::default() };
        self.mark(&mut node, lease);
        node
    }
}

/// A directory as it is read from v3 keys.
#[derive(Debug)]
pub struct Tree {
    path: KeyPath,
    /// The least of all creations in it.
    created: i64,
    /// Its marker's lease.
    lease: i64,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    File(PbKeyValue),
    Directory(Tree),
}

impl Tree {
    /// An empty directory.
    pub fn new(path: KeyPath) -> Tree {
        Tree { path, created: i64::MAX, lease: 0, entries: BTreeMap::new() }
    }

    /// Takes in a v3 key below the directory. What v2 cannot name is passed over; below a file there is nothing.
    pub fn add(&mut self, pair: PbKeyValue) {
        let Some((path, marker)) = KeyPath::of_key(&pair.key) else { return };
        if path != self.path && !self.path.contains(&path) {
            return;
        }
        let base = if self.path.is_root() { 0 } else { self.path.as_str().len() };
        let below = path.as_str()[base..].trim_start_matches('/').to_owned();
        self.insert(&below, marker, pair);
    }

    fn insert(&mut self, below: &str, marker: bool, pair: PbKeyValue) {
        self.created = self.created.min(pair.create_revision);
        if below.is_empty() {
            self.lease = pair.lease;
            return;
        }
        let (name, rest) = match below.split_once('/') {
            Some((name, rest)) => (name, Some(rest)),
            None => (below, marker.then_some("")),
        };
        let Some(rest) = rest else {
            self.entries.insert(name.to_owned(), Entry::File(pair));
            return;
        };
        let path = self.path.child(name);
        let entry = self.entries.entry(name.to_owned()).or_insert_with(|| Entry::Directory(Tree::new(path)));
        if let Entry::Directory(tree) = entry {
            tree.insert(rest, marker, pair);
        }
    }

    /// The files directly in it whose values are not there yet; see [`Tree::fill`].
    pub fn files(&self) -> impl Iterator<Item = &PbKeyValue> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::File(pair) => Some(pair),
            Entry::Directory(_) => None,
        })
    }

    /// Puts in the value of a file directly in it.
    pub fn fill(&mut self, pair: PbKeyValue) {
        let found = self.entries.values_mut().find_map(|entry| match entry {
            Entry::File(file) if file.key == pair.key => Some(file),
            _ => None,
        });
        if let Some(file) = found {
            *file = pair;
        }
    }

    /// The leases that are not v2's, for [`Times::others`].
    pub fn foreign_leases(&self, leases: &mut Vec<i64>) {
        for entry in self.entries.values() {
            let lease = match entry {
                Entry::File(pair) => pair.lease,
                Entry::Directory(tree) => {
                    tree.foreign_leases(leases);
                    tree.lease
                }
            };
            if lease != 0 && Tag::of(lease).is_none() {
                leases.push(lease);
            }
        }
    }

    /// The directory with what is in it, sorted; entries whose names start with `_` are not shown.
    pub fn show(&self, recursive: bool, times: &Times) -> Node {
        let mut node = times.directory(&self.path, self.created, self.lease);
        let visible = self.entries.iter().filter(|(name, _)| !name.starts_with('_'));
        node.nodes = visible
            .map(|(_, entry)| match entry {
                Entry::File(pair) => times.file(pair),
                Entry::Directory(tree) if recursive => tree.show(true, times),
                Entry::Directory(tree) => times.directory(&tree.path, tree.created, tree.lease),
            })
            .collect();
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, created: i64) -> PbKeyValue {
        PbKeyValue {
            key: key.into(),
            value: b"v".to_vec(),
            create_revision: created,
            mod_revision: created,
            ..PbKeyValue::default()
        }
    }

    fn shown(path: &str, recursive: bool, keys: &[(&str, i64)]) -> String {
        let mut tree = Tree::new(KeyPath::new(path).unwrap());
        for (key, created) in keys {
            tree.add(pair(key, *created));
        }
        let node = tree.show(recursive, &Times::at(Millis(0)));
        String::from_utf8(super::super::json::encode(&node)).unwrap().trim_end().to_owned()
    }

    #[test]
    fn directories_are_implied_by_the_keys_below_them() {
        let keys = [("/a/b/c", 4), ("/a/b/d", 3), ("/a/x", 7), ("/a/_h", 2)];
        assert_eq!(
            shown("/a", false, &keys),
            "{\"key\":\"/a\",\"dir\":true,\"nodes\":[{\"key\":\"/a/b\",\"dir\":true,\"modifiedIndex\":3,\
             \"createdIndex\":3},{\"key\":\"/a/x\",\"value\":\"v\",\"modifiedIndex\":7,\"createdIndex\":7}],\
             \"modifiedIndex\":2,\"createdIndex\":2}"
        );
        assert!(shown("/a", true, &keys).contains("{\"key\":\"/a/b/d\",\"value\":\"v\""));
        assert_eq!(shown("/", false, &[]), "{\"dir\":true}");
    }

    #[test]
    fn empty_directories_are_marked_and_strange_keys_are_passed_over() {
        let keys = [("/a/", 5), ("/a//x", 6), ("b", 7), ("/f", 8), ("/f/below", 9)];
        assert_eq!(
            shown("/", true, &keys),
            "{\"dir\":true,\"nodes\":[{\"key\":\"/a\",\"dir\":true,\"modifiedIndex\":5,\"createdIndex\":5},\
             {\"key\":\"/f\",\"value\":\"v\",\"modifiedIndex\":8,\"createdIndex\":8}]}"
        );
    }

    #[test]
    fn times_to_live_are_read_from_v2s_leases_and_looked_up_for_others() {
        let tag = Tag { end: Millis(90_000), directory: false };
        let mut times = Times::at(Millis(500));
        let ours = times.file(&PbKeyValue { lease: tag.id(3), ..pair("/k", 1) });
        assert_eq!((ours.expiration, ours.ttl), (Some(Millis(90_000)), 90));
        times.others.insert(77, Millis(2500));
        let other = times.file(&PbKeyValue { lease: 77, ..pair("/k", 1) });
        assert_eq!((other.expiration, other.ttl), (Some(Millis(2500)), 2));
        assert_eq!(times.file(&PbKeyValue { lease: 78, ..pair("/k", 1) }).expiration, None);
    }
}
