//! Transactions, and with them every write: checked and rewritten as a whole, whichever branch will be taken.

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbDeleteResponse, PbPutRequest, PbResponseOp, PbTxnOpRequest, PbTxnOpResponse,
    PbTxnRequest, PbTxnRequestOp, PbTxnResponse,
};

use super::range::RangeMerge;
use super::{Beside, Keys, MAX_TXN_DEPTH, RangePlan, Refusal, beside, check_lease, is_reserved, range};

/// What to ask instead of a transaction, and how to read the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct TxnPlan {
    /// The transaction to ask for.
    pub request: PbTxnRequest,
    restore: Restore,
}

/// How the answers to each branch's operations become the answers to what was asked.
#[derive(Debug, Clone, PartialEq, Default)]
struct Restore {
    success: Vec<RestoreOp>,
    failure: Vec<RestoreOp>,
}

#[derive(Debug, Clone, PartialEq)]
enum RestoreOp {
    /// One answer, as it is.
    One,
    /// Two answers of a read.
    Range(RangeMerge),
    /// Two answers of a deletion.
    Delete,
    /// The answer of a nested transaction.
    Txn(Restore),
}

/// Checks a put.
pub fn put(request: &PbPutRequest) -> Result<(), Refusal> {
    if is_reserved(&request.key) {
        return Err(Refusal::Reserved);
    }
    check_lease(request.lease)
}

/// Plans a deletion: one request for each part of its range that applications have.
pub fn delete(request: &PbDeleteRequest) -> Result<Vec<PbDeleteRequest>, Refusal> {
    let over = |Keys { key, range_end }| PbDeleteRequest { key, range_end, prev_kv: request.prev_kv };
    match beside(&request.key, &request.range_end) {
        Beside::Whole => Ok(vec![request.clone()]),
        Beside::Part(keys) => Ok(vec![over(keys)]),
        Beside::Two(before, behind) => Ok(vec![over(before), over(behind)]),
        Beside::Nothing => Err(Refusal::Reserved),
    }
}

/// Plans a transaction.
pub fn txn(request: PbTxnRequest) -> Result<TxnPlan, Refusal> {
    nested(request, MAX_TXN_DEPTH)
}

/// `levels` may still be within each other. Operations are counted by the store, which knows its limit; one that becomes two is two.
fn nested(request: PbTxnRequest, levels: usize) -> Result<TxnPlan, Refusal> {
    let levels = levels.checked_sub(1).ok_or(Refusal::TooManyOps)?;
    let compare = request.compare.into_iter().map(compare).collect::<Result<_, _>>()?;
    let (success, success_restore) = branch(request.success, levels)?;
    let (failure, failure_restore) = branch(request.failure, levels)?;
    Ok(TxnPlan {
        request: PbTxnRequest { compare, success, failure },
        restore: Restore { success: success_restore, failure: failure_restore },
    })
}

fn compare(compare: PbCompare) -> Result<PbCompare, Refusal> {
    match beside(&compare.key, &compare.range_end) {
        Beside::Whole => Ok(compare),
        Beside::Part(Keys { key, range_end }) => Ok(PbCompare { key, range_end, ..compare }),
        // A range without keys compares as one key that is missing: what is true of both parts may be false of the whole.
        Beside::Two(..) => Err(Refusal::CompareAcross),
        Beside::Nothing => Err(Refusal::Reserved),
    }
}

fn branch(asked: Vec<PbTxnRequestOp>, levels: usize) -> Result<(Vec<PbTxnRequestOp>, Vec<RestoreOp>), Refusal> {
    let mut requests = Vec::with_capacity(asked.len());
    let mut restore = Vec::with_capacity(asked.len());
    let mut add = |request| requests.push(PbTxnRequestOp { request });
    for op in asked {
        restore.push(match op.request {
            Some(PbTxnOpRequest::RequestRange(request)) => match range(request)? {
                RangePlan::One(request) => {
                    add(Some(PbTxnOpRequest::RequestRange(request)));
                    RestoreOp::One
                }
                RangePlan::Two(halves, merge) => {
                    for half in *halves {
                        add(Some(PbTxnOpRequest::RequestRange(half)));
                    }
                    RestoreOp::Range(merge)
                }
            },
            Some(PbTxnOpRequest::RequestPut(request)) => {
                put(&request)?;
                add(Some(PbTxnOpRequest::RequestPut(request)));
                RestoreOp::One
            }
            Some(PbTxnOpRequest::RequestDeleteRange(request)) => {
                let parts = delete(&request)?;
                let restore = if parts.len() == 2 { RestoreOp::Delete } else { RestoreOp::One };
                for part in parts {
                    add(Some(PbTxnOpRequest::RequestDeleteRange(part)));
                }
                restore
            }
            Some(PbTxnOpRequest::RequestTxn(request)) => {
                let TxnPlan { request, restore } = nested(request, levels)?;
                add(Some(PbTxnOpRequest::RequestTxn(request)));
                RestoreOp::Txn(restore)
            }
            // The store has words for an operation that is none.
            None => {
                add(None);
                RestoreOp::One
            }
        });
    }
    Ok((requests, restore))
}

impl TxnPlan {
    /// The answer to what was asked; `None` if this is not an answer to [`TxnPlan::request`].
    pub fn restore(&self, answer: PbTxnResponse) -> Option<PbTxnResponse> {
        self.restore.whole(answer)
    }
}

impl Restore {
    fn whole(&self, answer: PbTxnResponse) -> Option<PbTxnResponse> {
        let branch = if answer.succeeded { &self.success } else { &self.failure };
        let mut answers = answer.responses.into_iter();
        let responses = branch.iter().map(|op| op.whole(&mut answers)).collect::<Option<Vec<_>>>()?;
        let nothing_left = answers.next().is_none();
        nothing_left.then_some(PbTxnResponse { responses, ..answer })
    }
}

impl RestoreOp {
    fn whole(&self, answers: &mut impl Iterator<Item = PbResponseOp>) -> Option<PbResponseOp> {
        let first = answers.next()?;
        let whole = match self {
            RestoreOp::One => return Some(first),
            RestoreOp::Range(merge) => match (first.response?, answers.next()?.response?) {
                (PbTxnOpResponse::ResponseRange(before), PbTxnOpResponse::ResponseRange(behind)) => {
                    PbTxnOpResponse::ResponseRange(merge.merge(before, behind))
                }
                _ => return None,
            },
            RestoreOp::Delete => match (first.response?, answers.next()?.response?) {
                (PbTxnOpResponse::ResponseDeleteRange(before), PbTxnOpResponse::ResponseDeleteRange(behind)) => {
                    PbTxnOpResponse::ResponseDeleteRange(merge_deletes(before, behind))
                }
                _ => return None,
            },
            RestoreOp::Txn(restore) => match first.response? {
                PbTxnOpResponse::ResponseTxn(answer) => PbTxnOpResponse::ResponseTxn(restore.whole(answer)?),
                _ => return None,
            },
        };
        Some(PbResponseOp { response: Some(whole) })
    }
}

/// The later of the two headers tells the revision after both.
fn merge_deletes(before: PbDeleteResponse, behind: PbDeleteResponse) -> PbDeleteResponse {
    let mut prev_kvs = before.prev_kvs;
    prev_kvs.extend(behind.prev_kvs);
    PbDeleteResponse { header: behind.header, deleted: before.deleted + behind.deleted, prev_kvs }
}
