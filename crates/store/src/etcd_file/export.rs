//! A dump of the state as the rows and buckets of etcd's database.

use std::io::Write;
use std::sync::Arc;

use flota_bolt::{Bucket, Entries, Entry, WriteError};
use flota_mvcc::{AuthChange, Change, KeyValue, Record, Revision};
use prost::Message;

use super::proto;
use super::schema::{
    ALARM, AUTH, AUTH_ENABLED, AUTH_REVISION, AUTH_ROLES, AUTH_USERS, CLUSTER, CLUSTER_VERSION, CONSISTENT_INDEX,
    FINISHED_COMPACTION, KEY, LEASE, MEMBERS, MEMBERS_REMOVED, META, Row, SCHEDULED_COMPACTION, TERM, Version,
    put_revision,
};
use crate::service;

/// The state at one revision, sharing its values with the running store.
#[derive(Default)]
pub(crate) struct Export {
    pub(super) compacted: Revision,
    pub(super) revision: Revision,
    /// What was there at the compaction and has been since before it, by revision.
    base: Vec<Arc<KeyValue>>,
    commits: Vec<(Revision, Vec<Change>)>,
    leases: Pairs,
    auth: Pairs,
    users: Pairs,
    roles: Pairs,
    cluster: Pairs,
    meta: Pairs,
}

/// Keys and values of a small bucket, sorted.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

impl Export {
    /// Takes what [`flota_mvcc::Mvcc::dump`] gave.
    pub(crate) fn new(records: Vec<Record>) -> Export {
        let mut export = Export { compacted: -1, revision: 1, ..Export::default() };
        let (mut auth_revision, mut auth_enabled) = (1, false);
        for record in records {
            match record {
                Record::Base(compacted) => export.compacted = compacted,
                Record::Restore(kv) => export.base.push(kv),
                Record::Commit { revision, changes } => {
                    export.revision = revision;
                    export.commits.push((revision, changes));
                }
                Record::LeaseGrant { id, ttl } => {
                    let lease = proto::Lease { id: id.get(), ttl };
                    export.leases.push((id.get().to_be_bytes().to_vec(), lease.encode_to_vec()));
                }
                Record::Auth { revision, change } => {
                    auth_revision = revision;
                    auth_enabled = matches!(change, AuthChange::Enable);
                    export.account(change);
                }
                // Not in a dump; and an alarm is about the disk that the file is not on any more.
                Record::LeaseRevoke { .. } | Record::Compact(_) | Record::Alarm { .. } => {}
            }
        }
        export.revision = export.revision.max(export.compacted);
        export.base.sort_by(|a, b| (a.mod_revision, a.sub, &a.key).cmp(&(b.mod_revision, b.sub, &b.key)));
        // Ids are signed numbers, keys are bytes.
        export.leases.sort();
        export.auth = vec![
            (AUTH_ENABLED.to_vec(), vec![u8::from(auth_enabled)]),
            (AUTH_REVISION.to_vec(), auth_revision.to_be_bytes().to_vec()),
        ];
        export.cluster = vec![(CLUSTER_VERSION.to_vec(), service::CLUSTER_VERSION.as_bytes().to_vec())];
        export.meta = export.meta();
        export
    }

    fn account(&mut self, change: AuthChange) {
        match change {
            AuthChange::PutUser(user) => {
                let message = proto::User {
                    name: user.name.clone().into_bytes(),
                    password: user.password.into_vec(),
                    roles: user.roles.into_iter().collect(),
                    options: Some(proto::UserOptions { no_password: user.no_password }),
                };
                self.users.push((user.name.into_bytes(), message.encode_to_vec()));
            }
            AuthChange::PutRole(role) => {
                let permissions = role.permissions.into_iter().map(|permission| proto::Permission {
                    kind: permission.kind.number(),
                    key: permission.key,
                    range_end: permission.range_end,
                });
                let message = proto::Role { name: role.name.clone().into_bytes(), permissions: permissions.collect() };
                self.roles.push((role.name.into_bytes(), message.encode_to_vec()));
            }
            AuthChange::Enable | AuthChange::Disable | AuthChange::DeleteUser(_) | AuthChange::DeleteRole(_) => {}
        }
    }

    /// All versions in the order of their revisions.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let base = self.base.iter().map(|kv| (kv.mod_revision, Version::Put(kv)));
        let commits = self.commits.iter().flat_map(|(main, changes)| {
            changes.iter().map(|change| match change {
                Change::Put(kv) => (*main, Version::Put(kv)),
                Change::Delete(key) => (*main, Version::Delete(key)),
            })
        });
        // The main revision of the row before, and the least sub that may follow.
        let mut last = (0, 0);
        base.chain(commits).map(move |(main, version)| {
            let least = if last.0 == main { last.1 } else { 0 };
            let sub = match version {
                Version::Put(kv) => least.max(i64::from(kv.sub)),
                Version::Delete(_) => least,
            };
            last = (main, sub + 1);
            Row { main, sub, version }
        })
    }

    /// Whether a row is of the time up to the compaction.
    pub(super) fn is_old(&self, row: &Row<'_>) -> bool {
        row.main <= self.compacted
    }

    fn meta(&self) -> Pairs {
        let mut compacted = Vec::new();
        put_revision(&mut compacted, self.compacted, 0);
        let mut meta = vec![(CONSISTENT_INDEX.to_vec(), self.revision.to_be_bytes().to_vec())];
        if self.compacted > 0 {
            meta.push((FINISHED_COMPACTION.to_vec(), compacted.clone()));
            meta.push((SCHEDULED_COMPACTION.to_vec(), compacted));
        }
        meta.push((TERM.to_vec(), service::TERM.to_be_bytes().to_vec()));
        meta
    }

    /// The buckets, in order.
    ///
    /// There are no members: who makes a cluster of the file gives it its own, and etcdctl 3.4 would delete what looks like the old ones.
    pub(super) fn buckets(&self) -> Vec<Bucket<'_>> {
        fn small<'a>(name: &'a [u8], pairs: &'a [(Vec<u8>, Vec<u8>)]) -> Bucket<'a> {
            let entries = move || -> Entries<'a> {
                Box::new(pairs.iter().map(|(key, value)| Box::new((&**key, &**value)) as Box<dyn Entry>))
            };
            Bucket { name, entries: Box::new(entries) }
        }
        let keys = || -> Entries<'_> { Box::new(self.rows().map(|row| Box::new(row) as Box<dyn Entry>)) };
        vec![
            small(ALARM, &[]),
            small(AUTH, &self.auth),
            small(AUTH_ROLES, &self.roles),
            small(AUTH_USERS, &self.users),
            small(CLUSTER, &self.cluster),
            Bucket { name: KEY, entries: Box::new(keys) },
            small(LEASE, &self.leases),
            small(MEMBERS, &[]),
            small(MEMBERS_REMOVED, &[]),
            small(META, &self.meta),
        ]
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> Result<u64, WriteError> {
        flota_bolt::size(&self.buckets())
    }

    /// Writes the file.
    pub(crate) fn write(&self, out: &mut dyn Write) -> Result<u64, WriteError> {
        flota_bolt::write(&self.buckets(), out)
    }
}
