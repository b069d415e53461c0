//! Answers in a form that two stores must have in common: without ids of cluster and member, terms, and the passing of time.

use etcd_client::proto as pb;
use tonic::Status;

/// An answer, or a refusal, as text to compare and to show.
pub type Normal = String;

fn told<A: std::fmt::Debug>(answer: Result<A, Status>, strip: impl FnOnce(&mut A)) -> Normal {
    match answer {
        Ok(mut answer) => {
            strip(&mut answer);
            format!("{answer:?}")
        }
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// Keeps of a header what must be equal, after a look at what must be there.
fn header(header: &mut Option<pb::PbResponseHeader>) {
    let header = header.as_mut().expect("every answer has a header");
    assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term != 0, "{header:?}");
    *header = pb::PbResponseHeader { revision: header.revision, ..Default::default() };
}

/// Inside a transaction only revisions are told.
fn inner(op: &mut pb::PbResponseOp) {
    if let Some(pb::PbTxnOpResponse::ResponseTxn(txn)) = &mut op.response {
        txn.responses.iter_mut().for_each(inner);
    }
}

/// Of a range.
pub fn range(answer: Result<pb::PbRangeResponse, Status>) -> Normal {
    told(answer, |answer| header(&mut answer.header))
}

/// Of a put.
pub fn put(answer: Result<pb::PbPutResponse, Status>) -> Normal {
    told(answer, |answer| header(&mut answer.header))
}

/// Of a delete.
pub fn delete(answer: Result<pb::PbDeleteResponse, Status>) -> Normal {
    told(answer, |answer| header(&mut answer.header))
}

/// Of a transaction.
pub fn txn(answer: Result<pb::PbTxnResponse, Status>) -> Normal {
    told(answer, |answer| {
        header(&mut answer.header);
        answer.responses.iter_mut().for_each(inner);
    })
}

/// Of a compaction.
pub fn compact(answer: Result<pb::PbCompactionResponse, Status>) -> Normal {
    told(answer, |answer| header(&mut answer.header))
}

/// Of a new lease.
pub fn grant(answer: Result<pb::PbLeaseGrantResponse, Status>) -> Normal {
    told(answer, |answer| header(&mut answer.header))
}

/// Of the end of a lease.
pub fn revoke(answer: Result<pb::PbLeaseRevokeResponse, Status>) -> Normal {
    told(answer, |answer| header(&mut answer.header))
}

/// Of a look at a lease: what is left of it changes by itself.
pub fn time_to_live(answer: Result<pb::PbLeaseTimeToLiveResponse, Status>) -> Normal {
    told(answer, |answer| {
        header(&mut answer.header);
        assert!(answer.ttl <= answer.granted_ttl || answer.ttl == -1, "{answer:?}");
        if answer.ttl >= 0 {
            answer.ttl = answer.granted_ttl;
        }
        answer.keys.sort();
    })
}

/// Of all leases, which come in any order.
pub fn leases(answer: Result<pb::PbLeaseLeasesResponse, Status>) -> Normal {
    told(answer, |answer| {
        header(&mut answer.header);
        answer.leases.sort_by_key(|lease| lease.id);
    })
}

/// Of a sign of life.
pub fn keep_alive(answer: Result<pb::PbLeaseKeepAliveResponse, Status>) -> Normal {
    told(answer, |answer| header(&mut answer.header))
}
