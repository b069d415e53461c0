//! Servers of etcd's services that are made of other services: Lock and Election, over any [`crate::Upstream`].
//!
//! They keep no state: a lock is a key bound to a lease, `NAME/LEASE` with the lease in hex, and whoever has the oldest key below
//! `NAME/` holds it. The others wait for the key before theirs to go. So a lock taken here excludes one taken by etcdctl.

mod calls;
mod election;
mod lock;
mod messages;
mod queue;

use std::future::Future;

use http::{Request, Response};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic_prost::ProstCodec;

pub use election::ElectionServer;
pub use lock::LockServer;

/// Answers an HTTP request that is a call of one message by one.
async fn unary<Q, A, F>(request: Request<Body>, call: impl FnMut(tonic::Request<Q>) -> F) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    A: Message + Default + Send + 'static,
    F: Future<Output = Result<tonic::Response<A>, Status>>,
{
    tonic::server::Grpc::new(ProstCodec::<A, Q>::default()).unary(tower::service_fn(call), request).await
}
