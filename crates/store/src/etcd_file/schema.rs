//! Names and spellings of etcd's buckets, keys and values.

use flota_mvcc::{Key, KeyValue, Revision};

pub(super) const ALARM: &[u8] = b"alarm";
pub(super) const AUTH: &[u8] = b"auth";
pub(super) const AUTH_ROLES: &[u8] = b"authRoles";
pub(super) const AUTH_USERS: &[u8] = b"authUsers";
pub(super) const CLUSTER: &[u8] = b"cluster";
pub(super) const KEY: &[u8] = b"key";
pub(super) const LEASE: &[u8] = b"lease";
pub(super) const MEMBERS: &[u8] = b"members";
pub(super) const MEMBERS_REMOVED: &[u8] = b"members_removed";
pub(super) const META: &[u8] = b"meta";

pub(super) const AUTH_ENABLED: &[u8] = b"authEnabled";
pub(super) const AUTH_REVISION: &[u8] = b"authRevision";
pub(super) const CLUSTER_VERSION: &[u8] = b"clusterVersion";
pub(super) const CONSISTENT_INDEX: &[u8] = b"consistent_index";
pub(super) const FINISHED_COMPACTION: &[u8] = b"finishedCompactRev";
pub(super) const SCHEDULED_COMPACTION: &[u8] = b"scheduledCompactRev";
pub(super) const TERM: &[u8] = b"term";

/// Bytes of a revision.
const REVISION_BYTES: usize = 17;

/// What makes a revision a delete.
const TOMBSTONE: u8 = b't';

/// One version of one key, as the bucket `key` has it.
#[derive(Clone, Copy)]
pub(super) enum Version<'a> {
    Put(&'a KeyValue),
    Delete(&'a Key),
}

/// A version with its name.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) main: Revision,
    pub(super) sub: i64,
    pub(super) version: Version<'a>,
}

impl<'a> Row<'a> {
    pub(super) fn key(&self) -> &'a Key {
        match self.version {
            Version::Put(kv) => &kv.key,
            Version::Delete(key) => key,
        }
    }
}

impl flota_bolt::Entry for Row<'_> {
    fn key(&self, out: &mut Vec<u8>) {
        put_revision(out, self.main, self.sub);
        if matches!(self.version, Version::Delete(_)) {
            out.push(TOMBSTONE);
        }
    }

    fn value_bytes(&self) -> usize {
        match self.version {
            Version::Put(kv) => super::proto::key_value_bytes(kv),
            Version::Delete(key) => super::proto::tombstone_bytes(key),
        }
    }

    fn value(&self, out: &mut Vec<u8>) {
        match self.version {
            Version::Put(kv) => super::proto::put_key_value(out, kv),
            Version::Delete(key) => super::proto::put_tombstone(out, key),
        }
    }
}

/// `main`, `_`, `sub`, both with eight bytes, so that they sort as numbers.
pub(super) fn put_revision(out: &mut Vec<u8>, main: Revision, sub: i64) {
    out.extend_from_slice(&main.to_be_bytes());
    out.push(b'_');
    out.extend_from_slice(&sub.to_be_bytes());
}

/// Reads what [`put_revision`] wrote; whether it names a delete comes last.
pub(super) fn revision(bytes: &[u8]) -> Option<(Revision, i64, bool)> {
    let tombstone = match bytes.len() {
        REVISION_BYTES => false,
        len if len == REVISION_BYTES + 1 && bytes[REVISION_BYTES] == TOMBSTONE => true,
        _ => return None,
    };
    let main = i64::from_be_bytes(bytes[..8].try_into().ok()?);
    let sub = i64::from_be_bytes(bytes[9..REVISION_BYTES].try_into().ok()?);
    (bytes[8] == b'_' && main > 0 && sub >= 0).then_some((main, sub, tombstone))
}
