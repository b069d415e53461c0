//! The two answers that carry many values, Range and Watch, written from the store's own values straight into the connection's buffer;
//! and Put, which is asked as often.
//!
//! The generated messages would copy each key and value into vectors first, only to copy them again and throw the vectors away: once for
//! each of a thousand watches of one key.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use etcd_client::proto::{
    PbKvServer, PbKvService, PbPutRequest, PbPutResponse, PbRangeResponse, PbResponseHeader, PbWatchResponse,
};
use flota_mvcc::{Event, KeyValue, LeaseId, RangeResponse};
use prost::Message;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstDecoder;

use super::kv::KvService;
use super::range;
use super::watch::WatchService;
use super::watch_body::WatchBody;

/// A message that knows its bytes.
pub(super) trait Answer: Send + 'static {
    /// How many bytes it has.
    fn length(&self) -> usize;
    /// Writes them.
    fn write(&self, out: &mut impl BufMut);
}

/// What a Range found.
pub(super) struct RangeAnswer {
    pub(super) header: Option<PbResponseHeader>,
    pub(super) found: RangeResponse,
}

/// A message of a stream of watches.
pub(super) struct WatchAnswer {
    /// All but the events.
    pub(super) head: PbWatchResponse,
    /// Shared by the watches of one stream that are told the same.
    pub(super) events: Arc<[Event]>,
    /// Whether the events carry what they replaced.
    pub(super) prev_kv: bool,
}

impl From<PbWatchResponse> for WatchAnswer {
    fn from(head: PbWatchResponse) -> WatchAnswer {
        WatchAnswer { head, events: Arc::default(), prev_kv: false }
    }
}

/// A generated message.
struct Plain<M>(M);

impl<M: Message + 'static> Answer for Plain<M> {
    fn length(&self) -> usize {
        self.0.encoded_len()
    }

    fn write(&self, out: &mut impl BufMut) {
        self.0.encode_raw(out);
    }
}

/// Numbers of fields, as in etcd's protocol.
mod field {
    pub(super) const RANGE_KVS: u32 = 2;
    pub(super) const WATCH_EVENTS: u32 = 11;
    pub(super) const EVENT_TYPE: u32 = 1;
    pub(super) const EVENT_KV: u32 = 2;
    pub(super) const EVENT_PREV_KV: u32 = 3;
    pub(super) const KEY: u32 = 1;
    pub(super) const CREATE_REVISION: u32 = 2;
    pub(super) const MOD_REVISION: u32 = 3;
    pub(super) const VERSION: u32 = 4;
    pub(super) const VALUE: u32 = 5;
    pub(super) const LEASE: u32 = 6;
}

impl Answer for RangeAnswer {
    fn length(&self) -> usize {
        let kvs = self.found.kvs.iter();
        self.head().encoded_len()
            + kvs.map(|kv| delimited_len(field::RANGE_KVS, kv_len(kv, self.found.keys_only))).sum::<usize>()
            + self.tail().encoded_len()
    }

    fn write(&self, out: &mut impl BufMut) {
        self.write_head(out);
        for kv in &self.found.kvs {
            write_pair(out, kv, self.found.keys_only);
        }
        self.write_tail(out);
    }
}

/// One pair of a Range's answer.
pub(super) fn write_pair(out: &mut impl BufMut, kv: &KeyValue, key_only: bool) {
    write_kv(out, field::RANGE_KVS, kv, key_only);
}

impl RangeAnswer {
    /// Writes what comes before the pairs.
    pub(super) fn write_head(&self, out: &mut impl BufMut) {
        self.head().encode_raw(out);
    }

    /// Writes what comes after them.
    pub(super) fn write_tail(&self, out: &mut impl BufMut) {
        self.tail().encode_raw(out);
    }

    fn head(&self) -> PbRangeResponse {
        PbRangeResponse { header: self.header, ..PbRangeResponse::default() }
    }

    fn tail(&self) -> PbRangeResponse {
        PbRangeResponse { more: self.found.more, count: self.found.count, ..PbRangeResponse::default() }
    }
}

impl Answer for WatchAnswer {
    fn length(&self) -> usize {
        let events = self.events.iter();
        self.head.encoded_len()
            + events.map(|event| delimited_len(field::WATCH_EVENTS, event_len(event, self.prev_kv))).sum::<usize>()
    }

    fn write(&self, out: &mut impl BufMut) {
        self.write_head(out);
        self.write_events(out);
    }
}

impl WatchAnswer {
    /// Writes all but the events.
    pub(super) fn write_head(&self, out: &mut impl BufMut) {
        self.head.encode_raw(out);
    }

    /// Writes the events, which come last.
    pub(super) fn write_events(&self, out: &mut impl BufMut) {
        for event in &*self.events {
            encode_key(field::WATCH_EVENTS, WireType::LengthDelimited, out);
            encode_varint(event_len(event, self.prev_kv) as u64, out);
            write_number(out, field::EVENT_TYPE, event_type(event));
            write_kv(out, field::EVENT_KV, event.kv(), false);
            if let Some(prev) = event.prev().filter(|_| self.prev_kv) {
                write_kv(out, field::EVENT_PREV_KV, prev, false);
            }
        }
    }
}

