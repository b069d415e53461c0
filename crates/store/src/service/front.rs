//! What a connection calls: reads and puts at once, everything else through the router.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::{Code, Status};
use tower::Service;

use super::wire::{KvServer, PUT, RANGE};
use crate::metrics::Calls;
use crate::shared::Shared;

/// The store's services with a short way to the two that are called all the time: the way through the routes, and through the layer that
/// counts calls, takes as long as they do.
#[derive(Clone)]
pub(crate) struct Front {
    shared: Arc<Shared>,
    kv: KvServer,
    router: Router,
}

impl Front {
    pub(super) fn new(shared: &Arc<Shared>, kv: KvServer, router: Router) -> Front {
        Front { shared: Arc::clone(shared), kv, router }
    }

    /// Counts a call, whatever becomes of it.
    async fn counted(
        shared: Arc<Shared>,
        path: &'static str,
        call: impl Future<Output = http::Response<Body>>,
    ) -> Response {
        let mut counting = Counting { shared, path, code: Code::Cancelled };
        counting.count(|calls, _| calls.started.add(1));
        let response = call.await;
        counting.code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
        response.map(axum::body::Body::new)
    }
}

/// A call under way; canceled if it is dropped.
struct Counting {
    shared: Arc<Shared>,
    path: &'static str,
    code: Code,
}

impl Counting {
    fn count(&self, with: impl FnOnce(&Calls, Code)) {
        if let Some(calls) = self.shared.metrics.calls_of(self.path) {
            with(calls, self.code);
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.count(Calls::handled);
    }
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (shared, kv) = (Arc::clone(&self.shared), self.kv.clone());
        match request.uri().path() {
            RANGE => Box::pin(async move { Ok(Front::counted(shared, RANGE, kv.range(request.map(Body::new))).await) }),
            PUT => Box::pin(async move { Ok(Front::counted(shared, PUT, kv.put(request.map(Body::new))).await) }),
            _ => Box::pin(self.router.call(request)),
        }
    }
}
