//! The line to one member: what is under way on it, when it was last heard, and how it is cut.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::choice::Chosen;

/// A connection to the member in use.
#[derive(Debug)]
pub(super) struct Line {
    pub chosen: Chosen,
    /// The member, for people.
    pub endpoint: String,
    pub channel: Channel,
    /// Ends everything that is under way: another member serves instead.
    pub cut: CancellationToken,
    /// Something on it failed: its watcher looks at once.
    pub doubt: tokio::sync::Notify,
    under_way: AtomicUsize,
    opened: Instant,
    /// Milliseconds after `opened`.
    heard: AtomicU64,
}

impl Line {
    pub(super) fn new(chosen: Chosen, endpoint: String, channel: Channel) -> Line {
        Line {
            chosen,
            endpoint,
            channel,
            cut: CancellationToken::new(),
            doubt: tokio::sync::Notify::new(),
            under_way: AtomicUsize::new(0),
            opened: Instant::now(),
            heard: AtomicU64::new(0),
        }
    }

    /// Notes that the member said something.
    pub(super) fn hear(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(since, Ordering::Relaxed);
    }

    /// How long it has said nothing.
    pub(super) fn silent(&self) -> Duration {
        self.opened.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Calls and streams that wait for it.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// What callers are told whose call was cut.
    pub(super) fn cut_status(&self) -> Status {
        Status::unavailable(format!("store member {} does not serve any more", self.endpoint))
    }
}

/// One call or stream on a line, for as long as it lasts.
pub(super) struct Use {
    line: Arc<Line>,
    doubt: Arc<dyn Fn(&Line) + Send + Sync>,
}

impl Use {
    pub(super) fn begin(line: Arc<Line>, doubt: Arc<dyn Fn(&Line) + Send + Sync>) -> Use {
        if line.under_way.fetch_add(1, Ordering::Relaxed) == 0 {
            // It was not asked anything before: its silence begins now.
            line.hear();
        }
        Use { line, doubt }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn hear(&self) {
        self.line.hear();
    }

    pub(super) fn doubt(&self) {
        (self.doubt)(&self.line);
    }

    /// Doubts the member if a call's end says that it does not serve.
    pub(super) fn judge(&self, headers: &HeaderMap) {
        if Status::from_header_map(headers).is_some_and(|status| status.code() == Code::Unavailable) {
            self.doubt();
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.line.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that ends with an error when its member is left for another one.
pub(super) struct Answer {
    body: Body,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    using: Use,
}

impl Answer {
    pub(super) fn new(body: Body, using: Use) -> Answer {
        Answer { body, cut: Box::pin(using.line.cut.clone().cancelled_owned()), using }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(self.using.line.cut_status())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.using.hear();
                if let Some(trailers) = frame.trailers_ref() {
                    self.using.judge(trailers);
                }
            }
            Poll::Ready(Some(Err(_))) => self.using.doubt(),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
