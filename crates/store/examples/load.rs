//! A load on any etcd v3 server, for `cargo xtask bench store`: prints `name value` lines, times in microseconds.
//!
//! It leaves answers as the bytes they are wherever their length says enough: it runs on the same processors as the server, and what
//! it takes for itself it takes from both servers alike.

#![expect(clippy::print_stdout, reason = "its output is read by the bench")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use etcd_client::proto::{PbPutRequest, PbRangeRequest, PbRangeResponse, PbWatchResponse};
use flota_etcd::json::RawCodec;
use futures_util::{StreamExt, stream};
use prost::Message;
use prost::bytes::Bytes;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

/// Bytes of each value.
const VALUE_BYTES: usize = 1024;

/// Keys of one answer when a scan goes page by page.
const PAGE: usize = 1000;

/// How long to wait for a server that starts, and between two looks at it.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(1);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Loads an etcd v3 server and measures what its clients see.
#[derive(Parser)]
struct Options {
    /// HOST:PORT of the server.
    #[arg(long)]
    endpoint: String,
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Puts values of 1 KiB, each client one after the other.
    Put(Requests),
    /// Reads keys that were put, linearizable.
    Get(Requests),
    /// Reads all keys, in one answer and page by page.
    Scan,
    /// From the moment a put is sent until the last watcher has its event.
    Watch {
        /// Watches of one key, over all streams.
        #[arg(long, default_value_t = 1000)]
        watchers: usize,
        /// Streams, each on a connection of its own.
        #[arg(long, default_value_t = 10)]
        streams: usize,
        /// Puts to measure.
        #[arg(long, default_value_t = 300)]
        puts: usize,
    },
    /// Waits until a read of one key is answered; prints when that was, as microseconds of the epoch.
    Ready,
}

#[derive(clap::Args)]
struct Requests {
    /// Clients at the same time.
    #[arg(long)]
    clients: usize,
    /// Connections that they share.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests of all clients together.
    #[arg(long)]
    count: usize,
    /// Keys to go through.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    // One client needs one thread, and does not wait until another one wakes.
    let alone = matches!(&options.load, Load::Put(load) | Load::Get(load) if load.clients == 1);
    let mut runtime = if alone { runtime::Builder::new_current_thread() } else { runtime::Builder::new_multi_thread() };
    runtime.enable_all().build()?.block_on(run(options))
}

async fn run(options: Options) -> Outcome<()> {
    let endpoint = options.endpoint.as_str();
    match options.load {
        Load::Put(clients) => requests(endpoint, clients, Kind::Put).await,
        Load::Get(clients) => requests(endpoint, clients, Kind::Get).await,
        Load::Scan => scan(endpoint).await,
        Load::Watch { watchers, streams, puts } => watch(endpoint, watchers, streams, puts).await,
        Load::Ready => ready(endpoint).await,
    }
}

// === gRPC ===

/// A connection; clones share it.
#[derive(Clone)]
struct Connection(Grpc<Channel>);

const RANGE: &str = "/etcdserverpb.KV/Range";
const PUT: &str = "/etcdserverpb.KV/Put";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

impl Connection {
    async fn open(endpoint: &str) -> Outcome<Connection> {
        let channel = Endpoint::from_shared(format!("http://{endpoint}"))?.tcp_nodelay(true).connect().await?;
        Ok(Connection(Grpc::new(channel).max_decoding_message_size(usize::MAX)))
    }

    async fn call(&mut self, path: &'static str, message: &impl Message) -> Outcome<Bytes> {
        self.0.ready().await?;
        let request = Request::new(message.encode_to_vec().into());
        Ok(self.0.unary(request, PathAndQuery::from_static(path), RawCodec).await?.into_inner())
    }

    async fn range(&mut self, request: PbRangeRequest) -> Outcome<Bytes> {
        self.call(RANGE, &request).await
    }

    async fn put(&mut self, key: impl Into<Vec<u8>>, value: Vec<u8>) -> Outcome<()> {
        self.call(PUT, &PbPutRequest { key: key.into(), value, ..PbPutRequest::default() }).await.map(drop)
    }

    /// A stream with so many watches of one key.
    async fn watch(&mut self, key: &str, watches: usize) -> Outcome<Streaming<Bytes>> {
        // A request that creates a watch: two messages within each other, of one field each.
        let create = [&[0x0a, key.len() as u8], key.as_bytes()].concat();
        let create = Bytes::from([&[0x0a, create.len() as u8][..], &create].concat());
        // The stream is not ended from this side.
        let requests = stream::iter(std::iter::repeat_n(create, watches)).chain(stream::pending());
        self.0.ready().await?;
        let requests = Request::new(requests);
        Ok(self.0.streaming(requests, PathAndQuery::from_static(WATCH), RawCodec).await?.into_inner())
    }
}

// === Loads ===

fn key(number: usize) -> String {
    format!("load/{number:06}")
}

