//! The store as a file of etcd's own: what `etcdctl snapshot save` gets and `etcdctl snapshot restore` takes, and the way back.
//!
//! In between are records of the log's kind: a dump of the state, or the start of a new log.

mod export;
mod hash;
mod import;
mod proto;
mod restore;
mod schema;

pub(crate) use export::Export;
pub(crate) use hash::{hash_all, hash_kv};
pub use import::ImportError;
pub use restore::{FileStatus, RestoreError, Restored, restore, status};
