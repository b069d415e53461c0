//! The calls that locks and elections are made of, in the name of whoever called.

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbDeleteResponse, PbEvent, PbKeyValue, PbLeaseGrantRequest, PbLeaseGrantResponse,
    PbPutRequest, PbRangeRequest, PbRangeResponse, PbResponseHeader, PbTargetUnion, PbTxnOpRequest, PbTxnRequest,
    PbTxnRequestOp, PbTxnResponse, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse,
};
use futures_util::{StreamExt, stream};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

use crate::Upstream;

/// Seconds that a lease lasts which was not given with the request.
const SESSION_TTL: i64 = 60;

/// The wire's numbers for a range: ascending or descending, by create revision.
const ASCEND: i32 = 1;
const DESCEND: i32 = 2;
const BY_CREATE: i32 = 2;

/// Names under which a client may send its token.
const TOKENS: [&str; 2] = ["token", "authorization"];

#[derive(Clone)]
pub(super) struct Calls {
    upstream: Upstream,
    metadata: MetadataMap,
}

impl Calls {
    /// With the caller's token.
    pub(super) fn new(upstream: Upstream, caller: &MetadataMap) -> Calls {
        let mut metadata = MetadataMap::new();
        for name in TOKENS {
            if let Some(token) = caller.get(name) {
                metadata.insert(name, token.clone());
            }
        }
        Calls { upstream, metadata }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }

    async fn call<Q, A>(&self, path: &'static str, message: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let answer = self.upstream.unary::<Q, A>(path, self.request(message)).await;
        Ok(answer.map_err(told)?.into_inner())
    }

    pub(super) async fn range(&self, range: PbRangeRequest) -> Result<PbRangeResponse, Status> {
        self.call("/etcdserverpb.KV/Range", range).await
    }

    pub(super) async fn delete(&self, key: Vec<u8>) -> Result<PbDeleteResponse, Status> {
        let delete = PbDeleteRequest { key, ..PbDeleteRequest::default() };
        self.call("/etcdserverpb.KV/DeleteRange", delete).await
    }

    /// Runs `success` if `key` was created at `revision`, which is 0 if there is none, and `failure` otherwise.
    pub(super) async fn if_created(
        &self,
        (key, revision): (&[u8], i64),
        success: Vec<PbTxnRequestOp>,
        failure: Vec<PbTxnRequestOp>,
    ) -> Result<PbTxnResponse, Status> {
        let target_union = Some(PbTargetUnion::CreateRevision(revision));
        let compare = PbCompare { result: 0, target: 1, key: key.to_vec(), target_union, range_end: Vec::new() };
        let txn = PbTxnRequest { compare: vec![compare], success, failure };
        self.call("/etcdserverpb.KV/Txn", txn).await
    }

    /// The lease to use: the one that was given, or a new one.
    pub(super) async fn lease(&self, given: i64) -> Result<i64, Status> {
        if given != 0 {
            return Ok(given);
        }
        let grant = PbLeaseGrantRequest { ttl: SESSION_TTL, id: 0 };
        let granted: PbLeaseGrantResponse = self.call("/etcdserverpb.Lease/LeaseGrant", grant).await?;
        Ok(granted.id)
    }

    /// Waits until no key below `prefix` is as old as `revision`, or older.
    pub(super) async fn wait_for_older(
        &self,
        prefix: &[u8],
        revision: i64,
    ) -> Result<Option<PbResponseHeader>, Status> {
        loop {
            let newest = PbRangeRequest {
                max_create_revision: revision,
                sort_order: DESCEND,
                sort_target: BY_CREATE,
                limit: 1,
                ..below(prefix)
            };
            let found = self.range(newest).await?;
            let Some(kv) = found.kvs.into_iter().next() else { return Ok(found.header) };
            let from = found.header.as_ref().map_or(0, |header| header.revision);
            let mut events = self.watch(kv.key, Vec::new(), from).await?;
            while !events.next().await?.1.iter().any(is_delete) {}
        }
    }

    pub(super) async fn watch(&self, key: Vec<u8>, range_end: Vec<u8>, from: i64) -> Result<Events, Status> {
        let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
        if let PbWatchRequestUnion::CreateRequest(create) = &mut union {
            create.key = key;
            create.range_end = range_end;
            create.start_revision = from;
        }
        let create = PbWatchRequest { request_union: Some(union) };
        // The end of the requests would be the end of the watch.
        let requests = stream::iter([create]).chain(stream::pending());
        let path = "/etcdserverpb.Watch/Watch";
        let answer = self.upstream.streaming::<PbWatchRequest, _, _>(path, self.request(requests)).await;
        Ok(Events { answers: answer.map_err(told)?.into_inner() })
    }
}

/// What a watch sees.
pub(super) struct Events {
    answers: Streaming<PbWatchResponse>,
}

impl Events {
    /// The next events, and the header that came with them.
    pub(super) async fn next(&mut self) -> Result<(Option<PbResponseHeader>, Vec<PbEvent>), Status> {
        loop {
            let answer = self.answers.message().await.map_err(told)?;
            let answer = answer.ok_or_else(|| Status::unknown("lost watcher waiting for delete"))?;
            if answer.canceled {
                let compacted = "etcdserver: mvcc: required revision has been compacted";
                return Err(Status::unknown(if answer.compact_revision > 0 {
                    compacted
                } else {
                    &answer.cancel_reason
                }));
            }
            if !answer.events.is_empty() {
                return Ok((answer.header, answer.events));
            }
        }
    }
}

/// Everything below a prefix, which ends in a slash: `0` is the byte that follows it.
pub(super) fn below(prefix: &[u8]) -> PbRangeRequest {
    let mut range_end = prefix.to_vec();
    range_end.pop();
    range_end.push(b'0');
    PbRangeRequest { key: prefix.to_vec(), range_end, ..PbRangeRequest::default() }
}

/// The oldest key below a prefix.
pub(super) fn oldest(prefix: &[u8]) -> PbRangeRequest {
    PbRangeRequest { sort_order: ASCEND, sort_target: BY_CREATE, limit: 1, ..below(prefix) }
}

pub(super) fn get(range: PbRangeRequest) -> PbTxnRequestOp {
    PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestRange(range)) }
}

pub(super) fn put(key: &[u8], value: Vec<u8>, lease: i64) -> PbTxnRequestOp {
    let put = PbPutRequest { key: key.to_vec(), value, lease, ..PbPutRequest::default() };
    PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestPut(put)) }
}

pub(super) fn delete(key: &[u8]) -> PbTxnRequestOp {
    let delete = PbDeleteRequest { key: key.to_vec(), ..PbDeleteRequest::default() };
    PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestDeleteRange(delete)) }
}

pub(super) fn is_delete(event: &PbEvent) -> bool {
    event.r#type == 1
}

/// The first key of the `index`th answer of a transaction, which was a read.
pub(super) fn found(txn: &PbTxnResponse, index: usize) -> Option<&PbKeyValue> {
    match txn.responses.get(index)?.response.as_ref()? {
        etcd_client::proto::PbTxnOpResponse::ResponseRange(range) => range.kvs.first(),
        _ => None,
    }
}

/// Etcd loses the code on this way, and keeps the text.
fn told(status: Status) -> Status {
    Status::unknown(status.message())
}
