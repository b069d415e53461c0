//! etcd's database as records from which the same state can be replayed.

use std::collections::BTreeMap;
use std::sync::Arc;

use etcd_client::proto::PbKeyValue;
use flota_bolt::{Database, ReadAt, ReadError};
use flota_mvcc::{
    AuthChange, Change, Key, KeyValue, LeaseId, Permission, PermissionKind, Record, Revision, Role, User,
};
use prost::Message;

use super::proto;
use super::schema::{
    AUTH, AUTH_ENABLED, AUTH_REVISION, AUTH_ROLES, AUTH_USERS, FINISHED_COMPACTION, KEY, LEASE, META,
    SCHEDULED_COMPACTION, revision,
};

/// Most revisions in a row that nothing was written at; etcd itself leaves none above a compaction.
const MAX_GAP: i64 = 1_000_000;

/// Why a file cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read as a database.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is a database, but not etcd's.
    #[error("not a database of etcd v3: it has no bucket `{bucket}`")]
    NoBucket {
        /// What is missing.
        bucket: &'static str,
    },
}

/// What a database holds.
#[derive(Debug, Default)]
pub struct Imported {
    /// The records, to be replayed from the first on.
    pub records: Vec<Record>,
    /// The last revision.
    pub revision: Revision,
    /// The revision up to which history is gone; -1 if it never was compacted.
    pub compacted: Revision,
    /// Versions of keys.
    pub versions: usize,
    /// Leases.
    pub leases: usize,
    /// Users.
    pub users: usize,
}

/// Reads the whole database.
pub(super) fn import(database: &Database<impl ReadAt>) -> Result<Imported, ImportError> {
    database.check()?;
    let compacted = compaction(database)?;
    let mut imported = Imported { compacted, revision: 1, ..Imported::default() };
    imported.records.push(Record::Base(compacted));
    leases(database, &mut imported)?;
    auth(database, &mut imported)?;
    keys(database, &mut imported)?;
    Ok(imported)
}

fn wrong(bucket: &str, key: &[u8], what: &str) -> ReadError {
    ReadError::Content(format!("bucket `{bucket}`, key {}: {what}", key.escape_ascii()))
}

/// A compaction that etcd has begun is finished here.
fn compaction(database: &Database<impl ReadAt>) -> Result<Revision, ImportError> {
    let mut compacted = -1;
    let found = database.for_each(&[META], &mut |key, value| {
        if key == FINISHED_COMPACTION || key == SCHEDULED_COMPACTION {
            let (main, ..) = revision(value).ok_or_else(|| wrong("meta", key, "it is not a revision"))?;
            compacted = compacted.max(main);
        }
        Ok(())
    })?;
    if found { Ok(compacted) } else { Err(ImportError::NoBucket { bucket: "meta" }) }
}

fn leases(database: &Database<impl ReadAt>, imported: &mut Imported) -> Result<(), ImportError> {
    database.for_each(&[LEASE], &mut |key, value| {
        let lease = proto::Lease::decode(value).map_err(|error| wrong("lease", key, &error.to_string()))?;
        let id = LeaseId::new(lease.id).ok_or_else(|| wrong("lease", key, "the lease has no id"))?;
        imported.records.push(Record::LeaseGrant { id, ttl: lease.ttl });
        imported.leases += 1;
        Ok(())
    })?;
    Ok(())
}

fn auth(database: &Database<impl ReadAt>, imported: &mut Imported) -> Result<(), ImportError> {
    let (mut enabled, mut auth_revision) = (false, 1);
    database.for_each(&[AUTH], &mut |key, value| {
        if key == AUTH_ENABLED {
            enabled = value == [1];
        } else if key == AUTH_REVISION {
            let number = value.try_into().map_err(|_| wrong("auth", key, "it is not a number"))?;
            auth_revision = u64::from_be_bytes(number).max(1);
        }
        Ok(())
    })?;
    let mut changes = Vec::new();
    database.for_each(&[AUTH_ROLES], &mut |key, value| {
        let role = proto::Role::decode(value).map_err(|error| wrong("authRoles", key, &error.to_string()))?;
        changes.push(AuthChange::PutRole(role_of(key, role)?));
        Ok(())
    })?;
    database.for_each(&[AUTH_USERS], &mut |key, value| {
        let user = proto::User::decode(value).map_err(|error| wrong("authUsers", key, &error.to_string()))?;
        imported.users += 1;
        changes.push(AuthChange::PutUser(User {
            name: name("authUsers", key, user.name)?,
            password: user.password.into(),
            no_password: user.options.is_some_and(|options| options.no_password),
            password_revision: auth_revision,
            roles: user.roles.into_iter().collect(),
        }));
        Ok(())
    })?;
    if enabled {
        changes.push(AuthChange::Enable);
    } else if auth_revision > 1 {
        changes.push(AuthChange::Disable);
    }
    imported.records.extend(changes.into_iter().map(|change| Record::Auth { revision: auth_revision, change }));
    Ok(())
}

