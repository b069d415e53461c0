//! The calls to the store: bounded in time, their failures in v2's words.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::proto::{
    PbCompare, PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseLeasesRequest, PbLeaseLeasesResponse,
    PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse, PbRangeRequest,
    PbRangeResponse, PbResponseHeader, PbResponseOp, PbTxnRequest, PbTxnRequestOp, PbTxnResponse, PbWatchRequest,
    PbWatchRequestUnion, PbWatchResponse,
};
use flota_etcd::Upstream;
use futures_util::{StreamExt, stream};
use tonic::{Code as GrpcCode, Status, Streaming};

use super::error::{Code, V2Error};
use super::path::{KeyPath, Span};

/// Longest wait for an answer; etcd gives its v2 requests as long.
const CALL_TIMEOUT: Duration = Duration::from_secs(7);

/// The store, and who it said it is.
pub struct Store {
    upstream: Upstream,
    cluster_id: AtomicU64,
    member_id: AtomicU64,
    term: AtomicU64,
}

/// What a transaction came to.
pub struct Answer {
    /// Whether its compares held.
    pub succeeded: bool,
    /// The store's revision after it.
    pub revision: i64,
    /// One for each operation.
    pub responses: Vec<PbResponseOp>,
}

impl Store {
    /// Over any etcd v3 service.
    pub fn new(upstream: Upstream) -> Store {
        let unknown = || AtomicU64::new(0);
        Store { upstream, cluster_id: unknown(), member_id: unknown(), term: unknown() }
    }

    /// Cluster and member id; 0 before the store has been reached.
    pub async fn ids(&self) -> (u64, u64) {
        if self.cluster_id.load(Ordering::Relaxed) == 0 {
            let _ = self.revision().await; // Then they are told as unknown.
        }
        (self.cluster_id.load(Ordering::Relaxed), self.member_id.load(Ordering::Relaxed))
    }

    /// The term of the last answer.
    pub fn term(&self) -> u64 {
        self.term.load(Ordering::Relaxed)
    }

    /// The revision now.
    pub async fn revision(&self) -> Result<i64, V2Error> {
        let request = PbRangeRequest { key: b"/".to_vec(), count_only: true, ..PbRangeRequest::default() };
        self.range(request).await.map(|(revision, _)| revision)
    }

    /// A range, and the store's revision.
    pub async fn range(&self, request: PbRangeRequest) -> Result<(i64, PbRangeResponse), V2Error> {
        let response: PbRangeResponse = self
            .call(self.upstream.unary("/etcdserverpb.KV/Range", request))
            .await
            .map_err(|status| refusal(&status))?;
        Ok((self.note(response.header.as_ref()), response))
    }

    /// Whether history from `revision` on is still there.
    pub async fn remembers(&self, revision: i64) -> Result<bool, V2Error> {
        let request = PbRangeRequest { key: b"/".to_vec(), count_only: true, revision, ..PbRangeRequest::default() };
        let answer: Result<PbRangeResponse, Status> =
            self.call(self.upstream.unary("/etcdserverpb.KV/Range", request)).await;
        match answer {
            Ok(_) => Ok(true),
            Err(status) if status.code() == GrpcCode::OutOfRange => Ok(false),
            Err(status) => Err(refusal(&status)),
        }
    }

    /// Whether nothing was below `directory` at `revision`.
    pub async fn was_empty(&self, directory: &KeyPath, revision: i64) -> Result<bool, V2Error> {
        let Span { start, end } = directory.inside();
        let request =
            PbRangeRequest { key: start, range_end: end, revision, count_only: true, ..PbRangeRequest::default() };
        Ok(self.range(request).await?.1.count == 0)
    }

    /// A transaction.
    pub async fn txn(&self, request: PbTxnRequest) -> Result<Answer, V2Error> {
        let response: PbTxnResponse =
            self.call(self.upstream.unary("/etcdserverpb.KV/Txn", request)).await.map_err(|status| refusal(&status))?;
        let revision = self.note(response.header.as_ref());
        Ok(Answer { succeeded: response.succeeded, revision, responses: response.responses })
    }

