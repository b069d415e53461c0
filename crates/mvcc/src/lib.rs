//! PURE. The etcd v3 state machine: revisions, ranges, transactions, leases, watches, compaction.
//!
//! In: a [`Request`] and the time as [`Millis`]. Out: a [`Response`] and the [`Record`]s that make it durable.
//!
//! Invariant: [`Mvcc`] holds only what its caller has made durable. Requests are evaluated by a [`Batch`], which sees the durable
//! state below and its own pending changes above; the caller logs [`Pending::records`], and only then calls [`Mvcc::apply`].
//! A batch that cannot be logged is dropped, and nothing has happened.
//!
//! Invariant: every revision above 1 is one [`Commit`]; revisions have no gaps. Replaying the same records gives the same state.
//!
//! Invariant: no IO, no clock, no randomness. Lease ids are chosen by the caller.

mod alarm;
mod auth;
mod batch;
mod codec;
mod dump;
mod error;
mod history;
mod index;
mod intervals;
mod lease;
mod range;
mod record;
mod replay;
mod request;
mod state;
mod txn;
mod types;

pub use alarm::{Alarm, AlarmKind};
pub use auth::{Auth, AuthChange, AuthError, AuthRequest, Caller, Permission, PermissionKind, ROOT, Role, User};
pub use batch::{Batch, Pending};
pub use codec::DecodeError;
pub use dump::Dump;
pub use error::Error;
pub use history::{Commit, Event, EventFilter, Events, MAX_CATCH_UP_BYTES, MAX_CATCH_UP_REVISIONS};
pub use record::{Change, Record};
pub use replay::Replay;
pub use request::{
    Answer, Compare, CompareResult, CompareTarget, DeleteRequest, DeleteResponse, KeepAliveResponse, LeaseStatus,
    Limits, MAX_REQUEST_BYTES, MAX_TXN_OPS, PutRequest, PutResponse, RangeRequest, RangeResponse, Request, Response,
    Retention, SortOrder, SortTarget, TxnOp, TxnRequest, TxnResponse,
};
pub use state::{Mvcc, ReplayError};
pub use types::{Key, KeyRange, KeyValue, LeaseId, MAX_LEASE_TTL, MIN_LEASE_TTL, Millis, Revision};
