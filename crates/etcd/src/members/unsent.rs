//! A call's request for as long as nobody has read any of it: it can then be made again, elsewhere.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

/// A request that may have to be made again. A gRPC call without its message asks for nothing: as long as the body has not been begun,
/// no member has carried anything out, whatever became of the connection.
pub(super) struct Unsent {
    head: Parts,
    body: Arc<Mutex<Option<Body>>>,
}

impl Unsent {
    pub(super) fn new(request: Request<Body>) -> Unsent {
        let (head, body) = request.into_parts();
        Unsent { head, body: Arc::new(Mutex::new(Some(body))) }
    }

    /// The request, to be sent once. Requests made before are worth nothing afterwards.
    pub(super) fn request(&self) -> Request<Body> {
        let lent = Lent { waiting: Arc::clone(&self.body), begun: None };
        Request::from_parts(self.head.clone(), Body::new(lent))
    }

    /// Whether none of it was read.
    pub(super) fn is_whole(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The body as a connection has it: taken from where it waits when it is read for the first time.
struct Lent {
    waiting: Arc<Mutex<Option<Body>>>,
    begun: Option<Body>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.begun.is_none() {
            let taken = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.begun = taken;
        }
        match &mut self.begun {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(Some(Err(Status::new(Code::Cancelled, "the call was made on another connection")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.begun.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn a_request_is_whole_until_its_body_is_read() {
        let body = Body::new(Full::new(Bytes::from_static(b"message")));
        let unsent = Unsent::new(Request::post("/etcdserverpb.KV/Put").body(body).unwrap());
        drop(unsent.request());
        assert!(unsent.is_whole(), "a request that went nowhere took nothing along");
        let (first, second) = (unsent.request(), unsent.request());
        assert_eq!(second.uri(), "/etcdserverpb.KV/Put");
        assert_eq!(second.into_body().collect().await.unwrap().to_bytes(), "message");
        assert!(!unsent.is_whole());
        first.into_body().collect().await.expect_err("it is sent once");
    }
}
