//! Everything at once on an etcd v3 server, for `cargo xtask bench soak`: at a steady pace, so that what the server takes must be steady
//! too. Checks what it sees; prints `name value` lines with what it did.

#![expect(clippy::print_stdout, reason = "its output is read by the bench")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, PutOptions, Txn, TxnOp, WatchOptions, WatchStream,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

/// Connections that all tasks share.
const CONNECTIONS: usize = 4;

/// Tasks that write and read, and how often each of them does.
const WRITERS: usize = 8;
const WRITE_EVERY: Duration = Duration::from_millis(4);

/// Keys of the writers, and bytes of the largest value.
const KEYS: u64 = 2_000;
const MAX_VALUE_BYTES: u64 = 2_048;

/// Leases at the same time, and the longest time between what happens to each.
const LEASES: usize = 1_000;
const MAX_HOLD_MILLIS: u64 = 3_000;
const TTL_SECONDS: i64 = 5;

/// How long after its time a lease may still be there.
const GRACE: Duration = Duration::from_secs(10);

/// Watches that come and go, how far back each begins, and how many messages it reads.
const VISITORS: usize = 4;
const LOOK_BACK: i64 = 500;
const VISIT_MESSAGES: usize = 100;

/// How long the last events may take when nothing is written any more.
const PATIENCE: Duration = Duration::from_secs(30);

const PREFIX: &str = "soak/";

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Loads an etcd v3 server with everything at once.
#[derive(Parser)]
struct Options {
    /// HOST:PORT of the server.
    #[arg(long)]
    endpoint: String,
    /// For so long.
    #[arg(long)]
    seconds: u64,
}

/// What has been done.
#[derive(Default)]
struct Done {
    requests: AtomicU64,
    leases: AtomicU64,
    events: AtomicU64,
    visits: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What every task has.
#[derive(Clone)]
struct Task {
    client: Client,
    until: Instant,
    done: Arc<Done>,
    random: u64,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let options = Options::parse();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect([&options.endpoint], None).await?);
    }
    let done = Arc::new(Done::default());
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let task = |number: usize| {
        let random = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Task { client: clients[number % clients.len()].clone(), until, done: Arc::clone(&done), random }
    };
    let mut mirror = Mirror::open(task(0)).await?;
    let mut tasks = JoinSet::new();
    (0..WRITERS).for_each(|number| drop(tasks.spawn(task(number).write(number))));
    (0..LEASES).for_each(|number| drop(tasks.spawn(task(number).hold(number))));
    (0..VISITORS).for_each(|number| drop(tasks.spawn(task(number).visit())));
    loop {
        tokio::select! {
            followed = mirror.follow() => followed?,
            ended = tasks.join_next() => match ended {
                Some(ended) => ended??,
                None => break,
            },
        }
    }
    let keys = timeout(PATIENCE, mirror.compare()).await??;
    println!("keys {keys}");
    for (name, counter) in
        [("requests", &done.requests), ("leases", &done.leases), ("events", &done.events), ("watches", &done.visits)]
    {
        println!("{name} {}", counter.load(Ordering::Relaxed));
    }
    Ok(())
}

