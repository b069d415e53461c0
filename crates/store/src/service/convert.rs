//! Between the wire's messages and the state machine's types.
//!
//! Keys and values are copied: the wire's buffers are larger than what they hold, and must not live as long as the store.

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbDeleteResponse, PbKeyValue, PbPutRequest, PbPutResponse, PbRangeRequest,
    PbRangeResponse, PbResponseHeader, PbResponseOp, PbTargetUnion, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest,
    PbTxnRequestOp, PbTxnResponse,
};
use flota_mvcc::{
    AuthError, Compare, CompareResult, CompareTarget, DeleteRequest, DeleteResponse, Error, KeyRange, KeyValue,
    LeaseId, PutRequest, PutResponse, RangeRequest, RangeResponse, Response, Revision, SortOrder, SortTarget, TxnOp,
    TxnRequest, TxnResponse,
};
use tonic::Status;

use crate::shared::{Refusal, Shared};

/// The term that is told: that of a member that has just elected itself, and leads for ever.
pub(crate) const TERM: u64 = 2;

#[expect(clippy::unnecessary_wraps, reason = "the wire's messages hold their header as an option")]
pub(super) fn header(shared: &Shared, revision: Revision) -> Option<PbResponseHeader> {
    let identity = shared.identity;
    let (cluster_id, member_id) = (identity.cluster_id, identity.member_id);
    Some(PbResponseHeader { cluster_id, member_id, revision, raft_term: TERM })
}

/// Answers inside a transaction tell only the revision.
#[expect(clippy::unnecessary_wraps, reason = "the wire's messages hold their header as an option")]
fn inner_header(revision: Revision) -> Option<PbResponseHeader> {
    Some(PbResponseHeader { revision, ..PbResponseHeader::default() })
}

/// The answer's code; the texts are etcd's.
pub(super) fn status(refusal: Refusal) -> Status {
    let error = match refusal {
        Refusal::Busy => return Status::resource_exhausted("etcdserver: too many requests"),
        Refusal::Stopped => return Status::unavailable("etcdserver: server stopped"),
        Refusal::Request(error) => error,
    };
    let text = error.to_string();
    match error {
        Error::EmptyKey
        | Error::KeyNotFound
        | Error::ValueProvided
        | Error::LeaseProvided
        | Error::TooManyOps
        | Error::DuplicateKey
        | Error::RequestTooLarge => Status::invalid_argument(text),
        Error::Compacted | Error::FutureRevision | Error::LeaseTtlTooLarge => Status::out_of_range(text),
        Error::NoSpace => Status::resource_exhausted(text),
        Error::Corrupt => Status::data_loss(text),
        Error::LeaseNotFound => Status::not_found(text),
        Error::LeaseExists => Status::failed_precondition(text),
        Error::Auth(error) => auth_status(error),
    }
}

fn auth_status(error: AuthError) -> Status {
    let text = error.to_string();
    match error {
        AuthError::UserEmpty
        | AuthError::RoleEmpty
        | AuthError::AuthFailed
        | AuthError::InvalidManagement
        | AuthError::OldRevision => Status::invalid_argument(text),
        AuthError::RootUserMissing
        | AuthError::RootRoleMissing
        | AuthError::UserExists
        | AuthError::UserNotFound
        | AuthError::RoleExists
        | AuthError::RoleNotFound
        | AuthError::RoleNotGranted
        | AuthError::PermissionNotGranted
        | AuthError::NotEnabled => Status::failed_precondition(text),
        AuthError::PermissionDenied => Status::permission_denied(text),
        AuthError::InvalidToken => Status::unauthenticated(text),
        AuthError::NoPasswordUser | AuthError::VerifyOnly => Status::unknown(text),
    }
}

/// Maintenance tells its refusals as etcd 3.4 does: without their codes, in other words.
pub(super) fn maintenance_status(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Request(Error::Auth(AuthError::UserEmpty)) => Status::unknown("auth: user name is empty"),
        Refusal::Request(Error::Auth(AuthError::UserNotFound)) => Status::unknown("auth: user not found"),
        Refusal::Request(Error::Auth(AuthError::PermissionDenied)) => Status::unknown("auth: permission denied"),
        Refusal::Request(Error::Auth(AuthError::InvalidToken)) => Status::unknown("auth: invalid auth token"),
        other => status(other),
    }
}

/// An answer of another kind than the request: a bug, told as such.
pub(super) fn mismatch() -> Status {
    Status::internal("the store answered another question")
}

// === Requests ===

pub(super) fn range_request(request: PbRangeRequest) -> Result<RangeRequest, Status> {
    let invalid = || Status::invalid_argument("etcdserver: invalid sort option");
    let sort_order = match request.sort_order {
        0 => SortOrder::None,
        1 => SortOrder::Ascend,
        2 => SortOrder::Descend,
        _ => return Err(invalid()),
    };
    let sort_target = match request.sort_target {
        0 => SortTarget::Key,
        1 => SortTarget::Version,
        2 => SortTarget::Create,
        3 => SortTarget::Mod,
        4 => SortTarget::Value,
        _ => return Err(invalid()),
    };
    // `serializable` is the same as linearizable: what can be read is durable, and there is one member.
    Ok(RangeRequest {
        range: KeyRange::new(&request.key, &request.range_end),
        limit: request.limit,
        revision: request.revision,
        sort_order,
        sort_target,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: request.min_mod_revision,
        max_mod_revision: request.max_mod_revision,
        min_create_revision: request.min_create_revision,
        max_create_revision: request.max_create_revision,
    })
}

