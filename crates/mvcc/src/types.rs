//! Names for the numbers and bytes that everything else in the crate is made of.

use std::fmt;
use std::num::NonZeroI64;
use std::ops::{Add, Bound};
use std::sync::Arc;

/// A revision of the whole store; a fresh store is at revision 1, the first write makes revision 2.
pub type Revision = i64;

/// A key; shared between the index, the history and the leases without being copied.
pub type Key = Arc<[u8]>;

/// The shortest lease, in seconds: what etcd derives from its default election timeout, so clients already live with it.
pub const MIN_LEASE_TTL: i64 = 2;

/// The longest lease, in seconds (etcd's limit).
pub const MAX_LEASE_TTL: i64 = 9_000_000_000;

/// A point on the caller's monotonic clock, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds from `earlier` to `self`; 0 if `earlier` is later.
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Millis {
    type Output = Millis;

    fn add(self, millis: u64) -> Millis {
        Millis(self.0.saturating_add(millis))
    }
}

/// The id of a lease; never 0, which on the wire means "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId(NonZeroI64);

impl LeaseId {
    /// The id, or `None` for the wire's 0.
    pub fn new(id: i64) -> Option<LeaseId> {
        NonZeroI64::new(id).map(LeaseId)
    }

    /// The number on the wire.
    pub fn get(self) -> i64 {
        self.0.get()
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.get())
    }
}

/// One version of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// The value; empty in a delete event.
    pub value: Box<[u8]>,
    /// The revision that created the key since it was last absent; 0 in a delete event.
    pub create_revision: Revision,
    /// The revision that wrote this version.
    pub mod_revision: Revision,
    /// 1 on creation, one more with each put; 0 in a delete event.
    pub version: i64,
    /// The lease the key is attached to.
    pub lease: Option<LeaseId>,
    /// The place of the change among those of its revision: with the revision it is the version's name in etcd's database.
    pub sub: u32,
}

impl KeyValue {
    /// What a delete event carries: the key and the revision of the delete.
    pub fn tombstone(key: Key, revision: Revision) -> KeyValue {
        KeyValue {
            key,
            value: Box::default(),
            create_revision: 0,
            mod_revision: revision,
            version: 0,
            lease: None,
            sub: 0,
        }
    }

    /// Bytes of key and value.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// A set of keys, as etcd's `key` and `range_end` describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRange {
    /// Exactly this key.
    One(Key),
    /// Keys from the first, up to and without the second; empty when the second is not greater.
    Between(Key, Key),
    /// Keys from this one on.
    From(Key),
}

impl KeyRange {
    /// Reads the wire's pair: an empty end is one key, an end of one zero byte is every key from `key` on.
    pub fn new(key: &[u8], range_end: &[u8]) -> KeyRange {
        match range_end {
            [] => KeyRange::One(key.into()),
            // A key of one zero byte is how clients spell "from the start": no key but the empty one, which cannot exist, is below.
            [0] => KeyRange::From(key.into()),
            end => KeyRange::Between(key.into(), end.into()),
        }
    }

    /// All keys that begin with `prefix`; the empty prefix is the whole store.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        match prefix.iter().rposition(|byte| *byte != 0xff) {
            None => KeyRange::From(prefix.into()),
            Some(last) => {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                KeyRange::Between(prefix.into(), end.into())
            }
        }
    }

    /// The first key that may be in the range.
    pub fn start(&self) -> &Key {
        match self {
            KeyRange::One(key) | KeyRange::Between(key, _) | KeyRange::From(key) => key,
        }
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        matches!(self, KeyRange::Between(start, end) if start >= end)
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            KeyRange::One(one) => **one == *key,
            KeyRange::Between(start, end) => **start <= *key && *key < **end,
            KeyRange::From(start) => **start <= *key,
        }
    }

    /// Bounds for `BTreeMap::range`, which must not be asked for an empty range.
    pub(crate) fn bounds(&self) -> Option<KeyBounds<'_>> {
        match self {
            KeyRange::One(key) => Some((Bound::Included(&**key), Bound::Included(&**key))),
            KeyRange::Between(..) if self.is_empty() => None,
            KeyRange::Between(start, end) => Some((Bound::Included(&**start), Bound::Excluded(&**end))),
            KeyRange::From(start) => Some((Bound::Included(&**start), Bound::Unbounded)),
        }
    }
}

/// A start and an end as `BTreeMap::range` takes them.
pub(crate) type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
