//! A stream that gathers what is written to it, so that many small answers leave in one write.
//!
//! HTTP/2 flushes after each of its frames, and each flush of a socket is a call of the kernel and, on the other side, a wake-up. Here a
//! flush only tells that something is to go; it goes when whoever polls the connection says so, after all that could be written was.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are gathered at most; whoever writes more waits until the socket has taken them.
const MAX_GATHERED_BYTES: usize = 128 << 10;

/// Bytes of an empty buffer that a connection keeps for its next answers.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// A stream whose writes are sent by [`Gather::poll_send`]; clones are the same stream.
#[derive(Debug)]
pub(crate) struct Gather<S> {
    inner: Arc<Mutex<Inner<S>>>,
}

#[derive(Debug)]
struct Inner<S> {
    stream: S,
    gathered: Vec<u8>,
    /// How many of the gathered bytes the stream has taken.
    sent: usize,
}

impl<S> Clone for Gather<S> {
    fn clone(&self) -> Gather<S> {
        Gather { inner: Arc::clone(&self.inner) }
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    pub(crate) fn new(stream: S) -> Gather<S> {
        Gather { inner: Arc::new(Mutex::new(Inner { stream, gathered: Vec::new(), sent: 0 })) }
    }

    /// Sends what was gathered; ready when all of it is on its way.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_send(cx)
    }
}

impl<S> Gather<S> {
    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        // One task uses both ends; a panic ends it with the connection.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let Some(rest) = self.gathered.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.sent += taken,
            }
        }
        self.sent = 0;
        self.gathered.clear();
        if self.gathered.capacity() > MAX_KEPT_BYTES {
            // Not shrunk: that would copy what nobody reads any more.
            self.gathered = Vec::new();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Waits for room, then takes as much of the parts as there is room for.
    fn poll_gather<'a>(
        &mut self,
        cx: &mut Context<'_>,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= MAX_GATHERED_BYTES {
            ready!(self.poll_send(cx))?;
        }
        let before = self.gathered.len();
        for part in parts {
            let room = MAX_GATHERED_BYTES - self.gathered.len();
            if self.gathered.len() + part.len() > MAX_KEPT_BYTES && self.gathered.capacity() < MAX_GATHERED_BYTES {
                // It is not grown step by step: where there is much, more follows.
                let mut larger = Vec::with_capacity(MAX_GATHERED_BYTES);
                larger.extend_from_slice(&self.gathered);
                self.gathered = larger;
            }
            self.gathered.extend_from_slice(&part[..part.len().min(room)]);
        }
        Poll::Ready(Ok(self.gathered.len() - before))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.lock().poll_gather(cx, std::iter::once(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.lock().poll_gather(cx, bufs.iter().map(|buf| &**buf))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn send(gather: &Gather<tokio::io::DuplexStream>) -> io::Result<()> {
        std::future::poll_fn(|cx| gather.poll_send(cx)).await
    }

    #[tokio::test]
    async fn nothing_leaves_before_it_is_sent_and_all_of_it_then() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let mut gather = Gather::new(near);
        for part in [&b"one"[..], b" and ", b"two"] {
            gather.write_all(part).await.unwrap();
            gather.flush().await.unwrap();
        }
        let mut bytes = [0; 11];
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), far.read(&mut bytes)).await;
        assert!(early.is_err(), "{early:?}");
        send(&gather).await.unwrap();
        far.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"one and two");
    }

    #[tokio::test]
    async fn more_than_is_gathered_waits_for_a_slow_reader() {
        // The other end takes a little at a time.
        let (near, mut far) = tokio::io::duplex(1000);
        let sent: Vec<u8> = (0..3 * MAX_GATHERED_BYTES).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            read
        });
        let mut gather = Gather::new(near);
        gather.write_all(&sent).await.unwrap();
        assert!(gather.lock().gathered.len() <= MAX_GATHERED_BYTES);
        gather.shutdown().await.unwrap();
        assert!(gather.lock().gathered.capacity() <= MAX_KEPT_BYTES);
        drop(gather);
        assert_eq!(reader.await.unwrap(), expected);
    }
}