impl Task {
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }

    /// Puts, gets, deletes and transactions on keys that all writers share.
    async fn write(mut self, number: usize) -> Outcome<()> {
        let mut ticks = interval(WRITE_EVERY);
        while !self.is_over() {
            ticks.tick().await;
            let key = format!("{PREFIX}{:06}", self.below(KEYS));
            let value = vec![number as u8; self.below(MAX_VALUE_BYTES) as usize];
            match self.below(10) {
                0..6 => drop(self.client.put(key, value, None).await?),
                6 | 7 => drop(self.client.get(key, None).await?),
                8 => drop(self.client.delete(key, None).await?),
                _ => {
                    let is_there = Compare::version(key.clone(), CompareOp::Greater, 0);
                    let replace = [TxnOp::get(key.clone(), None), TxnOp::put(key.clone(), value.clone(), None)];
                    let two = [TxnOp::put(key.clone(), value, None), TxnOp::delete(format!("{key}-beside"), None)];
                    self.client.txn(Txn::new().when([is_there]).and_then(replace).or_else(two)).await?;
                }
            }
            count(&self.done.requests);
        }
        Ok(())
    }

    /// Registers something with a lease, again and again; the lease is revoked, ends, or ends after it was kept alive once.
    async fn hold(mut self, number: usize) -> Outcome<()> {
        let key = format!("{PREFIX}lease/{number:04}");
        while !self.is_over() {
            let lease = self.client.lease_grant(TTL_SECONDS, None).await?.id();
            self.client.put(key.as_str(), "here", Some(PutOptions::new().with_lease(lease))).await?;
            let fate = self.below(3);
            if fate == 0 {
                sleep(Duration::from_millis(self.below(MAX_HOLD_MILLIS / 2))).await;
                self.client.lease_revoke(lease).await?;
            } else {
                if fate == 1 {
                    let (mut keeper, mut answers) = self.client.lease_keep_alive(lease).await?;
                    keeper.keep_alive().await?;
                    answers.message().await?.ok_or("a keep-alive without an answer")?;
                }
                let began = Instant::now();
                sleep(Duration::from_secs(TTL_SECONDS as u64)).await;
                while self.client.get(key.as_str(), None).await?.count() > 0 {
                    if began.elapsed() > GRACE {
                        return Err(format!("{key} outlives its lease").into());
                    }
                    sleep(Duration::from_millis(500)).await;
                }
            }
            count(&self.done.leases);
            sleep(Duration::from_millis(self.below(MAX_HOLD_MILLIS))).await;
        }
        Ok(())
    }

    /// Watches that begin in the past and are given up soon.
    async fn visit(mut self) -> Outcome<()> {
        while !self.is_over() {
            let now = self.client.get(PREFIX, None).await?;
            let start = now.header().map_or(1, |header| header.revision() - LOOK_BACK).max(1);
            let options = WatchOptions::new().with_prefix().with_start_revision(start).with_prev_key();
            let mut stream = self.client.watch(PREFIX, Some(options)).await?;
            let mut last = 0;
            for _ in 0..VISIT_MESSAGES {
                let message = stream.message().await?.ok_or("the stream of watches ended")?;
                if message.canceled() {
                    return Err(format!("a watch from revision {start} was canceled").into());
                }
                for event in message.events() {
                    let revision = event.kv().map_or(0, etcd_client::KeyValue::mod_revision);
                    if revision < last.max(start) {
                        return Err(format!("revision {revision} comes after {last}").into());
                    }
                    last = revision;
                }
            }
            count(&self.done.visits);
        }
        Ok(())
    }
}

/// All keys as a watch tells them.
struct Mirror {
    task: Task,
    stream: WatchStream,
    keys: BTreeMap<Vec<u8>, i64>,
    revision: i64,
}

impl Mirror {
    async fn open(mut task: Task) -> Outcome<Mirror> {
        let stream = task.client.watch(PREFIX, Some(WatchOptions::new().with_prefix())).await?;
        Ok(Mirror { task, stream, keys: BTreeMap::new(), revision: 0 })
    }

    async fn follow(&mut self) -> Outcome<()> {
        let message = self.stream.message().await?.ok_or("the stream of watches ended")?;
        for event in message.events() {
            let kv = event.kv().ok_or("an event of no key")?;
            if kv.mod_revision() < self.revision {
                return Err(format!("revision {} comes after {}", kv.mod_revision(), self.revision).into());
            }
            self.revision = kv.mod_revision();
            match event.event_type() {
                EventType::Put => drop(self.keys.insert(kv.key().to_vec(), kv.mod_revision())),
                EventType::Delete => drop(self.keys.remove(kv.key())),
            }
            count(&self.task.done.events);
        }
        Ok(())
    }

    /// Waits until the watch has told all that was written, and compares; nothing is written any more.
    async fn compare(&mut self) -> Outcome<usize> {
        loop {
            let options = GetOptions::new().with_prefix().with_keys_only();
            let there = self.task.client.get(PREFIX, Some(options)).await?;
            let keys: BTreeMap<Vec<u8>, i64> =
                there.kvs().iter().map(|kv| (kv.key().to_vec(), kv.mod_revision())).collect();
            if keys == self.keys {
                return Ok(keys.len());
            }
            // An end that is not the same never ends: the caller's patience does.
            if let Ok(followed) = timeout(Duration::from_secs(1), self.follow()).await {
                followed?;
            }
        }
    }
}
