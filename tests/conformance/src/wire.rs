//! A connection to a store that sends any message, also one that no client library would.

use std::net::SocketAddr;
use std::time::Duration;

use etcd_client::proto as pb;
use flota_etcd::Upstream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status, Streaming};

use crate::normal::{self, Normal};
use crate::ops::Op;

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of one store.
#[derive(Clone, Debug)]
pub struct Wire {
    upstream: Upstream,
}

impl Wire {
    /// Connects; the store may still be starting.
    pub async fn connect(addr: SocketAddr) -> Wire {
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap();
        let wire = Wire { upstream: Upstream::new(endpoint.connect_lazy()) };
        let ready = async {
            let nothing = pb::PbRangeRequest { key: b"?".to_vec(), ..Default::default() };
            while wire.range(&nothing).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("the store answers");
        wire
    }

    /// Range.
    pub async fn range(&self, request: &pb::PbRangeRequest) -> Result<pb::PbRangeResponse, Status> {
        self.unary("/etcdserverpb.KV/Range", request).await
    }

    /// Put.
    pub async fn put(&self, request: &pb::PbPutRequest) -> Result<pb::PbPutResponse, Status> {
        self.unary("/etcdserverpb.KV/Put", request).await
    }

    /// DeleteRange.
    pub async fn delete(&self, request: &pb::PbDeleteRequest) -> Result<pb::PbDeleteResponse, Status> {
        self.unary("/etcdserverpb.KV/DeleteRange", request).await
    }

    /// Txn.
    pub async fn txn(&self, request: &pb::PbTxnRequest) -> Result<pb::PbTxnResponse, Status> {
        self.unary("/etcdserverpb.KV/Txn", request).await
    }

    /// Compact.
    pub async fn compact(&self, revision: i64) -> Result<pb::PbCompactionResponse, Status> {
        let request = pb::PbCompactionRequest { revision, physical: false };
        self.unary("/etcdserverpb.KV/Compact", &request).await
    }

    /// LeaseLeases.
    pub async fn leases(&self) -> Result<pb::PbLeaseLeasesResponse, Status> {
        self.unary("/etcdserverpb.Lease/LeaseLeases", &pb::PbLeaseLeasesRequest {}).await
    }

    /// LeaseRevoke.
    pub async fn revoke(&self, id: i64) -> Result<pb::PbLeaseRevokeResponse, Status> {
        self.unary("/etcdserverpb.Lease/LeaseRevoke", &pb::PbLeaseRevokeRequest { id }).await
    }

    /// Does any operation but a watch's, and gives the answer in comparable form.
    pub async fn run(&self, op: &Op) -> Normal {
        match op {
            Op::Put(request) => normal::put(self.put(request).await),
            Op::Delete(request) => normal::delete(self.delete(request).await),
            Op::Range(request) => normal::range(self.range(request).await),
            Op::Txn(request) => normal::txn(self.txn(request).await),
            Op::Compact(revision) => normal::compact(self.compact(*revision).await),
            Op::Grant(request) => normal::grant(self.unary("/etcdserverpb.Lease/LeaseGrant", request).await),
            Op::Revoke(id) => normal::revoke(self.revoke(*id).await),
            Op::TimeToLive(request) => {
                normal::time_to_live(self.unary("/etcdserverpb.Lease/LeaseTimeToLive", request).await)
            }
            Op::Leases => normal::leases(self.leases().await),
            Op::KeepAlive(id) => normal::keep_alive(self.keep_alive(*id).await),
            Op::Watch(_) | Op::Cancel(_) => unreachable!("watches have streams of their own"),
        }
    }

    /// Opens a watch stream; its first request goes along, for etcd answers nothing before it.
    pub async fn watch(
        &self,
        first: pb::PbWatchRequest,
    ) -> (mpsc::Sender<pb::PbWatchRequest>, Streaming<pb::PbWatchResponse>) {
        let (sender, receiver) = mpsc::channel(64);
        sender.send(first).await.unwrap();
        let requests = Request::new(ReceiverStream::new(receiver));
        let stream = soon(self.upstream.streaming("/etcdserverpb.Watch/Watch", requests)).await;
        (sender, stream.expect("a watch stream").into_inner())
    }

    async fn keep_alive(&self, id: i64) -> Result<pb::PbLeaseKeepAliveResponse, Status> {
        let once = tokio_stream::iter([pb::PbLeaseKeepAliveRequest { id }]);
        let path = "/etcdserverpb.Lease/LeaseKeepAlive";
        let mut answers: Streaming<pb::PbLeaseKeepAliveResponse> =
            soon(self.upstream.streaming(path, Request::new(once))).await?.into_inner();
        soon(answers.message()).await?.ok_or_else(|| Status::new(Code::Aborted, "no answer"))
    }

    async fn unary<Q, A>(&self, path: &'static str, request: &Q) -> Result<A, Status>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        Ok(soon(self.upstream.unary(path, request.clone())).await?.into_inner())
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("an answer within ten seconds")
}
