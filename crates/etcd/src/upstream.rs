//! A gRPC service to call, wherever it is: over a connection, or in this very process.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Request, Response};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{IntoRequest, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt};

use crate::causes::root;

/// Largest answer taken in; larger than anything a store sends (a range of 100,000 keys of 1 KiB is 100 MiB).
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// Metadata by which a proxy says that it passes on what others ask: the embedded store's private door is then nobody's without a token
/// (`docs/adr/0007-the-private-door-is-root.md`). A real etcd does not look at it.
pub const ON_BEHALF: &str = "flota-on-behalf";

/// An etcd v3 gRPC server as something that can be called; clones share it.
#[derive(Clone, Debug)]
pub struct Upstream {
    service: BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>,
}

impl Upstream {
    /// Wraps a connection ([`tonic::transport::Channel`]) or a server of this process ([`tonic::service::Routes`]).
    pub fn new<S>(service: S) -> Upstream
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        Upstream { service: BoxCloneSyncService::new(service.map_err(Into::into)) }
    }

    /// Calls a method with one request and one answer, such as `/etcdserverpb.KV/Range`. A [`tonic::Request`] carries its metadata along.
    pub async fn unary<Q, A>(
        &self,
        path: &'static str,
        request: impl IntoRequest<Q>,
    ) -> Result<tonic::Response<A>, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc().await?;
        grpc.unary(request.into_request(), PathAndQuery::from_static(path), ProstCodec::default()).await
    }

    /// Calls a method with a stream of requests and one of answers, such as `/etcdserverpb.Watch/Watch`.
    pub async fn streaming<Q, A, S>(
        &self,
        path: &'static str,
        requests: tonic::Request<S>,
    ) -> Result<tonic::Response<Streaming<A>>, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
        S: futures_util::Stream<Item = Q> + Send + 'static,
    {
        let mut grpc = self.grpc().await?;
        grpc.streaming(requests, PathAndQuery::from_static(path), ProstCodec::default()).await
    }

    /// The service itself, for whoever has the HTTP request of a gRPC call at hand.
    pub fn into_service(self) -> BoxCloneSyncService<Request<Body>, Response<Body>, BoxError> {
        self.service
    }

    /// A gRPC client of the service, for messages of any encoding.
    pub(crate) async fn grpc(&self) -> Result<Grpc<Caller>, Status> {
        let caller = Caller { service: self.service.clone() };
        let mut grpc = Grpc::new(caller).max_decoding_message_size(MAX_ANSWER_BYTES);
        grpc.ready().await?;
        Ok(grpc)
    }
}

/// The service with a plain error: futures that hold a boxed one cannot be sent between threads in generic code.
pub(crate) struct Caller {
    service: BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>,
}

impl Service<Request<Body>> for Caller {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.service.poll_ready(cx).map_err(out_of_reach)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        Answer { answer: self.service.call(request) }
    }
}

/// The answer that is to come.
pub(crate) struct Answer {
    answer: BoxFuture<'static, Result<Response<Body>, BoxError>>,
}

impl Future for Answer {
    type Output = Result<Response<Body>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(cx).map_err(out_of_reach)
    }
}

/// What was made on this side already, or the root of what happened to the connection.
fn out_of_reach(error: BoxError) -> Status {
    match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) => Status::unavailable(format!("the store is out of reach: {}", root(error.as_ref()))),
    }
}
