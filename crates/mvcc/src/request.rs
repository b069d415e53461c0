//! What can be asked of the store and what it answers: etcd's messages as plain types.

use std::sync::Arc;

use crate::{Alarm, AuthRequest, Error, KeyRange, KeyValue, LeaseId, Revision};

/// Largest request, in bytes of keys and values, unless configured (etcd's default).
pub const MAX_REQUEST_BYTES: usize = 1_572_864;

/// Most operations in one branch of a transaction, and most compares, unless configured (etcd's default).
pub const MAX_TXN_OPS: usize = 128;

/// What a single request may ask for; the same for the life of a running store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of keys and values.
    pub max_request_bytes: usize,
    /// Operations in one branch of a transaction, and compares, nested ones included.
    pub max_txn_ops: usize,
    /// Seconds that the shortest lease lasts; shorter ones are raised to it.
    pub min_lease_ttl: i64,
    /// How much history is kept when it is compacted by itself.
    pub retention: Retention,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_request_bytes: MAX_REQUEST_BYTES,
            max_txn_ops: MAX_TXN_OPS,
            min_lease_ttl: crate::MIN_LEASE_TTL,
            retention: Retention::default(),
        }
    }
}

/// History that is not compacted by itself: what is younger than `age`, and the last `revisions`, whichever is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Milliseconds.
    pub age: u64,
    /// Revisions.
    pub revisions: i64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { age: 10 * 60 * 1000, revisions: 10_000 }
    }
}

/// A request that may change the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Write one key.
    Put(PutRequest),
    /// Delete a range of keys.
    Delete(DeleteRequest),
    /// Compare, then run one of two lists of operations as one revision.
    Txn(TxnRequest),
    /// Forget history below a revision.
    Compact(Revision),
    /// Make a lease of `ttl` seconds.
    LeaseGrant {
        /// The id, chosen by the caller.
        id: LeaseId,
        /// Seconds.
        ttl: i64,
    },
    /// End a lease and delete its keys.
    LeaseRevoke(LeaseId),
    /// Give a lease its full time again.
    LeaseKeepAlive(LeaseId),
    /// Raise or disarm an alarm.
    Alarm {
        /// Which.
        alarm: Alarm,
        /// Raise.
        active: bool,
    },
    /// Change users, roles, or whether callers are checked.
    Auth(AuthRequest),
}

impl Request {
    /// Bytes of keys and values in the request.
    pub fn size(&self) -> usize {
        match self {
            Request::Put(put) => put.size(),
            Request::Delete(delete) => range_size(&delete.range),
            Request::Txn(txn) => txn.size(),
            Request::Auth(request) => request.size(),
            Request::Compact(_)
            | Request::LeaseGrant { .. }
            | Request::LeaseRevoke(_)
            | Request::LeaseKeepAlive(_)
            | Request::Alarm { .. } => 0,
        }
    }

    /// Whether the request can make the store larger; such requests are refused when the disk is full.
    pub fn grows(&self) -> bool {
        match self {
            Request::Put(_) | Request::LeaseGrant { .. } => true,
            Request::Txn(txn) => txn.any_op(&|op| matches!(op, TxnOp::Put(_))),
            _ => false,
        }
    }
}

/// Write one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutRequest {
    /// The key; must not be empty.
    pub key: Vec<u8>,
    /// The new value.
    pub value: Vec<u8>,
    /// The lease to attach the key to; `None` detaches it.
    pub lease: Option<LeaseId>,
    /// Answer with the version that was replaced.
    pub prev_kv: bool,
    /// Keep the present value.
    pub ignore_value: bool,
    /// Keep the present lease.
    pub ignore_lease: bool,
}

impl PutRequest {
    fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// Delete a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRequest {
    /// The keys.
    pub range: KeyRange,
    /// Answer with the versions that were deleted.
    pub prev_kv: bool,
}

/// Order of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// By key, or ascending if another target is named.
    #[default]
    None,
    /// Lowest first.
    Ascend,
    /// Highest first.
    Descend,
}

/// What a range is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// The version.
    Version,
    /// The create revision.
    Create,
    /// The mod revision.
    Mod,
    /// The value.
    Value,
}

/// Read a range of keys at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// The keys.
    pub range: KeyRange,
    /// At most so many; 0 is no limit.
    pub limit: i64,
    /// The revision to read at; 0 or less is now.
    pub revision: Revision,
    /// Order.
    pub sort_order: SortOrder,
    /// What to order by.
    pub sort_target: SortTarget,
    /// Leave the values out.
    pub keys_only: bool,
    /// Answer only with the count.
    pub count_only: bool,
    /// Lowest mod revision; 0 is no bound. This and the next three filter the keys, not the count.
    pub min_mod_revision: Revision,
    /// Highest mod revision; 0 is no bound.
    pub max_mod_revision: Revision,
    /// Lowest create revision; 0 is no bound.
    pub min_create_revision: Revision,
    /// Highest create revision; 0 is no bound.
    pub max_create_revision: Revision,
}

impl RangeRequest {
    /// A plain read of `range` now.
    pub fn new(range: KeyRange) -> RangeRequest {
        RangeRequest {
            range,
            limit: 0,
            revision: 0,
            sort_order: SortOrder::None,
            sort_target: SortTarget::Key,
            keys_only: false,
            count_only: false,
            min_mod_revision: 0,
            max_mod_revision: 0,
            min_create_revision: 0,
            max_create_revision: 0,
        }
    }
}

