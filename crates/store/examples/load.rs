//! A load on any etcd v3 server, for `cargo xtask bench store`: prints `name value` lines, times in microseconds.
#![expect(clippy::print_stdout, reason = "its output is read by the bench")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use etcd_client::{Client, GetOptions, KvClient, WatchOptions, WatchStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Bytes of each value.
const VALUE_BYTES: usize = 1024;

/// Keys of one answer when a scan goes page by page.
const PAGE: i64 = 1000;

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

#[tokio::main]
async fn main() -> Outcome<()> {
    let options = Options::parse();
    let endpoint = options.endpoint.as_str();
    match options.load {
        Load::Put(clients) => requests(endpoint, clients, Kind::Put).await,
        Load::Get(clients) => requests(endpoint, clients, Kind::Get).await,
        Load::Scan => scan(endpoint).await,
        Load::Watch { watchers, streams, puts } => watch(endpoint, watchers, streams, puts).await,
        Load::Ready => ready(endpoint).await,
    }
}

async fn connect(endpoint: &str) -> Outcome<Client> {
    Ok(Client::connect([endpoint], None).await?)
}

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
        state as u8
    };
    (0..VALUE_BYTES).map(|_| next()).collect()
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
        let connection = connect(endpoint).await?.kv_client();
        connection.clone().get("warm", None).await?;
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
    mut connection: KvClient,
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
            Kind::Put => drop(connection.put(key, value(number), None).await?),
            Kind::Get => {
                if connection.get(key, None).await?.kvs().len() != 1 {
                    return Err("a key that was put is not there".into());
                }
            }
        }
        times.push(began.elapsed());
    }
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
    let mut client = connect(endpoint).await?.kv_client().max_decoding_message_size(usize::MAX);
    client.get("warm", None).await?;
    let began = Instant::now();
    let whole = client.get("load/", Some(GetOptions::new().with_prefix())).await?;
    println!("whole {}", began.elapsed().as_micros());
    println!("keys {}", whole.kvs().len());
    drop(whole);
    let began = Instant::now();
    let mut from = b"load/".to_vec();
    loop {
        let page = GetOptions::new().with_range("load0").with_limit(PAGE);
        let page = client.get(from, Some(page)).await?;
        match page.kvs().last() {
            // The smallest key behind the last one.
            Some(last) if page.more() => from = [last.key(), &[0]].concat(),
            _ => break,
        }
    }
    println!("pages {}", began.elapsed().as_micros());
    Ok(())
}

/// Waits for the messages of one stream's watches and tells each revision once all of them have it.
async fn follow(mut stream: WatchStream, watches: usize, delivered: mpsc::Sender<i64>) -> Outcome<()> {
    let left = AtomicI64::new(watches as i64);
    while let Some(message) = stream.message().await? {
        for event in message.events() {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                left.store(watches as i64, Ordering::Relaxed);
                delivered.send(event.kv().map_or(0, etcd_client::KeyValue::mod_revision)).await?;
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
        let mut stream = connect(endpoint).await?.watch("watched", None).await?;
        for _ in 1..each {
            stream.watch("watched", Some(WatchOptions::new())).await?;
        }
        let mut created = 0;
        while created < each {
            created += usize::from(stream.message().await?.ok_or("the stream of watches ended")?.created());
        }
        tasks.spawn(follow(stream, each, delivered.clone()));
    }
    let mut client = connect(endpoint).await?.kv_client();
    let mut times = Vec::new();
    for number in 0..puts {
        let began = Instant::now();
        let done = client.put("watched", value(number), None);
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
        if let Ok(mut client) = connect(endpoint).await
            && client.get(key(0), None).await.is_ok()
        {
            println!("at {}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros());
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err("the server does not answer".into())
}
