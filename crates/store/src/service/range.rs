//! Range over gRPC, its answer sent in pieces: a large one is on its way while the rest of it is still to be written.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use etcd_client::proto::PbRangeRequest;
use http_body::Frame;
use prost::bytes::{BufMut, Bytes, BytesMut};
use tonic::body::Body;
use tonic::codec::Streaming;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{self, HeaderMap, HeaderValue};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};
use tonic_prost::ProstDecoder;

use super::kv::KvService;
use super::wire::{Answer, RangeAnswer, request_buffers, write_pair};

/// Bytes after which a piece is sent.
const PIECE: usize = 256 << 10;

/// What gRPC puts before a message: a byte that says "not compressed", and the length.
pub(super) const PREFIX: usize = 5;

/// Answers one call.
pub(super) async fn call(kv: &KvService, request: http::Request<Body>) -> http::Response<Body> {
    let answered = match read(request).await {
        Ok(request) => kv.read(request),
        Err(status) => Err(status),
    };
    answered.and_then(RangeBody::new).map_or_else(Status::into_http, respond)
}

/// A body as the answer to a gRPC call.
pub(super) fn respond(
    body: impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
) -> http::Response<Body> {
    let mut response = http::Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

async fn read(request: http::Request<Body>) -> Result<Request<PbRangeRequest>, Status> {
    let (parts, body) = request.into_parts();
    let mut messages = Streaming::new_request(ProstDecoder::new(request_buffers()), body, None, None);
    let message = messages.message().await?.ok_or_else(|| Status::internal("the request has no message"))?;
    Ok(Request::from_parts(MetadataMap::from_headers(parts.headers), parts.extensions, message))
}

/// An answer as it is sent: the message in pieces, then how the call ended.
struct RangeBody {
    answer: RangeAnswer,
    /// Of the message.
    length: u32,
    place: Place,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Head,
    /// The next pair.
    Pair(usize),
    Trailers,
    End,
}

impl RangeBody {
    fn new(answer: RangeAnswer) -> Result<RangeBody, Status> {
        let length = u32::try_from(answer.length());
        let length =
            length.map_err(|_| Status::resource_exhausted("the range is larger than a gRPC message can be"))?;
        Ok(RangeBody { answer, length, place: Place::Head })
    }

    /// The next piece of the message.
    fn piece(&mut self, from: Option<usize>) -> Bytes {
        let mut piece = BytesMut::with_capacity((self.length as usize + PREFIX).min(PIECE + PIECE / 2));
        if from.is_none() {
            piece.put_u8(0);
            piece.put_u32(self.length);
            self.answer.write_head(&mut piece);
        }
        let mut next = from.unwrap_or(0);
        while let Some(kv) = self.answer.found.kvs.get(next).filter(|_| piece.len() < PIECE) {
            write_pair(&mut piece, kv, self.answer.found.keys_only);
            next += 1;
        }
        self.place = Place::Pair(next);
        if next == self.answer.found.kvs.len() {
            self.answer.write_tail(&mut piece);
            self.place = Place::Trailers;
        }
        piece.freeze()
    }
}

impl http_body::Body for RangeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.place {
            Place::Head => Frame::data(self.piece(None)),
            Place::Pair(next) => Frame::data(self.piece(Some(next))),
            Place::Trailers => {
                self.place = Place::End;
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                Frame::trailers(trailers)
            }
            Place::End => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.place == Place::End
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use etcd_client::proto::{PbRangeResponse, PbResponseHeader};
    use flota_mvcc::{KeyValue, RangeResponse};
    use prost::Message;

    use super::*;

    #[test]
    fn the_pieces_together_are_the_message() {
        let header = Some(PbResponseHeader { revision: 7, ..PbResponseHeader::default() });
        for (pairs, bytes) in [(0, 0), (1, 10), (3, PIECE), (900, 1024), (2, 3 * PIECE)] {
            let kv = |number: usize| {
                let (key, value) = (format!("{number:05}").into_bytes().into(), vec![7; bytes].into());
                let (create_revision, mod_revision) = (2, 3);
                Arc::new(KeyValue { key, value, create_revision, mod_revision, version: 1, lease: None, sub: 0 })
            };
            let kvs: Vec<_> = (0..pairs).map(kv).collect();
            let found = RangeResponse { revision: 7, kvs, keys_only: false, more: false, count: pairs as i64 };
            let mut body = RangeBody::new(RangeAnswer { header, found }).unwrap();
            let (mut sent, mut pieces) = (body.piece(None).to_vec(), 1);
            while let Place::Pair(next) = body.place {
                sent.extend(body.piece(Some(next)));
                pieces += 1;
            }
            assert!(pieces <= 1 + sent.len() / PIECE, "{pieces} pieces");
            assert_eq!(sent[..PREFIX], [&[0][..], &((sent.len() - PREFIX) as u32).to_be_bytes()].concat());
            let message = PbRangeResponse::decode(&sent[PREFIX..]).unwrap();
            assert_eq!((message.header, message.kvs.len(), message.count), (header, pairs, pairs as i64));
            assert!(message.kvs.iter().all(|kv| kv.value.len() == bytes));
        }
    }
}
