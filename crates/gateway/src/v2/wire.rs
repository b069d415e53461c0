//! PURE. The pieces that transactions of v2 are made of.

use etcd_client::proto::{
    PbCompare, PbCompareTarget, PbDeleteRequest, PbKeyValue, PbPutRequest, PbRangeRequest, PbResponseOp, PbTargetUnion,
    PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp,
};

use super::path::Span;

const EQUAL: i32 = 0;
const GREATER: i32 = 1;
/// Sort orders and targets of a range.
pub const ASCEND: i32 = 1;
/// Backwards.
pub const DESCEND: i32 = 2;
/// By the revision of creation.
pub const BY_CREATE: i32 = 2;

fn compare(key: Vec<u8>, result: i32, target: PbCompareTarget, union: PbTargetUnion) -> PbCompare {
    PbCompare { result, target: target as i32, key, range_end: Vec::new(), target_union: Some(union) }
}

/// The key is not there.
pub fn absent(key: Vec<u8>) -> PbCompare {
    compare(key, EQUAL, PbCompareTarget::Create, PbTargetUnion::CreateRevision(0))
}

/// The key is there.
pub fn exists(key: Vec<u8>) -> PbCompare {
    compare(key, GREATER, PbCompareTarget::Create, PbTargetUnion::CreateRevision(0))
}

/// No key is there.
pub fn empty(span: Span) -> PbCompare {
    PbCompare { range_end: span.end, ..absent(span.start) }
}

/// The key has this value.
pub fn value_is(key: Vec<u8>, value: Vec<u8>) -> PbCompare {
    compare(key, EQUAL, PbCompareTarget::Value, PbTargetUnion::Value(value))
}

/// The key was last changed at this revision.
pub fn changed_at(key: Vec<u8>, revision: i64) -> PbCompare {
    compare(key, EQUAL, PbCompareTarget::Mod, PbTargetUnion::ModRevision(revision))
}

/// The key has this lease.
pub fn leased(key: Vec<u8>, lease: i64) -> PbCompare {
    compare(key, EQUAL, PbCompareTarget::Lease, PbTargetUnion::Lease(lease))
}

fn op(request: PbTxnOpRequest) -> PbTxnRequestOp {
    PbTxnRequestOp { request: Some(request) }
}

/// Reads one key.
pub fn get(key: Vec<u8>) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestRange(PbRangeRequest { key, ..PbRangeRequest::default() }))
}

/// Reads the names of up to `limit` keys.
pub fn names(span: Span, limit: i64) -> PbRangeRequest {
    PbRangeRequest { key: span.start, range_end: span.end, limit, keys_only: true, ..PbRangeRequest::default() }
}

/// A range as an operation.
pub fn range(request: PbRangeRequest) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestRange(request))
}

/// Writes a key and reads what was there.
pub fn put(request: PbPutRequest) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestPut(PbPutRequest { prev_kv: true, ..request }))
}

/// Writes a directory's marker.
pub fn mark(key: Vec<u8>, lease: i64) -> PbTxnRequestOp {
    put(PbPutRequest { key, lease, ..PbPutRequest::default() })
}

/// Removes one key and reads it.
pub fn delete(key: Vec<u8>) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestDeleteRange(PbDeleteRequest { key, prev_kv: true, ..PbDeleteRequest::default() }))
}

/// Removes all keys of an interval.
pub fn delete_span(span: Span) -> PbTxnRequestOp {
    let request = PbDeleteRequest { key: span.start, range_end: span.end, ..PbDeleteRequest::default() };
    op(PbTxnOpRequest::RequestDeleteRange(request))
}

/// A transaction in a transaction, without an else.
pub fn only_if(guard: PbCompare, then: PbTxnRequestOp) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestTxn(PbTxnRequest { compare: vec![guard], success: vec![then], failure: Vec::new() }))
}

/// The keys that an operation answered with: what a range found, or what a write replaced or removed.
pub fn pairs(response: Option<PbResponseOp>) -> Vec<PbKeyValue> {
    match response.and_then(|response| response.response) {
        Some(PbTxnOpResponse::ResponseRange(range)) => range.kvs,
        Some(PbTxnOpResponse::ResponsePut(put)) => put.prev_kv.into_iter().collect(),
        Some(PbTxnOpResponse::ResponseDeleteRange(delete)) => delete.prev_kvs,
        Some(PbTxnOpResponse::ResponseTxn(_)) | None => Vec::new(),
    }
}
