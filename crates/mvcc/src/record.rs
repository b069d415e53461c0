//! What is logged: each change of the store as one record with a compact, versioned-by-its-container encoding.

use std::sync::Arc;

use crate::codec::{DecodeError, Reader, put_bytes, put_i64, put_u64};
use crate::{Alarm, AlarmKind, AuthChange, Key, KeyValue, LeaseId, Revision};

/// One key changed by a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key has this version now.
    Put(Arc<KeyValue>),
    /// The key is gone.
    Delete(Key),
}

/// One durable change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A put, delete or transaction.
    Commit {
        /// Its revision.
        revision: Revision,
        /// The keys, in the order of the operations.
        changes: Vec<Change>,
    },
    /// A new lease.
    LeaseGrant {
        /// Its id.
        id: LeaseId,
        /// Seconds.
        ttl: i64,
    },
    /// The end of a lease, asked for or by time.
    LeaseRevoke {
        /// Its id.
        id: LeaseId,
        /// The revision that deletes its keys; `None` if it had none.
        revision: Option<Revision>,
        /// Its keys, sorted.
        keys: Vec<Key>,
    },
    /// An alarm was raised or disarmed.
    Alarm {
        /// Which.
        alarm: Alarm,
        /// Raised.
        active: bool,
    },
    /// History below this revision is gone.
    Compact(Revision),
    /// The start of a dump: everything before is replaced by what follows, and history below this revision is gone.
    Base(Revision),
    /// In a dump: a key as it was at the base's revision, written before it.
    Restore(Arc<KeyValue>),
    /// A change of users, roles, or whether callers are checked.
    Auth {
        /// The auth revision it leads to.
        revision: u64,
        /// The change.
        change: AuthChange,
    },
}

const COMMIT: u8 = 1;
const LEASE_GRANT: u8 = 2;
const LEASE_REVOKE: u8 = 3;
const COMPACT: u8 = 4;
const BASE: u8 = 5;
/// Not written any more: without the place in its revision.
const RESTORE: u8 = 6;
const AUTH: u8 = 7;
const ALARM: u8 = 20;
const RESTORE_AT: u8 = 9;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const PUT_AT: u8 = 3;

impl Record {
    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Commit { revision, changes } => {
                out.push(COMMIT);
                put_i64(out, *revision);
                put_u64(out, changes.len() as u64);
                for (place, change) in changes.iter().enumerate() {
                    encode_change(out, change, place as u32);
                }
            }
            Record::LeaseGrant { id, ttl } => {
                out.push(LEASE_GRANT);
                put_i64(out, id.get());
                put_i64(out, *ttl);
            }
            Record::LeaseRevoke { id, revision, keys } => {
                out.push(LEASE_REVOKE);
                put_i64(out, id.get());
                put_i64(out, revision.unwrap_or(0));
                put_u64(out, keys.len() as u64);
                for key in keys {
                    put_bytes(out, key);
                }
            }
            Record::Alarm { alarm, active } => {
                out.push(ALARM);
                out.push(alarm.kind.number() as u8);
                put_u64(out, alarm.member);
                out.push(u8::from(*active));
            }
            Record::Compact(revision) => {
                out.push(COMPACT);
                put_i64(out, *revision);
            }
            Record::Base(revision) => {
                out.push(BASE);
                put_i64(out, *revision);
            }
            Record::Restore(kv) => {
                out.push(RESTORE_AT);
                put_i64(out, kv.mod_revision);
                put_u64(out, u64::from(kv.sub));
                encode_kv(out, kv);
            }
            Record::Auth { revision, change } => {
                out.push(AUTH);
                put_u64(out, *revision);
                change.encode(out);
            }
        }
    }

    /// Reads what [`Record::encode`] wrote; refuses anything else.
    pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
        let mut reader = Reader::new(bytes);
        let record = match reader.u8()? {
            COMMIT => {
                let revision = reader.i64()?;
                let mut place = 0;
                let changes = list(&mut reader, |reader| {
                    place += 1;
                    decode_change(reader, revision, place - 1)
                })?;
                Record::Commit { revision, changes }
            }
            LEASE_GRANT => Record::LeaseGrant { id: lease_id(&mut reader)?, ttl: reader.i64()? },
            LEASE_REVOKE => {
                let id = lease_id(&mut reader)?;
                let revision = Some(reader.i64()?).filter(|revision| *revision != 0);
                Record::LeaseRevoke { id, revision, keys: list(&mut reader, |reader| Ok(reader.bytes()?.into()))? }
            }
            ALARM => {
                let offset = reader.offset();
                let kind = AlarmKind::decode(reader.u8()?, offset)?;
                let alarm = Alarm { kind, member: reader.u64()? };
                Record::Alarm { alarm, active: reader.u8()? != 0 }
            }
            COMPACT => Record::Compact(reader.i64()?),
            BASE => Record::Base(reader.i64()?),
            RESTORE => {
                let mod_revision = reader.i64()?;
                Record::Restore(Arc::new(decode_kv(&mut reader, mod_revision, 0)?))
            }
            RESTORE_AT => {
                let (mod_revision, sub) = (reader.i64()?, sub(&mut reader)?);
                Record::Restore(Arc::new(decode_kv(&mut reader, mod_revision, sub)?))
            }
            AUTH => Record::Auth { revision: reader.u64()?, change: AuthChange::decode(&mut reader)? },
            tag => return Err(DecodeError::UnknownTag { tag, offset: 0 }),
        };
        reader.finish()?;
        Ok(record)
    }
}

