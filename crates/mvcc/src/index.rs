//! Keys to their versions: the durable index, and a view of it with a batch's pending versions on top.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use crate::{Key, KeyRange, KeyValue, Revision};

/// One version of a key; no value is a delete.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) revision: Revision,
    pub(crate) kv: Option<Arc<KeyValue>>,
}

/// The versions of one key. The newest, which nearly every read wants and most keys have alone, is beside the key itself.
#[derive(Clone, Debug)]
pub(crate) struct KeyHistory {
    newest: Version,
    /// Oldest first.
    older: Vec<Version>,
}

impl KeyHistory {
    pub(crate) fn new(version: Version) -> KeyHistory {
        KeyHistory { newest: version, older: Vec::new() }
    }

    pub(crate) fn push(&mut self, version: Version) {
        debug_assert!(self.newest.revision <= version.revision);
        self.older.push(std::mem::replace(&mut self.newest, version));
    }

    /// The newest version.
    pub(crate) fn latest(&self) -> Option<&Arc<KeyValue>> {
        self.newest.kv.as_ref()
    }

    /// The version that was the newest at `revision`, deletes included; `None` if the history begins later.
    fn at(&self, revision: Revision) -> Option<&Version> {
        let readable = |version: &&Version| version.revision <= revision;
        Some(&self.newest).filter(readable).or_else(|| self.older.iter().rev().find(readable))
    }

    /// Forgets what nobody can read at `revision` or later; returns the bytes freed and whether anything is left.
    fn compact(&mut self, revision: Revision) -> (usize, bool) {
        let is_past = self.newest.revision <= revision;
        let newer = self.older.partition_point(|version| version.revision <= revision);
        // The newest version up to `revision` is still readable, unless it is a delete.
        let keep_from = match newer.checked_sub(1) {
            Some(last) if !is_past && self.older[last].kv.is_some() => last,
            _ => newer,
        };
        let freed = self.older.drain(..keep_from).filter_map(|version| version.kv).map(|kv| kv.size()).sum();
        // A key that was written often once must not take the room for ever.
        if self.older.len() < self.older.capacity() / 4 {
            self.older.shrink_to_fit();
        }
        (freed, !is_past || self.newest.kv.is_some())
    }
}

/// All keys.
#[derive(Debug, Default)]
pub(crate) struct Index {
    keys: BTreeMap<Key, KeyHistory>,
    /// Bytes of keys and values of all versions.
    bytes: usize,
    /// Keys that exist now.
    live: usize,
}

/// Versions of a batch that are not durable yet.
pub(crate) type Overlay = BTreeMap<Key, KeyHistory>;

static NOTHING_PENDING: Overlay = BTreeMap::new();

impl Index {
    /// The durable keys alone.
    pub(crate) fn view(&self) -> View<'_> {
        View { index: self, overlay: &NOTHING_PENDING }
    }

    /// The durable keys under the batch's.
    pub(crate) fn view_with<'a>(&'a self, overlay: &'a Overlay) -> View<'a> {
        View { index: self, overlay }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Adds a version and returns the one before it, if the key existed.
    pub(crate) fn push(&mut self, key: Key, version: Version) -> Option<Arc<KeyValue>> {
        self.bytes += version.kv.as_ref().map_or(0, |kv| kv.size());
        self.live += usize::from(version.kv.is_some());
        // One way down the tree, whether the key is there or not.
        match self.keys.entry(key) {
            Entry::Occupied(mut entry) => {
                let history = entry.get_mut();
                let previous = history.latest().cloned();
                self.live -= usize::from(previous.is_some());
                history.push(version);
                previous
            }
            Entry::Vacant(entry) => {
                entry.insert(KeyHistory::new(version));
                None
            }
        }
    }

    /// Adds first versions of different keys, all at once.
    pub(crate) fn extend(&mut self, created: Created) {
        if !self.keys.is_empty() {
            created.in_key_order().for_each(|(key, version)| drop(self.push(key, version)));
            return;
        }
        self.bytes += created.bytes;
        self.live += created.keys.len();
        self.keys = created.in_key_order().map(|(key, version)| (key, KeyHistory::new(version))).collect();
    }

    /// All keys from `from` on, each with its version at `revision`, if it existed then.
    pub(crate) fn keys_at(
        &self,
        from: Bound<Key>,
        revision: Revision,
    ) -> impl Iterator<Item = (&Key, Option<&Arc<KeyValue>>)> {
        let keys = self.keys.range((from, Bound::Unbounded));
        keys.map(move |(key, history)| (key, history.at(revision).and_then(|version| version.kv.as_ref())))
    }

    /// Forgets the key's versions that nobody can read at `revision` or later.
    pub(crate) fn compact(&mut self, key: &Key, revision: Revision) {
        let Some(history) = self.keys.get_mut(key) else { return };
        let (freed, left) = history.compact(revision);
        self.bytes = self.bytes.saturating_sub(freed);
        if !left {
            self.keys.remove(key);
        }
    }
}

