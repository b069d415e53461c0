//! The answer to a stream of watches: all messages that are ready leave in one piece.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use http_body::Frame;
use prost::bytes::{BufMut, Bytes};
use tonic::Status;
use tonic::codegen::http::{HeaderMap, HeaderValue};

use super::range::PREFIX;
use super::wire::{Answer, WatchAnswer};

/// Bytes after which a piece is sent.
const PIECE: usize = 64 << 10;

/// What a client of watches is sent: each time all that is ready.
pub(super) type WatchBatches = Pin<Box<dyn Stream<Item = Result<VecDeque<WatchAnswer>, Status>> + Send>>;

/// The messages, then how the stream ended.
pub(super) struct WatchBody {
    batches: WatchBatches,
    ready: VecDeque<WatchAnswer>,
    is_ended: bool,
}

impl WatchBody {
    pub(super) fn new(batches: WatchBatches) -> WatchBody {
        WatchBody { batches, ready: VecDeque::new(), is_ended: false }
    }

    /// The next piece of what is ready. Watches of one key tell the same: what the last message told is copied.
    fn piece(&mut self) -> Bytes {
        let first = self.ready.front().map_or(0, |answer| PREFIX + answer.length());
        let mut piece = Vec::with_capacity(first * self.ready.len().min(1 + PIECE / first.max(1)));
        let mut last: Option<(WatchAnswer, Range<usize>)> = None;
        while piece.len() < PIECE
            && let Some(answer) = self.ready.pop_front()
        {
            let start = piece.len();
            piece.put_slice(&[0; PREFIX]);
            answer.write_head(&mut piece);
            let told = piece.len();
            match last {
                Some((last, bytes)) if tells_the_same(&last, &answer) => piece.extend_from_within(bytes),
                _ => answer.write_events(&mut piece),
            }
            let length = (piece.len() - start - PREFIX) as u32;
            piece[start + 1..start + PREFIX].copy_from_slice(&length.to_be_bytes());
            let end = piece.len();
            last = Some((answer, told..end));
        }
        piece.into()
    }

    fn end(&mut self, outcome: Option<Status>) -> Frame<Bytes> {
        self.is_ended = true;
        let mut trailers = HeaderMap::new();
        let written = outcome.map(|status| status.add_header(&mut trailers));
        if !matches!(written, Some(Ok(()))) {
            // The end of a stream that nothing was wrong with; a status that cannot be written has no text that could be told.
            let code = if written.is_none() { "0" } else { "2" };
            trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static(code));
        }
        Frame::trailers(trailers)
    }
}

/// Whether the messages have the same events.
fn tells_the_same(one: &WatchAnswer, other: &WatchAnswer) -> bool {
    one.prev_kv == other.prev_kv && Arc::ptr_eq(&one.events, &other.events)
}

impl http_body::Body for WatchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        while self.ready.is_empty() {
            match ready!(self.batches.as_mut().poll_next(cx)) {
                Some(Ok(ready)) => self.ready = ready,
                Some(Err(status)) => return Poll::Ready(Some(Ok(self.end(Some(status))))),
                None => return Poll::Ready(Some(Ok(self.end(None)))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbWatchResponse;
    use flota_mvcc::{Event, KeyValue};
    use futures_util::stream;
    use prost::Message;

    use super::*;

    fn put(revision: i64, bytes: usize) -> Event {
        let (key, value) = (b"key"[..].into(), vec![7; bytes].into());
        let (create_revision, mod_revision) = (2, revision);
        let kv = KeyValue { key, value, create_revision, mod_revision, version: 1, lease: None, sub: 0 };
        Event::Put { kv: Arc::new(kv), prev: None }
    }

    fn answer(watch_id: i64, events: &Arc<[Event]>) -> WatchAnswer {
        let head = PbWatchResponse { watch_id, ..PbWatchResponse::default() };
        WatchAnswer { head, events: Arc::clone(events), prev_kv: false }
    }

    /// All messages of the pieces, and how many pieces there were.
    fn sent(answers: Vec<WatchAnswer>) -> (Vec<PbWatchResponse>, usize) {
        let mut body = WatchBody::new(Box::pin(stream::pending()));
        body.ready = answers.into();
        let (mut messages, mut pieces) = (Vec::new(), 0);
        while !body.ready.is_empty() {
            let piece = body.piece();
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let length = u32::from_be_bytes(rest[1..PREFIX].try_into().unwrap()) as usize;
                assert_eq!(rest[0], 0, "compressed");
                messages.push(PbWatchResponse::decode(&rest[PREFIX..PREFIX + length]).unwrap());
                rest = &rest[PREFIX + length..];
            }
            pieces += 1;
        }
        (messages, pieces)
    }

    #[test]
    fn watches_of_one_key_are_told_the_same_each_under_its_own_id() {
        let (one, two) = (put(2, 1000), put(3, 10));
        let same: Arc<[Event]> = [one.clone()].into();
        let told = [Arc::clone(&same), same, [one, two.clone()].into(), [two].into()];
        let (messages, pieces) = sent(told.iter().enumerate().map(|(id, events)| answer(id as i64, events)).collect());
        assert_eq!((messages.len(), pieces), (4, 1));
        for (id, (message, events)) in messages.iter().zip(&told).enumerate() {
            assert_eq!(message.watch_id, id as i64);
            let revisions = message.events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision);
            assert!(revisions.eq(events.iter().map(|event| event.kv().mod_revision)), "{message:?}");
        }
    }

    #[test]
    fn much_that_is_ready_leaves_in_several_pieces() {
        let events = [put(2, 10_000)].into();
        let (messages, pieces) = sent((0..100).map(|id| answer(id, &events)).collect());
        assert!(messages.iter().map(|message| message.watch_id).eq(0..100));
        assert!((2..=1_000_000 / PIECE + 1).contains(&pieces), "{pieces} pieces");
    }
}