    /// Several reads at one revision.
    pub async fn reads(&self, success: Vec<PbTxnRequestOp>) -> Result<Answer, V2Error> {
        self.txn(PbTxnRequest { compare: Vec::<PbCompare>::new(), success, failure: Vec::new() }).await
    }

    /// Grants a lease under an id; false if that is taken.
    pub async fn grant(&self, id: i64, ttl: i64) -> Result<bool, V2Error> {
        let request = PbLeaseGrantRequest { ttl, id };
        let granted: Result<PbLeaseGrantResponse, Status> =
            self.call(self.upstream.unary("/etcdserverpb.Lease/LeaseGrant", request)).await;
        match granted {
            Ok(_) => Ok(true),
            Err(status) if status.code() == GrpcCode::FailedPrecondition => Ok(false),
            Err(status) => Err(refusal(&status)),
        }
    }

    /// Ends a lease; that it is gone already is as good.
    pub async fn revoke(&self, id: i64) -> Result<(), V2Error> {
        let request = PbLeaseRevokeRequest { id };
        let revoked: Result<PbLeaseRevokeResponse, Status> =
            self.call(self.upstream.unary("/etcdserverpb.Lease/LeaseRevoke", request)).await;
        match revoked {
            Err(status) if status.code() != GrpcCode::NotFound => Err(refusal(&status)),
            _ => Ok(()),
        }
    }

    /// Seconds that a lease has left, and its keys; None if it is gone.
    pub async fn lease(&self, id: i64) -> Result<Option<(i64, Vec<Vec<u8>>)>, V2Error> {
        let request = PbLeaseTimeToLiveRequest { id, keys: true };
        let response: Result<PbLeaseTimeToLiveResponse, Status> =
            self.call(self.upstream.unary("/etcdserverpb.Lease/LeaseTimeToLive", request)).await;
        match response {
            Ok(response) => Ok((response.ttl >= 0).then_some((response.ttl, response.keys))),
            Err(status) if status.code() == GrpcCode::NotFound => Ok(None),
            Err(status) => Err(refusal(&status)),
        }
    }

    /// The ids of all leases.
    pub async fn leases(&self) -> Result<Vec<i64>, V2Error> {
        let response: PbLeaseLeasesResponse = self
            .call(self.upstream.unary("/etcdserverpb.Lease/LeaseLeases", PbLeaseLeasesRequest {}))
            .await
            .map_err(|status| refusal(&status))?;
        Ok(response.leases.into_iter().map(|lease| lease.id).collect())
    }

    /// Watches an interval of keys from a revision on, with what was there before. Ends when the stream is dropped.
    pub async fn watch(&self, span: Span, start_revision: i64) -> Result<Streaming<PbWatchResponse>, Status> {
        let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
        if let PbWatchRequestUnion::CreateRequest(create) = &mut union {
            create.key = span.start;
            create.range_end = span.end;
            create.start_revision = start_revision;
            create.prev_kv = true;
        }
        let request = PbWatchRequest { request_union: Some(union) };
        let requests = stream::iter([request]).chain(stream::pending());
        self.call(self.upstream.streaming("/etcdserverpb.Watch/Watch", tonic::Request::new(requests))).await
    }

    async fn call<A>(
        &self,
        call: impl Future<Output = Result<tonic::Response<A>, Status>> + Send,
    ) -> Result<A, Status> {
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("etcdserver: request timed out")),
        }
    }

    fn note(&self, header: Option<&PbResponseHeader>) -> i64 {
        let Some(header) = header else { return 0 };
        self.cluster_id.store(header.cluster_id, Ordering::Relaxed);
        self.member_id.store(header.member_id, Ordering::Relaxed);
        self.term.store(header.raft_term, Ordering::Relaxed);
        header.revision
    }
}

/// The store's refusal as v2's.
fn refusal(status: &Status) -> V2Error {
    let code = match status.code() {
        GrpcCode::PermissionDenied | GrpcCode::Unauthenticated => Code::Unauthorized,
        GrpcCode::InvalidArgument if status.message().contains("user name is empty") => Code::Unauthorized,
        GrpcCode::InvalidArgument => Code::InvalidForm,
        GrpcCode::ResourceExhausted if status.message().contains("larger than max") => Code::InvalidForm,
        _ => Code::Internal,
    };
    V2Error::new(code, status.message())
}