fn event_type(event: &Event) -> i64 {
    match event {
        Event::Put { .. } => 0,
        Event::Delete { .. } => 1,
    }
}

fn event_len(event: &Event, prev_kv: bool) -> usize {
    let prev = event.prev().filter(|_| prev_kv);
    number_len(field::EVENT_TYPE, event_type(event))
        + delimited_len(field::EVENT_KV, kv_len(event.kv(), false))
        + prev.map_or(0, |kv| delimited_len(field::EVENT_PREV_KV, kv_len(kv, false)))
}

/// The numbers of a key and their fields.
fn numbers(kv: &KeyValue) -> [(u32, i64); 3] {
    [(field::CREATE_REVISION, kv.create_revision), (field::MOD_REVISION, kv.mod_revision), (field::VERSION, kv.version)]
}

fn lease(kv: &KeyValue) -> i64 {
    kv.lease.map_or(0, LeaseId::get)
}

fn kv_len(kv: &KeyValue, key_only: bool) -> usize {
    let value = if key_only { 0 } else { bytes_len(field::VALUE, &kv.value) };
    let numbers = numbers(kv).into_iter().map(|(field, number)| number_len(field, number));
    bytes_len(field::KEY, &kv.key) + numbers.sum::<usize>() + value + number_len(field::LEASE, lease(kv))
}

fn write_kv(out: &mut impl BufMut, field: u32, kv: &KeyValue, key_only: bool) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(kv_len(kv, key_only) as u64, out);
    write_bytes(out, field::KEY, &kv.key);
    for (field, number) in numbers(kv) {
        write_number(out, field, number);
    }
    if !key_only {
        write_bytes(out, field::VALUE, &kv.value);
    }
    write_number(out, field::LEASE, lease(kv));
}

fn delimited_len(field: u32, length: usize) -> usize {
    key_len(field) + encoded_len_varint(length as u64) + length
}

// What is zero or empty is not on the wire.

fn number_len(field: u32, number: i64) -> usize {
    if number == 0 { 0 } else { key_len(field) + encoded_len_varint(number as u64) }
}

fn write_number(out: &mut impl BufMut, field: u32, number: i64) {
    if number != 0 {
        encode_key(field, WireType::Varint, out);
        encode_varint(number as u64, out);
    }
}

fn bytes_len(field: u32, bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { delimited_len(field, bytes.len()) }
}

fn write_bytes(out: &mut impl BufMut, field: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        encode_key(field, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.put_slice(bytes);
    }
}

// === gRPC ===

/// First size of the buffer for an answer; one that is larger says so itself. tonic's own is 8 KiB for each, most of it never used.
const ANSWER_BUFFER: usize = 256;

/// Bytes of messages after which a stream passes them on (tonic's own figure).
const YIELD_BYTES: usize = 32 << 10;

/// Writes answers of its own kind, and reads requests as everything else does.
struct AnswerCodec<A, Q> {
    /// First size of the buffer for a request.
    request_buffer: usize,
    kinds: PhantomData<(A, Q)>,
}

impl<A, Q> AnswerCodec<A, Q> {
    fn new(request_buffer: usize) -> AnswerCodec<A, Q> {
        AnswerCodec { request_buffer, kinds: PhantomData }
    }
}

struct AnswerEncoder<A>(PhantomData<A>);

impl<A: Answer, Q: Message + Default + Send + 'static> Codec for AnswerCodec<A, Q> {
    type Encode = A;
    type Decode = Q;
    type Encoder = AnswerEncoder<A>;
    type Decoder = ProstDecoder<Q>;

    fn encoder(&mut self) -> Self::Encoder {
        AnswerEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(self.request_buffer, YIELD_BYTES))
    }
}

impl<A: Answer> Encoder for AnswerEncoder<A> {
    type Item = A;
    type Error = Status;

    fn encode(&mut self, answer: A, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(answer.length());
        answer.write(out);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(ANSWER_BUFFER, YIELD_BYTES)
    }
}

pub(super) const RANGE: &str = "/etcdserverpb.KV/Range";
pub(super) const PUT: &str = "/etcdserverpb.KV/Put";

/// Most requests to read or to watch fit into this, and most puts into this.
const SMALL_REQUEST: usize = 128;
const PUT_REQUEST: usize = 2 << 10;

/// Buffers for requests to read.
pub(super) fn request_buffers() -> BufferSettings {
    BufferSettings::new(SMALL_REQUEST, YIELD_BYTES)
}

/// The KV service: Range and Put here, everything else as generated.
#[derive(Clone)]
pub(super) struct KvServer {
    pub(super) kv: Arc<KvService>,
    pub(super) rest: PbKvServer<KvService>,
    /// Largest message that is read.
    pub(super) largest: usize,
}

