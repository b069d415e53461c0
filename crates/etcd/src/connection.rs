//! Connections to a server: HTTP/1 and HTTP/2 on one port, each bounded in what it can cost.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tower::Service;

use crate::authority::AuthorityRepair;
use crate::gather::Gather;

/// Largest head of a request, in bytes; a larger one is refused.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long the head of a request, or a TLS handshake, may take.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A silent HTTP/2 connection is asked for a sign of life this often, and closed if none comes for as long again.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// The kernel asks a silent TCP connection for a sign of life after so many seconds.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Bytes after which it is certain which version of HTTP is spoken: the length of HTTP/2's preface.
const PREFACE_BYTES: usize = 24;

/// Sends at once, and finds out when the other side has gone without a word.
pub fn tuned(stream: TcpStream) -> TcpStream {
    // A socket without these options works too.
    let _ = stream.set_nodelay(true);
    let _ = set_socket_keepalive(&stream, true);
    let _ = set_tcp_keepidle(&stream, TCP_KEEPALIVE);
    stream
}

/// Serves one connection until its client or an error ends it; after `stop` it takes no more requests. On HTTP/2 at most `max_streams`
/// requests are under way at the same time: the client waits with the next one.
pub async fn serve<S, R>(stream: S, router: R, max_streams: u32, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    R: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let info = stream.connect_info();
    let read = Arc::new(AtomicUsize::new(0));
    let gather = Gather::new(stream);
    let io = TokioIo::new(Inbound { stream: gather.clone(), read: Arc::clone(&read), repair: AuthorityRepair::new() });
    let mut turn = Turn { gather, under_way: Arc::default(), deferred: false };
    let under_way = Arc::clone(&turn.under_way);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(info.clone());
        let mut router = router.clone();
        let counted = Counted::new(&under_way);
        async move {
            let answer = router.call(request).await.unwrap_or_else(|never| match never {});
            drop(counted);
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = builder(max_streams);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut preface = pin!(tokio::time::sleep(HEAD_TIMEOUT));
    let (mut waiting, mut stopping) = (true, false);
    loop {
        tokio::select! {
            // What ends a connection is its client's business: a reset, bytes that are no HTTP, a timeout.
            () = poll_fn(|cx| turn.poll(connection.as_mut(), cx)) => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut preface, if waiting => {
                waiting = false;
                if read.load(Ordering::Relaxed) < PREFACE_BYTES {
                    return;
                }
            }
        }
    }
}

/// A request that waits for its answer, counted until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(under_way: &Arc<AtomicUsize>) -> Counted {
        under_way.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(under_way))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a connection reads and writes.
struct Turn<S> {
    gather: Gather<S>,
    /// Requests that wait for their answer.
    under_way: Arc<AtomicUsize>,
    /// Whether the connection has let others go first since it read and wrote the last time.
    deferred: bool,
}

impl<S: AsyncWrite + Unpin> Turn<S> {
    /// Polls the connection, and sends what it wrote. While other requests are under way it lets the tasks go first that can run now:
    /// requests that became durable together are answered in one write, and the next ones are read together.
    fn poll(&mut self, connection: Pin<&mut impl Future>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.deferred && self.under_way.load(Ordering::Relaxed) > 0 {
            self.deferred = true;
            // Has the task woken after those that can run; ready is only what is polled once more.
            if pin!(tokio::task::yield_now()).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.deferred = false;
        let ended = connection.poll(cx).is_ready();
        match self.gather.poll_send(cx) {
            _ if ended => Poll::Ready(()),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

fn builder(max_streams: u32) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .max_concurrent_streams(max_streams)
        .max_header_list_size(MAX_HEAD_BYTES as u32);
    builder
}

/// A stream that tells how many bytes have been read from it, and mends what old clients send.
struct Inbound<S> {
    stream: S,
    read: Arc<AtomicUsize>,
    repair: AuthorityRepair,
}

impl<S: AsyncRead + Unpin> AsyncRead for Inbound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        let fresh = &mut buf.filled_mut()[before..];
        self.read.fetch_add(fresh.len(), Ordering::Relaxed);
        self.repair.mend(fresh);
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inbound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