fn encode_change(out: &mut Vec<u8>, change: &Change, place: u32) {
    match change {
        Change::Put(kv) => {
            // In a database that came from etcd, a compaction can have taken changes before this one away.
            if kv.sub == place {
                out.push(PUT);
            } else {
                out.push(PUT_AT);
                put_u64(out, u64::from(kv.sub));
            }
            encode_kv(out, kv);
        }
        Change::Delete(key) => {
            out.push(DELETE);
            put_bytes(out, key);
        }
    }
}

fn decode_change(reader: &mut Reader<'_>, revision: Revision, place: u32) -> Result<Change, DecodeError> {
    let offset = reader.offset();
    match reader.u8()? {
        PUT => Ok(Change::Put(Arc::new(decode_kv(reader, revision, place)?))),
        PUT_AT => {
            let sub = sub(reader)?;
            Ok(Change::Put(Arc::new(decode_kv(reader, revision, sub)?)))
        }
        DELETE => Ok(Change::Delete(reader.bytes()?.into())),
        tag => Err(DecodeError::UnknownTag { tag, offset }),
    }
}

// The mod revision is not here: a commit's changes all have the commit's.
fn encode_kv(out: &mut Vec<u8>, kv: &KeyValue) {
    put_i64(out, kv.create_revision);
    put_i64(out, kv.version);
    put_i64(out, kv.lease.map_or(0, LeaseId::get));
    put_bytes(out, &kv.key);
    put_bytes(out, &kv.value);
}

fn decode_kv(reader: &mut Reader<'_>, mod_revision: Revision, sub: u32) -> Result<KeyValue, DecodeError> {
    let create_revision = reader.i64()?;
    let version = reader.i64()?;
    let lease = LeaseId::new(reader.i64()?);
    let key = reader.bytes()?.into();
    let value = reader.bytes()?.into();
    Ok(KeyValue { key, value, create_revision, mod_revision, version, lease, sub })
}

fn sub(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let offset = reader.offset();
    u32::try_from(reader.u64()?).map_err(|_| DecodeError::BadNumber(offset))
}

fn lease_id(reader: &mut Reader<'_>) -> Result<LeaseId, DecodeError> {
    let offset = reader.offset();
    LeaseId::new(reader.i64()?).ok_or(DecodeError::BadNumber(offset))
}

// Grows with what is really there: a length from damaged bytes must not reserve memory.
pub(crate) fn list<T>(
    reader: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    /// Most lists are of one.
    const MAX_RESERVED: u64 = 16;
    let count = reader.u64()?;
    let mut items = Vec::with_capacity(count.min(MAX_RESERVED) as usize);
    for _ in 0..count {
        items.push(item(reader)?);
    }
    Ok(items)
}