impl KvServer {
    pub(super) async fn range(self, request: http::Request<Body>) -> http::Response<Body> {
        range::call(&self.kv, request).await
    }

    pub(super) async fn put(self, request: http::Request<Body>) -> http::Response<Body> {
        let grpc = Grpc::new(AnswerCodec::new(PUT_REQUEST));
        grpc.max_decoding_message_size(self.largest).unary(PutMethod(self.kv), request).await
    }
}

impl NamedService for KvServer {
    const NAME: &'static str = "etcdserverpb.KV";
}

impl Service<http::Request<Body>> for KvServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.rest, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let server = self.clone();
        match request.uri().path() {
            RANGE => Box::pin(async move { Ok(server.range(request).await) }),
            PUT => Box::pin(async move { Ok(server.put(request).await) }),
            _ => self.rest.call(request),
        }
    }
}

struct PutMethod(Arc<KvService>);

impl UnaryService<PbPutRequest> for PutMethod {
    type Response = Plain<PbPutResponse>;
    type Future = BoxFuture<Response<Plain<PbPutResponse>>, Status>;

    fn call(&mut self, request: Request<PbPutRequest>) -> Self::Future {
        let kv = Arc::clone(&self.0);
        Box::pin(async move { Ok(kv.put(request).await?.map(Plain)) })
    }
}

/// The Watch service.
#[derive(Clone)]
pub(super) struct WatchServer {
    pub(super) watch: Arc<WatchService>,
}

impl NamedService for WatchServer {
    const NAME: &'static str = "etcdserverpb.Watch";
}

impl Service<http::Request<Body>> for WatchServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != "/etcdserverpb.Watch/Watch" {
            return std::future::ready(Ok(Status::unimplemented("").into_http()));
        }
        let (parts, body) = request.into_parts();
        let requests = Streaming::new_request(ProstDecoder::new(request_buffers()), body, None, None);
        let request = Request::from_parts(MetadataMap::from_headers(parts.headers), parts.extensions, requests);
        std::future::ready(Ok(range::respond(WatchBody::new(self.watch.watch(request)))))
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbEvent;

    use super::super::convert;
    use super::*;

    fn kv(key: &[u8], value: &[u8], lease: i64) -> Arc<KeyValue> {
        let (key, value, lease) = (key.into(), value.into(), LeaseId::new(lease));
        Arc::new(KeyValue { key, value, create_revision: 2, mod_revision: i64::MAX, version: 300, lease, sub: 0 })
    }

    #[track_caller]
    fn check<M: Message>(answer: &impl Answer, expected: &M) {
        let mut bytes = Vec::new();
        answer.write(&mut bytes);
        assert_eq!(bytes.len(), answer.length());
        assert!(bytes == expected.encode_to_vec(), "not the same bytes");
    }

    fn message(event: &Event, prev_kv: bool) -> PbEvent {
        let prev = event.prev().filter(|_| prev_kv);
        let kv = Some(convert::key_value(event.kv()));
        PbEvent { r#type: event_type(event) as i32, kv, prev_kv: prev.map(|kv| convert::key_value(kv)) }
    }

    const HEADER: PbResponseHeader = PbResponseHeader { cluster_id: 1, member_id: u64::MAX, revision: 7, raft_term: 1 };

    #[test]
    fn a_range_reads_as_the_generated_message() {
        for keys_only in [false, true] {
            let kvs = vec![kv(b"a", b"", 0), kv(&[0xff; 300], &[7; 70_000], -1), kv(b"c", b"3", 9)];
            let found = RangeResponse { revision: 7, kvs, keys_only, more: true, count: 4 };
            let expected = convert::range_response(&found, Some(HEADER));
            check(&RangeAnswer { header: Some(HEADER), found }, &expected);
        }
        let found = RangeResponse { revision: 7, kvs: Vec::new(), keys_only: false, more: false, count: 0 };
        check(&RangeAnswer { header: None, found }, &PbRangeResponse::default());
    }

    #[test]
    fn events_read_as_the_generated_message() {
        let events = vec![
            Event::Put { kv: kv(b"a", b"new", 1), prev: Some(kv(b"a", &[1; 200], 0)) },
            Event::Put { kv: kv(b"b", b"", 0), prev: None },
            Event::Delete { kv: Arc::new(KeyValue::tombstone(b"c"[..].into(), 5)), prev: Some(kv(b"c", b"old", 0)) },
        ];
        for prev_kv in [false, true] {
            let head = PbWatchResponse { header: Some(HEADER), watch_id: -1, fragment: true, ..Default::default() };
            let all: Vec<PbEvent> = events.iter().map(|event| message(event, prev_kv)).collect();
            let expected = PbWatchResponse { events: all, ..head.clone() };
            check(&WatchAnswer { head, events: events.clone().into(), prev_kv }, &expected);
        }
    }
}
