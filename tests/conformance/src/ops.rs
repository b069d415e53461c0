//! Random operations: every option of every request, over few keys, so that they meet.

use etcd_client::proto as pb;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A revision of this size or more stands for one that is known only when it is asked for: see [`resolve`].
const RELATIVE: i64 = 1 << 40;

/// One question to a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Put.
    Put(pb::PbPutRequest),
    /// DeleteRange.
    Delete(pb::PbDeleteRequest),
    /// Range.
    Range(pb::PbRangeRequest),
    /// Txn.
    Txn(pb::PbTxnRequest),
    /// Compact to a revision.
    Compact(i64),
    /// LeaseGrant.
    Grant(pb::PbLeaseGrantRequest),
    /// LeaseRevoke by id.
    Revoke(i64),
    /// LeaseTimeToLive.
    TimeToLive(pb::PbLeaseTimeToLiveRequest),
    /// LeaseLeases.
    Leases,
    /// LeaseKeepAlive by id, once.
    KeepAlive(i64),
    /// A new watch on the stream.
    Watch(Watch),
    /// The end of the watch with this id.
    Cancel(i64),
}

/// What a watch is asked to be; etcd's own message, whose type has no public name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// First key.
    pub key: Vec<u8>,
    /// End of the range.
    pub range_end: Vec<u8>,
    /// First revision; 0 is from now on.
    pub start_revision: i64,
    /// 0 leaves out puts, 1 deletes.
    pub filters: Vec<i32>,
    /// Whether events tell what was there before.
    pub prev_kv: bool,
    /// Whether large answers may be split.
    pub fragment: bool,
    /// 0 lets the store choose.
    pub watch_id: i64,
}

impl Watch {
    /// The message.
    pub fn request(&self) -> pb::PbWatchRequest {
        let mut union = pb::PbWatchRequestUnion::CreateRequest(Default::default());
        if let pb::PbWatchRequestUnion::CreateRequest(create) = &mut union {
            create.key.clone_from(&self.key);
            create.range_end.clone_from(&self.range_end);
            create.start_revision = self.start_revision;
            create.filters.clone_from(&self.filters);
            create.prev_kv = self.prev_kv;
            create.fragment = self.fragment;
            create.watch_id = self.watch_id;
        }
        pb::PbWatchRequest { request_union: Some(union) }
    }

    /// The message that cancels a watch.
    pub fn cancel(id: i64) -> pb::PbWatchRequest {
        let mut union = pb::PbWatchRequestUnion::CancelRequest(Default::default());
        if let pb::PbWatchRequestUnion::CancelRequest(cancel) = &mut union {
            cancel.watch_id = id;
        }
        pb::PbWatchRequest { request_union: Some(union) }
    }
}

/// Replaces revisions that are told from the current one by what they are now.
pub fn resolve(op: &Op, current: i64) -> Op {
    let now = |revision: &mut i64| {
        if *revision >= RELATIVE / 2 {
            *revision = (current - (*revision - RELATIVE)).max(0);
        }
    };
    let mut op = op.clone();
    match &mut op {
        Op::Range(range) => resolve_range(range, &now),
        Op::Txn(txn) => resolve_txn(txn, &now),
        Op::Compact(revision) => now(revision),
        Op::Watch(watch) => {
            now(&mut watch.start_revision);
            // 3.4.23 takes a negative one for 0; later releases refuse it, and so do we.
            watch.start_revision = watch.start_revision.max(0);
        }
        _ => {}
    }
    op
}

fn resolve_range(range: &mut pb::PbRangeRequest, now: &impl Fn(&mut i64)) {
    now(&mut range.revision);
    now(&mut range.min_mod_revision);
    now(&mut range.max_mod_revision);
    now(&mut range.min_create_revision);
    now(&mut range.max_create_revision);
}

fn resolve_txn(txn: &mut pb::PbTxnRequest, now: &impl Fn(&mut i64)) {
    for compare in &mut txn.compare {
        if let Some(pb::PbTargetUnion::CreateRevision(revision) | pb::PbTargetUnion::ModRevision(revision)) =
            &mut compare.target_union
        {
            now(revision);
        }
    }
    for op in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut op.request {
            Some(pb::PbTxnOpRequest::RequestRange(range)) => resolve_range(range, now),
            Some(pb::PbTxnOpRequest::RequestTxn(txn)) => resolve_txn(txn, now),
            _ => {}
        }
    }
}

/// A sequence of operations.
pub fn sequence(length: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..length)
}

fn op() -> impl Strategy<Value = Op> {
    // No lease is short enough to end by itself meanwhile: the two clocks are not one.
    prop_oneof![
        12 => put().prop_map(Op::Put),
        4 => delete().prop_map(Op::Delete),
        8 => range().prop_map(Op::Range),
        10 => txn().prop_map(Op::Txn),
        1 => revision().prop_map(Op::Compact),
        2 => (lease(), select(vec![60, 3600, 9_000_000_000, 9_000_000_001, i64::MAX]))
            .prop_map(|(id, ttl)| Op::Grant(pb::PbLeaseGrantRequest { id: id.max(1), ttl })),
        1 => lease().prop_map(Op::Revoke),
        2 => (lease(), any::<bool>())
            .prop_map(|(id, keys)| Op::TimeToLive(pb::PbLeaseTimeToLiveRequest { id, keys })),
        1 => Just(Op::Leases),
        1 => lease().prop_map(Op::KeepAlive),
        3 => watch().prop_map(Op::Watch),
        1 => (0..6i64).prop_map(Op::Cancel),
    ]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let keys: [&[u8]; 9] = [b"a", b"aa", b"ab", b"b", b"b\0", b"c", b"\xff", b"\xff\xff", b"\0"];
    prop_oneof![
        60 => select(keys.map(<[u8]>::to_vec).to_vec()),
        1 => Just(Vec::new()),
    ]
}

