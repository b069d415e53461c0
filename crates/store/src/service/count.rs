//! Counts gRPC calls by method and code, as etcd does for its dashboards.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

use crate::metrics::Calls;
use crate::shared::Shared;

pub(super) async fn calls(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if shared.metrics.calls_of(&path).is_none() {
        return next.run(request).await;
    }
    let mut call = Call { shared, path, code: Some(Code::Cancelled) };
    call.count(|calls| calls.started.add(1));
    let response = next.run(request).await;
    if let Some(code) = code(response.headers()) {
        call.end(code);
        return response;
    }
    response.map(|body| Body::new(Counted { body, call }))
}

fn code(headers: &HeaderMap) -> Option<Code> {
    Status::from_header_map(headers).map(|status| status.code())
}

/// A call; canceled if it is dropped before it has ended otherwise.
struct Call {
    shared: Arc<Shared>,
    path: String,
    /// How it will have ended; `None` once that is counted.
    code: Option<Code>,
}

impl Call {
    fn count(&self, with: impl FnOnce(&Calls)) {
        if let Some(calls) = self.shared.metrics.calls_of(&self.path) {
            with(calls);
        }
    }

    fn end(&mut self, code: Code) {
        if self.code.take().is_some() {
            self.count(|calls| calls.handled(code));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(code) = self.code {
            self.end(code);
        }
    }
}

/// The body of an answer; its trailers tell how the call went.
struct Counted {
    body: Body,
    call: Call,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(code) = frame.trailers_ref().and_then(code)
        {
            self.call.end(code);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
