//! grpc.health.v1: whether the store serves, for whoever balances load.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt, stream};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::shared::Shared;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    /// Empty: all services together, the only one that is known.
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const SERVICE_UNKNOWN: i32 = 3;

#[derive(Clone)]
pub(super) struct HealthService {
    shared: Arc<Shared>,
}

impl HealthService {
    pub(super) fn new(shared: &Arc<Shared>) -> HealthService {
        HealthService { shared: Arc::clone(shared) }
    }

    fn status(&self) -> i32 {
        if self.shared.check_alive().is_ok() { SERVING } else { NOT_SERVING }
    }

    fn check(&self, request: &Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !request.get_ref().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(HealthCheckResponse { status: self.status() }))
    }

    /// Tells it once: a store that does not serve any more ends its streams.
    fn watch(&self, request: &Request<HealthCheckRequest>) -> Response<Statuses> {
        let status = if request.get_ref().service.is_empty() { self.status() } else { SERVICE_UNKNOWN };
        let until = self.shared.stopping.clone().cancelled_owned();
        let statuses = stream::iter([Ok(HealthCheckResponse { status })]).chain(stream::pending()).take_until(until);
        Response::new(Box::pin(statuses))
    }
}

type Statuses = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

impl NamedService for HealthService {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl Service<http::Request<Body>> for HealthService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let health = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/grpc.health.v1.Health/Check" => {
                    let check = tower::service_fn(|asked| std::future::ready(health.check(&asked)));
                    Grpc::new(ProstCodec::default()).unary(check, request).await
                }
                "/grpc.health.v1.Health/Watch" => {
                    let watch = |asked| std::future::ready(Ok::<_, Status>(health.watch(&asked)));
                    Grpc::new(ProstCodec::default()).server_streaming(tower::service_fn(watch), request).await
                }
                path => Status::unimplemented(format!("unknown method {path}")).into_http(),
            })
        })
    }
}