/// A key and an end: one key, an interval, a prefix, or all that follow.
fn keys() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    prop_oneof![
        4 => key().prop_map(|key| (key, Vec::new())),
        2 => (key(), key()),
        2 => key().prop_map(|key| {
            let mut end = key.clone();
            if let Some(last) = end.last_mut() {
                *last = last.wrapping_add(1);
            }
            (key, end)
        }),
        1 => key().prop_map(|key| (key, vec![0])),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    select(["", "1", "2", "10", "x"].map(|value| value.as_bytes().to_vec()).to_vec())
}

/// Few ids, the wire's "none" and one that is never granted among them.
fn lease() -> impl Strategy<Value = i64> {
    select(vec![0, 1, 2, 3, 77])
}

/// Around the current revision, around the start, or none.
fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => (-2..12i64).prop_map(|ago| RELATIVE + ago),
        1 => -1..4i64,
    ]
}

fn maybe_revision() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0), 1 => revision()]
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.15)
}

fn put() -> impl Strategy<Value = pb::PbPutRequest> {
    let lease = prop_oneof![3 => Just(0), 1 => lease()];
    (key(), value(), lease, any::<bool>(), rarely(), rarely()).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| {
            // Mostly what may be said together; the rest is an error that both must give.
            let value = if ignore_value && value != b"x" { Vec::new() } else { value };
            let lease = if ignore_lease && lease != 77 { 0 } else { lease };
            pb::PbPutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease }
        },
    )
}

fn delete() -> impl Strategy<Value = pb::PbDeleteRequest> {
    (keys(), any::<bool>()).prop_map(|((key, range_end), prev_kv)| pb::PbDeleteRequest { key, range_end, prev_kv })
}

/// Inside a transaction etcd does not see that a delete up to "the end of all keys", or of an empty range, meets a put. The
/// embedded store sees it and refuses (docs/compat-etcd.md), so such deletes are not asked there.
fn delete_in_txn() -> impl Strategy<Value = pb::PbDeleteRequest> {
    delete().prop_map(|mut delete| {
        if !delete.range_end.is_empty() && (delete.range_end == [0] || delete.range_end <= delete.key) {
            delete.range_end.clear();
        }
        delete
    })
}

fn range() -> impl Strategy<Value = pb::PbRangeRequest> {
    let order = (0..3i32, 0..5i32, prop_oneof![3 => Just(0), 2 => -1..4i64]);
    let flags = (any::<bool>(), rarely(), rarely());
    let bounds = (maybe_revision(), maybe_revision(), maybe_revision(), maybe_revision());
    let bounds = prop_oneof![2 => Just((0, 0, 0, 0)), 1 => bounds];
    (keys(), maybe_revision(), order, flags, bounds).prop_map(
        |(
            (key, range_end),
            revision,
            (sort_order, sort_target, limit),
            (serializable, keys_only, count_only),
            bounds,
        )| {
            pb::PbRangeRequest {
                key,
                range_end,
                limit,
                revision,
                sort_order,
                sort_target,
                serializable,
                keys_only,
                count_only,
                min_mod_revision: bounds.0,
                max_mod_revision: bounds.1,
                min_create_revision: bounds.2,
                max_create_revision: bounds.3,
            }
        },
    )
}

fn compare() -> impl Strategy<Value = pb::PbCompare> {
    let target = prop_oneof![
        (0..4i64).prop_map(|n| (0, pb::PbTargetUnion::Version(n))),
        maybe_revision().prop_map(|n| (1, pb::PbTargetUnion::CreateRevision(n))),
        maybe_revision().prop_map(|n| (2, pb::PbTargetUnion::ModRevision(n))),
        value().prop_map(|value| (3, pb::PbTargetUnion::Value(value))),
        lease().prop_map(|id| (4, pb::PbTargetUnion::Lease(id))),
    ];
    (keys(), 0..4i32, target).prop_map(|((key, range_end), result, (target, operand))| pb::PbCompare {
        key,
        range_end,
        result,
        target,
        target_union: Some(operand),
    })
}

fn txn() -> impl Strategy<Value = pb::PbTxnRequest> {
    let leaf = prop_oneof![
        3 => put().prop_map(pb::PbTxnOpRequest::RequestPut),
        1 => delete_in_txn().prop_map(pb::PbTxnOpRequest::RequestDeleteRange),
        2 => range().prop_map(pb::PbTxnOpRequest::RequestRange),
    ];
    let op = leaf.prop_recursive(2, 8, 3, |inner| txn_of(inner).prop_map(pb::PbTxnOpRequest::RequestTxn));
    txn_of(op)
}

fn txn_of(op: impl Strategy<Value = pb::PbTxnOpRequest> + Clone + 'static) -> impl Strategy<Value = pb::PbTxnRequest> {
    let ops = |most| vec(op.clone().prop_map(|op| pb::PbTxnRequestOp { request: Some(op) }), 0..most);
    (vec(compare(), 0..3), ops(4), ops(3)).prop_map(|(compare, success, failure)| pb::PbTxnRequest {
        compare,
        success,
        failure,
    })
}

fn watch() -> impl Strategy<Value = Watch> {
    let filters = select(vec![vec![], vec![], vec![], vec![0], vec![1], vec![0, 1]]);
    let id = prop_oneof![4 => Just(0), 1 => 1..6i64];
    (keys(), maybe_revision(), filters, any::<bool>(), any::<bool>(), id).prop_map(
        |((key, range_end), start_revision, filters, prev_kv, fragment, watch_id)| Watch {
            key,
            range_end,
            start_revision,
            filters,
            prev_kv,
            fragment,
            watch_id,
        },
    )
}