pub(super) fn put_request(request: PbPutRequest) -> PutRequest {
    PutRequest {
        key: request.key,
        value: request.value,
        lease: LeaseId::new(request.lease),
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

pub(super) fn delete_request(request: &PbDeleteRequest) -> DeleteRequest {
    DeleteRequest { range: KeyRange::new(&request.key, &request.range_end), prev_kv: request.prev_kv }
}

pub(super) fn txn_request(request: PbTxnRequest) -> Result<TxnRequest, Status> {
    Ok(TxnRequest {
        compare: request.compare.into_iter().map(compare).collect::<Result<_, _>>()?,
        success: request.success.into_iter().map(txn_op).collect::<Result<_, _>>()?,
        failure: request.failure.into_iter().map(txn_op).collect::<Result<_, _>>()?,
    })
}

fn txn_op(op: PbTxnRequestOp) -> Result<TxnOp, Status> {
    match op.request {
        Some(PbTxnOpRequest::RequestRange(range)) => Ok(TxnOp::Range(range_request(range)?)),
        Some(PbTxnOpRequest::RequestPut(put)) => Ok(TxnOp::Put(put_request(put))),
        Some(PbTxnOpRequest::RequestDeleteRange(delete)) => Ok(TxnOp::Delete(delete_request(&delete))),
        Some(PbTxnOpRequest::RequestTxn(txn)) => Ok(TxnOp::Txn(txn_request(txn)?)),
        // What etcd answers to an operation that is none.
        None => Err(status(Refusal::Request(Error::KeyNotFound))),
    }
}

fn compare(compare: PbCompare) -> Result<Compare, Status> {
    let result = match compare.result {
        0 => CompareResult::Equal,
        1 => CompareResult::Greater,
        2 => CompareResult::Less,
        3 => CompareResult::NotEqual,
        other => return Err(Status::invalid_argument(format!("unknown compare result {other}"))),
    };
    // The target decides; an operand of another kind, or none, is that target's zero.
    let number =
        |wanted: fn(&PbTargetUnion) -> Option<i64>| compare.target_union.as_ref().and_then(wanted).unwrap_or(0);
    let target =
        match compare.target {
            0 => CompareTarget::Version(number(
                |operand| if let PbTargetUnion::Version(n) = operand { Some(*n) } else { None },
            )),
            1 => CompareTarget::Create(number(|operand| {
                if let PbTargetUnion::CreateRevision(n) = operand { Some(*n) } else { None }
            })),
            2 => CompareTarget::Mod(number(
                |operand| {
                    if let PbTargetUnion::ModRevision(n) = operand { Some(*n) } else { None }
                },
            )),
            3 => CompareTarget::Value(match compare.target_union {
                Some(PbTargetUnion::Value(value)) => value,
                _ => Vec::new(),
            }),
            4 => CompareTarget::Lease(number(
                |operand| if let PbTargetUnion::Lease(n) = operand { Some(*n) } else { None },
            )),
            other => return Err(Status::invalid_argument(format!("unknown compare target {other}"))),
        };
    Ok(Compare { range: KeyRange::new(&compare.key, &compare.range_end), target, result })
}

// === Responses ===

pub(super) fn key_value(kv: &KeyValue) -> PbKeyValue {
    PbKeyValue { value: kv.value.to_vec(), ..key_only(kv) }
}

fn key_only(kv: &KeyValue) -> PbKeyValue {
    PbKeyValue {
        key: kv.key.to_vec(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        value: Vec::new(),
        lease: kv.lease.map_or(0, LeaseId::get),
    }
}

pub(super) fn range_response(response: &RangeResponse, header: Option<PbResponseHeader>) -> PbRangeResponse {
    let convert = if response.keys_only { key_only } else { key_value };
    let kvs = response.kvs.iter().map(|kv| convert(kv)).collect();
    PbRangeResponse { header, kvs, more: response.more, count: response.count }
}

pub(super) fn put_response(response: &PutResponse, header: Option<PbResponseHeader>) -> PbPutResponse {
    PbPutResponse { header, prev_kv: response.prev_kv.as_ref().map(|kv| key_value(kv)) }
}

pub(super) fn delete_response(response: &DeleteResponse, header: Option<PbResponseHeader>) -> PbDeleteResponse {
    let prev_kvs = response.prev_kvs.iter().map(|kv| key_value(kv)).collect();
    PbDeleteResponse { header, deleted: response.deleted, prev_kvs }
}

pub(super) fn txn_response(response: &TxnResponse, header: Option<PbResponseHeader>) -> PbTxnResponse {
    let responses = response.responses.iter().map(|inner| PbResponseOp { response: inner_response(inner) }).collect();
    PbTxnResponse { header, succeeded: response.succeeded, responses }
}

fn inner_response(response: &Response) -> Option<PbTxnOpResponse> {
    match response {
        Response::Range(range) => {
            Some(PbTxnOpResponse::ResponseRange(range_response(range, inner_header(range.revision))))
        }
        Response::Put(put) => Some(PbTxnOpResponse::ResponsePut(put_response(put, inner_header(put.revision)))),
        Response::Delete(delete) => {
            Some(PbTxnOpResponse::ResponseDeleteRange(delete_response(delete, inner_header(delete.revision))))
        }
        Response::Txn(txn) => Some(PbTxnOpResponse::ResponseTxn(txn_response(txn, inner_header(txn.revision)))),
        // Only the four above can be operations.
        Response::Compact { .. }
        | Response::LeaseGrant { .. }
        | Response::LeaseRevoke { .. }
        | Response::LeaseKeepAlive(_)
        | Response::Alarm { .. }
        | Response::Auth { .. } => None,
    }
}