/// Keys that are yet to be put into the index, with their first versions.
#[derive(Debug, Default)]
pub(crate) struct Created {
    keys: Vec<(Key, Version)>,
    /// Bytes of keys and values.
    bytes: usize,
}

impl Created {
    // All that concerns the version itself is done here, where it has just been read: later each look at one waits for the memory.
    pub(crate) fn push(&mut self, kv: &Arc<KeyValue>) {
        self.bytes += kv.size();
        self.keys.push((Arc::clone(&kv.key), Version { revision: kv.mod_revision, kv: Some(Arc::clone(kv)) }));
    }

    /// Compares the keys themselves only where they differ late: most are told apart by what follows the part that all have in common.
    fn in_key_order(self) -> impl Iterator<Item = (Key, Version)> {
        let keys = &self.keys;
        let shared = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let first = keys.first().map_or(&[][..], |(key, _)| key);
        let common = keys.iter().fold(first.len(), |common, (key, _)| shared(&first[..common], key));
        let mut order: Vec<(u64, usize)> =
            keys.iter().enumerate().map(|(place, (key, _))| (head(&key[common..]), place)).collect();
        order.sort_unstable_by(|(head, place), (other_head, other)| {
            head.cmp(other_head).then_with(|| keys[*place].0.cmp(&keys[*other].0)).then(place.cmp(other))
        });
        let mut keys: Vec<_> = self.keys.into_iter().map(Some).collect();
        order.into_iter().filter_map(move |(_, place)| keys[place].take())
    }
}

/// The first bytes as a number that compares as they do.
fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    let length = bytes.len().min(head.len());
    head[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(head)
}

/// What a request sees.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    index: &'a Index,
    overlay: &'a Overlay,
}

impl<'a> View<'a> {
    /// The key now.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&'a Arc<KeyValue>> {
        match self.overlay.get(key) {
            Some(pending) => pending.latest(),
            None => self.index.keys.get(key)?.latest(),
        }
    }

    /// The keys of the range that exist at `revision`, in key order.
    pub(crate) fn at(&self, range: &KeyRange, revision: Revision) -> impl Iterator<Item = &'a Arc<KeyValue>> + use<'a> {
        let bounds = range.bounds();
        let merged = bounds.map(|bounds| Merge {
            durable: self.index.keys.range::<[u8], _>(bounds).peekable(),
            pending: self.overlay.range::<[u8], _>(bounds).peekable(),
        });
        merged.into_iter().flatten().filter_map(move |(durable, pending)| {
            let pending = pending.and_then(|history| history.at(revision));
            let version = pending.or_else(|| durable.and_then(|history| history.at(revision)))?;
            version.kv.as_ref()
        })
    }
}

/// Walks the durable and the pending keys together, in key order.
struct Merge<'a, I: Iterator<Item = (&'a Key, &'a KeyHistory)>> {
    durable: Peekable<I>,
    pending: Peekable<I>,
}

impl<'a, I: Iterator<Item = (&'a Key, &'a KeyHistory)>> Iterator for Merge<'a, I> {
    type Item = (Option<&'a KeyHistory>, Option<&'a KeyHistory>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.durable.peek(), self.pending.peek()) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((durable, _)), Some((pending, _))) => durable.cmp(pending),
        };
        let durable = if order.is_le() { self.durable.next() } else { None };
        let pending = if order.is_ge() { self.pending.next() } else { None };
        Some((durable.map(|(_, history)| history), pending.map(|(_, history)| history)))
    }
}
