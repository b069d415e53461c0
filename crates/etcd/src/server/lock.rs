//! v3lockpb.Lock: one holder at a time, the others in the order of their arrival.

use std::convert::Infallible;
use std::task::{Context, Poll};

use etcd_client::proto::{PbLockResponse, PbRangeRequest, PbUnlockResponse};
use futures_util::future::BoxFuture;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tower::Service;

use super::calls::{Calls, found, get, oldest, put};
use super::messages::{LockRequest, UnlockRequest};
use super::queue::{self, Place};
use super::unary;
use crate::Upstream;

/// Serves locks with the keys of an upstream.
#[derive(Clone, Debug)]
pub struct LockServer {
    upstream: Upstream,
}

impl LockServer {
    /// Keeps locks as keys of `upstream`.
    pub fn new(upstream: Upstream) -> LockServer {
        LockServer { upstream }
    }
}

impl NamedService for LockServer {
    const NAME: &'static str = "v3lockpb.Lock";
}

impl Service<http::Request<Body>> for LockServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let upstream = self.upstream.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/v3lockpb.Lock/Lock" => unary(request, |asked| lock(upstream.clone(), asked)).await,
                "/v3lockpb.Lock/Unlock" => unary(request, |asked| unlock(upstream.clone(), asked)).await,
                path => Status::unimplemented(format!("unknown method {path}")).into_http(),
            })
        })
    }
}

async fn lock(upstream: Upstream, request: Request<LockRequest>) -> Result<Response<PbLockResponse>, Status> {
    let calls = Calls::new(upstream, request.metadata());
    let LockRequest { name, lease } = request.into_inner();
    let lease = calls.lease(lease).await?;
    let prefix = queue::prefix(&name);
    let key = queue::key(&prefix, lease);
    let mine = get(PbRangeRequest { key: key.clone(), ..PbRangeRequest::default() });
    let first = get(oldest(&prefix));
    let take = vec![put(&key, Vec::new(), lease), first.clone()];
    let txn = calls.if_created((&key, 0), take, vec![mine, first]).await?;
    let created = if txn.succeeded { None } else { found(&txn, 0).map(|kv| kv.create_revision) };
    let revision = created.or(txn.header.as_ref().map(|header| header.revision)).unwrap_or_default();
    if found(&txn, 1).is_none_or(|owner| owner.create_revision == revision) {
        return Ok(Response::new(PbLockResponse { header: txn.header, key }));
    }
    let header = Place::new(calls.clone(), key.clone(), revision).first(&prefix).await?;
    // The lease may have ended in the meantime: then it is somebody else's turn.
    let held = calls.range(PbRangeRequest { key: key.clone(), ..PbRangeRequest::default() }).await?;
    if held.kvs.first().is_none_or(|kv| kv.create_revision != revision) {
        return Err(Status::unknown("mutex: session is expired"));
    }
    Ok(Response::new(PbLockResponse { header, key }))
}

async fn unlock(upstream: Upstream, request: Request<UnlockRequest>) -> Result<Response<PbUnlockResponse>, Status> {
    let calls = Calls::new(upstream, request.metadata());
    let deleted = calls.delete(request.into_inner().key).await?;
    Ok(Response::new(PbUnlockResponse { header: deleted.header }))
}