fn role_of(key: &[u8], role: proto::Role) -> Result<Role, ReadError> {
    let permissions = role.permissions.into_iter().map(|permission| {
        let kind = PermissionKind::new(permission.kind)
            .ok_or_else(|| wrong("authRoles", key, "a permission is of an unknown kind"))?;
        Ok(Permission { kind, key: permission.key, range_end: permission.range_end })
    });
    Ok(Role { name: name("authRoles", key, role.name)?, permissions: permissions.collect::<Result<_, ReadError>>()? })
}

fn name(bucket: &str, key: &[u8], name: Vec<u8>) -> Result<String, ReadError> {
    String::from_utf8(name).map_err(|_| wrong(bucket, key, "the name is not UTF-8"))
}

/// The versions, in the order of their revisions: up to the compaction only those that can still be seen, then one commit each.
#[derive(Default)]
struct Keys {
    compacted: Revision,
    base: BTreeMap<Key, Arc<KeyValue>>,
    commits: Vec<Record>,
    /// The commit at hand.
    main: Revision,
    changes: Vec<Change>,
}

fn keys(database: &Database<impl ReadAt>, imported: &mut Imported) -> Result<(), ImportError> {
    // Where nothing was compacted commits begin with the first revision that a write can make.
    let first = imported.compacted.max(2);
    let mut keys = Keys { compacted: imported.compacted, main: first, ..Keys::default() };
    let found = database.for_each(&[KEY], &mut |key, value| {
        let (main, sub, is_delete) = revision(key).ok_or_else(|| wrong("key", key, "it is not a revision"))?;
        let wire = PbKeyValue::decode(value).map_err(|error| wrong("key", key, &error.to_string()))?;
        let version = if is_delete { Err(Key::from(wire.key)) } else { Ok(Arc::new(version(key, main, sub, wire)?)) };
        imported.versions += 1;
        keys.add(key, main, version)
    })?;
    if !found {
        return Err(ImportError::NoBucket { bucket: "key" });
    }
    // Of a commit at the compaction itself nothing may be left; then it is empty, but there.
    if !keys.changes.is_empty() || keys.main == imported.compacted {
        keys.end_commit();
    }
    imported.revision = keys.commits.last().map_or(1, |_| keys.main - 1);
    imported.records.extend(keys.base.into_values().map(Record::Restore));
    imported.records.append(&mut keys.commits);
    Ok(())
}

impl Keys {
    /// Takes a version, or the key that was deleted.
    fn add(&mut self, name: &[u8], main: Revision, version: Result<Arc<KeyValue>, Key>) -> Result<(), ReadError> {
        if main < self.compacted {
            match version {
                Ok(kv) => self.base.insert(Arc::clone(&kv.key), kv),
                Err(key) => self.base.remove(&key),
            };
            return Ok(());
        }
        if main - self.main > MAX_GAP || main < self.main {
            return Err(wrong("key", name, &format!("revision {main} cannot come after revision {}", self.main)));
        }
        while self.main < main {
            self.end_commit();
        }
        self.changes.push(match version {
            Ok(kv) => Change::Put(kv),
            Err(key) => Change::Delete(key),
        });
        Ok(())
    }

    fn end_commit(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        self.commits.push(Record::Commit { revision: self.main, changes });
        self.main += 1;
    }
}

fn version(name: &[u8], main: Revision, sub: i64, wire: PbKeyValue) -> Result<KeyValue, ReadError> {
    if wire.mod_revision != main || wire.key.is_empty() {
        return Err(wrong("key", name, "the version is not of this revision"));
    }
    let sub = u32::try_from(sub).map_err(|_| wrong("key", name, "there cannot be so many changes in one revision"))?;
    Ok(KeyValue {
        key: wire.key.into(),
        value: wire.value.into(),
        create_revision: wire.create_revision,
        mod_revision: main,
        version: wire.version,
        lease: LeaseId::new(wire.lease),
        sub,
    })
}
