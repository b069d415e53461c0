//! etcd's hashes, by which members of a cluster find out that they hold the same.

use std::collections::BTreeMap;

use flota_bolt::Entry;
use flota_mvcc::{Error, Revision};

use super::export::Export;
use super::schema::{CONSISTENT_INDEX, KEY, META, Row, TERM, Version};

/// A hash of the keys' versions and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KvHash {
    pub(crate) hash: u32,
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
}

#[derive(Default)]
struct Hasher {
    crc: u32,
    buffer: Vec<u8>,
}

impl Hasher {
    fn add(&mut self, bytes: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
    }

    fn entry(&mut self, entry: &dyn Entry) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        entry.key(&mut buffer);
        entry.value(&mut buffer);
        self.add(&buffer);
        self.buffer = buffer;
    }
}

/// The hash of all versions that can be seen from the compaction up to `revision`; 0 is now.
pub(crate) fn hash_kv(export: &Export, revision: Revision) -> Result<KvHash, Error> {
    let (compacted, current) = (export.compacted, export.revision);
    if revision > 0 && revision <= compacted {
        return Err(Error::Compacted);
    }
    if revision > current {
        return Err(Error::FutureRevision);
    }
    let upper = if revision > 0 { revision } else { current };
    let rows = || export.rows().take_while(|row| row.main <= upper);
    // The newest version of each key: a key that is gone has none that counts.
    let mut newest: BTreeMap<&[u8], Option<(Revision, i64)>> = BTreeMap::new();
    for row in rows() {
        newest.insert(row.key(), matches!(row.version, Version::Put(_)).then_some((row.main, row.sub)));
    }
    let nothing_left = newest.values().all(Option::is_none);
    let is_newest = |row: &Row<'_>| newest.get(&**row.key()) == Some(&Some((row.main, row.sub)));
    let mut hasher = Hasher::default();
    hasher.add(KEY);
    for row in rows() {
        // Where no key is left etcd counts the old versions of all (kept for what its members compare).
        if !export.is_old(&row) || nothing_left || is_newest(&row) {
            hasher.entry(&row);
        }
    }
    Ok(KvHash { hash: hasher.crc, revision: current, compacted })
}

/// The hash of the whole database, but for what differs from member to member; and its revision.
pub(crate) fn hash_all(export: &Export) -> (u32, Revision) {
    let mut hasher = Hasher::default();
    for bucket in export.buckets() {
        hasher.add(bucket.name);
        let mut key = Vec::new();
        for entry in (bucket.entries)() {
            key.clear();
            entry.key(&mut key);
            if bucket.name != META || (key != CONSISTENT_INDEX && key != TERM) {
                hasher.entry(&*entry);
            }
        }
    }
    (hasher.crc, export.revision)
}