/// How a compare must come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareResult {
    /// The key's is equal to the given.
    Equal,
    /// The key's is greater than the given.
    Greater,
    /// The key's is less than the given.
    Less,
    /// The key's differs from the given.
    NotEqual,
}

/// What is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The version; 0 if the key does not exist.
    Version(i64),
    /// The create revision; 0 if the key does not exist.
    Create(Revision),
    /// The mod revision; 0 if the key does not exist.
    Mod(Revision),
    /// The value; false if the key does not exist.
    Value(Vec<u8>),
    /// The lease id; 0 if there is none.
    Lease(i64),
}

/// One condition of a transaction; all keys of the range must meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The keys.
    pub range: KeyRange,
    /// What is compared.
    pub target: CompareTarget,
    /// How.
    pub result: CompareResult,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnOp {
    /// Read; sees the writes of earlier operations.
    Range(RangeRequest),
    /// Write.
    Put(PutRequest),
    /// Delete.
    Delete(DeleteRequest),
    /// A transaction inside.
    Txn(TxnRequest),
}

/// Compare, then run one of two lists of operations as one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnRequest {
    /// The conditions; no condition is success.
    pub compare: Vec<Compare>,
    /// Run if all conditions hold.
    pub success: Vec<TxnOp>,
    /// Run otherwise.
    pub failure: Vec<TxnOp>,
}

impl TxnRequest {
    /// Whether no branch can change the store.
    pub fn is_read_only(&self) -> bool {
        !self.any_op(&|op| matches!(op, TxnOp::Put(_) | TxnOp::Delete(_)))
    }

    fn any_op(&self, test: &dyn Fn(&TxnOp) -> bool) -> bool {
        self.success.iter().chain(&self.failure).any(|op| match op {
            TxnOp::Txn(txn) => txn.any_op(test),
            op => test(op),
        })
    }

    fn size(&self) -> usize {
        let compares = self.compare.iter().map(|compare| {
            let value = if let CompareTarget::Value(value) = &compare.target { value.len() } else { 0 };
            range_size(&compare.range) + value
        });
        let ops = self.success.iter().chain(&self.failure).map(|op| match op {
            TxnOp::Range(range) => range_size(&range.range),
            TxnOp::Put(put) => put.size(),
            TxnOp::Delete(delete) => range_size(&delete.range),
            TxnOp::Txn(txn) => txn.size(),
        });
        compares.sum::<usize>() + ops.sum::<usize>()
    }
}

fn range_size(range: &KeyRange) -> usize {
    match range {
        KeyRange::One(key) | KeyRange::From(key) => key.len(),
        KeyRange::Between(start, end) => start.len() + end.len(),
    }
}

/// What a [`Request`] or an error came to.
pub type Answer = Result<Response, Error>;

/// The answer to a [`Request`], by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To a put.
    Put(PutResponse),
    /// To a delete.
    Delete(DeleteResponse),
    /// To a transaction.
    Txn(TxnResponse),
    /// To a range; only inside a transaction.
    Range(RangeResponse),
    /// To a compaction.
    Compact {
        /// The store's revision.
        revision: Revision,
    },
    /// To a grant.
    LeaseGrant {
        /// The store's revision.
        revision: Revision,
        /// The lease.
        id: LeaseId,
        /// Seconds; may be more than was asked.
        ttl: i64,
    },
    /// To a revocation.
    LeaseRevoke {
        /// The revision that deleted the lease's keys, or the store's.
        revision: Revision,
    },
    /// To a keep-alive.
    LeaseKeepAlive(KeepAliveResponse),
    /// To an alarm.
    Alarm {
        /// The store's revision.
        revision: Revision,
        /// The alarm, if it stands now, or was disarmed.
        alarm: Option<Alarm>,
    },
    /// To a change of auth.
    Auth {
        /// The store's revision, which auth does not change.
        revision: Revision,
    },
}

/// Answer to a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutResponse {
    /// The revision of the put.
    pub revision: Revision,
    /// The version before, if asked for.
    pub prev_kv: Option<Arc<KeyValue>>,
}

/// Answer to a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteResponse {
    /// The revision of the delete, or the store's if there was nothing to delete.
    pub revision: Revision,
    /// How many keys were deleted.
    pub deleted: i64,
    /// The versions before, if asked for.
    pub prev_kvs: Vec<Arc<KeyValue>>,
}

/// Answer to a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeResponse {
    /// The store's revision (not the one that was read at).
    pub revision: Revision,
    /// The keys.
    pub kvs: Vec<Arc<KeyValue>>,
    /// Whether values are to be left out of the answer.
    pub keys_only: bool,
    /// Whether the limit left keys out.
    pub more: bool,
    /// Keys in the range, whatever the limit and filters.
    pub count: i64,
}

/// Answer to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResponse {
    /// The revision of the transaction, or the store's if it wrote nothing; 0 in a nested one, as in etcd.
    pub revision: Revision,
    /// Whether the conditions held.
    pub succeeded: bool,
    /// One answer for each operation of the branch that ran.
    pub responses: Vec<Response>,
}

/// Answer to a keep-alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepAliveResponse {
    /// The store's revision.
    pub revision: Revision,
    /// The lease.
    pub id: LeaseId,
    /// Seconds until it ends; 0 if there is no such lease.
    pub ttl: i64,
}

/// What is known about one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Whole seconds left.
    pub ttl: i64,
    /// Seconds it was granted.
    pub granted_ttl: i64,
    /// The attached keys, sorted.
    pub keys: Vec<crate::Key>,
}