/// Not the same bytes in every value, and nothing that compresses to nothing.
fn value(seed: usize) -> Vec<u8> {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..VALUE_BYTES / 8).flat_map(|_| next()).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Get,
}

/// Has all clients take numbers from one counter until they are used up.
async fn requests(endpoint: &str, load: Requests, kind: Kind) -> Outcome<()> {
    let mut connections = Vec::new();
    for _ in 0..load.connections.max(1) {
        let mut connection = Connection::open(endpoint).await?;
        connection.range(one_key(key(0))).await?;
        connections.push(connection);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for number in 0..load.clients {
        let connection = connections[number % connections.len()].clone();
        tasks.spawn(client(connection, kind, Arc::clone(&next), load.count, load.keys));
    }
    let mut times = Vec::with_capacity(load.count);
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    println!("per_second {rate:.0}");
    print_times(times);
    Ok(())
}

async fn client(
    mut connection: Connection,
    kind: Kind,
    next: Arc<AtomicUsize>,
    count: usize,
    keys: usize,
) -> Outcome<Vec<Duration>> {
    let mut times = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return Ok(times);
        }
        // A prime step: neighbours in time are no neighbours in the store.
        let key = key(number.wrapping_mul(7919) % keys);
        let began = Instant::now();
        match kind {
            Kind::Put => connection.put(key, value(number)).await?,
            Kind::Get => {
                if connection.range(one_key(key)).await?.len() < VALUE_BYTES {
                    return Err("a key that was put is not there".into());
                }
            }
        }
        times.push(began.elapsed());
    }
}

fn one_key(key: String) -> PbRangeRequest {
    PbRangeRequest { key: key.into(), ..PbRangeRequest::default() }
}

fn keys_from(key: String) -> PbRangeRequest {
    PbRangeRequest { key: key.into(), range_end: b"load0".to_vec(), ..PbRangeRequest::default() }
}

fn print_times(mut times: Vec<Duration>) {
    times.sort();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        let rank = (times.len() as f64 * share).ceil() as usize;
        let time = times.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        println!("{name} {}", time.as_micros());
    }
}

async fn scan(endpoint: &str) -> Outcome<()> {
    let mut client = Connection::open(endpoint).await?;
    let counted = client.range(PbRangeRequest { count_only: true, ..keys_from(key(0)) }).await?;
    let keys = usize::try_from(PbRangeResponse::decode(counted)?.count)?;
    println!("keys {keys}");
    let began = Instant::now();
    let whole = client.range(keys_from(key(0))).await?;
    println!("whole {}", began.elapsed().as_micros());
    drop(whole);
    let began = Instant::now();
    let mut bytes = 0;
    for first in (0..keys).step_by(PAGE) {
        bytes += client.range(PbRangeRequest { limit: PAGE as i64, ..keys_from(key(first)) }).await?.len();
    }
    println!("pages {}", began.elapsed().as_micros());
    if bytes < keys * VALUE_BYTES {
        return Err("pages without all keys".into());
    }
    Ok(())
}

/// Waits for the messages of one stream's watches and tells each time that all of them have an event.
async fn follow(mut stream: Streaming<Bytes>, watches: usize, delivered: mpsc::Sender<()>) -> Outcome<()> {
    let mut left = watches;
    while let Some(message) = stream.message().await? {
        // Shorter ones tell something else than an event.
        if message.len() >= VALUE_BYTES {
            left -= 1;
            if left == 0 {
                left = watches;
                delivered.send(()).await?;
            }
        }
    }
    Err("the stream of watches ended".into())
}

async fn watch(endpoint: &str, watchers: usize, streams: usize, puts: usize) -> Outcome<()> {
    let (delivered, mut deliveries) = mpsc::channel(streams);
    let mut tasks = JoinSet::new();
    let each = watchers / streams;
    for _ in 0..streams {
        let mut stream = Connection::open(endpoint).await?.watch("watched", each).await?;
        for _ in 0..each {
            let created = stream.message().await?.ok_or("the stream of watches ended")?;
            if !PbWatchResponse::decode(created)?.created {
                return Err("a watch was not created".into());
            }
        }
        tasks.spawn(follow(stream, each, delivered.clone()));
    }
    let mut client = Connection::open(endpoint).await?;
    let mut times = Vec::new();
    for number in 0..puts {
        let value = value(number);
        let began = Instant::now();
        let done = client.put("watched", value);
        let all = async {
            for _ in 0..streams {
                tokio::select! {
                    _ = deliveries.recv() => {}
                    Some(ended) = tasks.join_next() => ended??,
                }
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(began.elapsed())
        };
        let (done, time) = tokio::join!(done, all);
        done?;
        times.push(time?);
    }
    print_times(times);
    Ok(())
}

async fn ready(endpoint: &str) -> Outcome<()> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Ok(mut client) = Connection::open(endpoint).await
            && client.range(one_key(key(0))).await.is_ok()
        {
            println!("at {}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros());
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err("the server does not answer".into())
}
