//! kill -9 under load, and torn writes on top: nothing acknowledged is lost, nothing else appears, history is one unbroken line.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use etcd_client::{Client, EventType, GetOptions, LeaseGrantOptions, PutOptions, Txn, TxnOp, WatchOptions};

use crate::support::*;

const ROUNDS: u64 = 200;
const WRITERS: usize = 16;

/// How much history the rounds leave when they compact.
const KEPT: i64 = 300;

/// A change that the store acknowledged: revision, key, and the value or `None` for a delete.
type Acked = (i64, String, Option<String>);

/// What one writer did in one round.
#[derive(Default)]
struct Written {
    acked: Vec<Acked>,
    /// Values with this number and above were never sent.
    sent: usize,
}

struct Writer {
    addr: String,
    number: usize,
    round: u64,
    /// The highest revision that anybody was told.
    floor: Arc<AtomicI64>,
}

impl Writer {
    /// Writes until the store goes away.
    async fn run(self) -> Written {
        let mut written = Written::default();
        let Ok(mut client) = Client::connect([&self.addr], None).await else { return written };
        loop {
            written.sent += 1;
            let before = self.floor.load(Ordering::SeqCst);
            let Ok(acked) = self.write(&mut client, written.sent - 1).await else { return written };
            for (revision, ..) in &acked {
                assert!(*revision > before, "revision {revision} is not above {before}, which was known before");
                self.floor.fetch_max(*revision, Ordering::SeqCst);
            }
            written.acked.extend(acked);
        }
    }

    async fn write(&self, client: &mut Client, n: usize) -> Result<Vec<Acked>, etcd_client::Error> {
        let (key, value) = (format!("w/{}/{}", self.number, n % 5), format!("{}/{}/{n}", self.round, self.number));
        let leased = format!("w/{}/leased", self.number);
        let lease = 1 + (self.round as i64 * 1000 + self.number as i64) * 1000 + n as i64 / 7;
        let put = |key: &str, revision: i64| vec![(revision, key.to_owned(), Some(value.clone()))];
        let revision = |header: Option<&etcd_client::ResponseHeader>| header.unwrap().revision();
        match n % 7 {
            4 => {
                let twin = format!("{key}/twin");
                let both = [&key, &twin].map(|key| TxnOp::put(key.as_str(), value.as_str(), None));
                let done = revision(client.txn(Txn::new().and_then(both)).await?.header());
                Ok([put(&key, done), put(&twin, done)].concat())
            }
            5 => {
                client.lease_grant(600, Some(LeaseGrantOptions::new().with_id(lease))).await?;
                let options = PutOptions::new().with_lease(lease);
                Ok(put(&leased, revision(client.put(leased.as_str(), value.as_str(), Some(options)).await?.header())))
            }
            6 if n.is_multiple_of(2) => Ok(vec![(revision(client.lease_revoke(lease).await?.header()), leased, None)]),
            6 => Ok(vec![(revision(client.delete(leased.as_str(), None).await?.header()), leased, None)]),
            _ => Ok(put(&key, revision(client.put(key.as_str(), value.as_str(), None).await?.header()))),
        }
    }
}

/// All that the store has told in watches, checked as it comes.
#[derive(Default)]
struct History {
    /// Values and deletes by revision and key.
    events: BTreeMap<(i64, String), Option<String>>,
    /// The keys as the events make them.
    keys: BTreeMap<String, String>,
    /// Everything up to here has been told.
    seen: i64,
}

impl History {
    /// Reads on to the store's present revision.
    async fn follow(&mut self, client: &mut Client) {
        let last = client.get("none", None).await.unwrap().header().unwrap().revision();
        let from = WatchOptions::new().with_all_keys().with_start_revision(self.seen + 1);
        let mut watch = client.watch("", Some(from)).await.unwrap();
        while self.seen < last {
            for event in soon(watch.message()).await.unwrap().unwrap().events() {
                let kv = event.kv().unwrap();
                let revision = kv.mod_revision();
                assert!(revision == self.seen || revision == self.seen + 1, "{revision} follows {}", self.seen);
                self.seen = revision;
                let (key, value) = (kv.key_str().unwrap().to_owned(), kv.value_str().unwrap().to_owned());
                let value = (event.event_type() == EventType::Put).then_some(value);
                match &value {
                    Some(value) => drop(self.keys.insert(key.clone(), value.clone())),
                    None => assert!(self.keys.remove(&key).is_some(), "{key} was not there to be deleted"),
                }
                let twice = self.events.insert((revision, key), value);
                assert_eq!(twice, None, "revision {revision} was told twice");
            }
        }
    }

    /// What was acknowledged is there, and what is there was sent.
    fn check(&self, round: u64, before: i64, written: &[Written]) {
        for (revision, key, value) in written.iter().flat_map(|written| &written.acked) {
            let found = self.events.get(&(*revision, key.clone()));
            assert_eq!(found, Some(value), "round {round}: {key} at {revision} was acknowledged");
        }
        for (at, value) in self.events.range((before + 1, String::new())..) {
            let Some(value) = value else { continue };
            let parts: Vec<usize> = value.split('/').map(|part| part.parse().unwrap()).collect();
            assert_eq!(parts[0] as u64, round, "{value} at {at:?} is not of this round");
            assert!(parts[2] < written[parts[1]].sent, "{value} at {at:?} was never sent");
        }
    }
}

/// Puts the beginning of a frame, or a piece of what was written before, behind the log's last frame: a write that the crash tore.
fn tear(dir: &Path, round: u64) {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let log = names.filter(|path| path.extension().is_some_and(|end| end == "log")).max().unwrap();
    let bytes = std::fs::read(&log).unwrap();
    let (mut last, mut end) = (0, 0);
    while let Some(length) = bytes.get(end..end + 4).map(|length| u32::from_le_bytes(length.try_into().unwrap())) {
        if length == 0 || bytes.len() < end + 16 + length as usize {
            break;
        }
        (last, end) = (end, end + 16 + length as usize);
    }
    let frame = &bytes[last..end];
    let torn = match round % 4 {
        0 => frame.to_vec(),
        1 => frame[..frame.len() - 1].to_vec(),
        2 => [&2000u32.to_le_bytes(), &frame[4..frame.len() / 2]].concat(),
        _ => vec![0xa5; 1 + round as usize % 40],
    };
    OpenOptions::new().write(true).open(&log).unwrap().write_all_at(&torn, end as u64).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let addr = free_addr();
    let floor = Arc::new(AtomicI64::new(1));
    let mut history = History { seen: 1, ..History::default() };
    let mut acknowledged = 0;
    let mut process = Process::start(dir.path(), addr);
    for round in 0..ROUNDS {
        let mut client = Client::connect([addr.to_string()], None).await.unwrap();
        if round % 10 == 9 {
            // Killed while this is done, or soon after.
            let old = history.seen - KEPT;
            tokio::spawn(async move { client.compact(old, None).await.map(drop) });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| Writer { addr: addr.to_string(), number, round, floor: Arc::clone(&floor) })
            .map(|writer| tokio::spawn(writer.run()))
            .collect();
        soon(async {
            while floor.load(Ordering::SeqCst) < history.seen + 12 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        tokio::time::sleep(Duration::from_micros(997 * round % 20_000)).await;
        process.kill();
        let mut written = Vec::new();
        for writer in writers {
            written.push(soon(writer).await.unwrap());
        }
        tear(dir.path(), round);
        let before = history.seen;
        process = Process::start(dir.path(), addr);
        let mut client = Client::connect([addr.to_string()], None).await.unwrap();
        history.follow(&mut client).await;
        assert!(history.seen >= floor.load(Ordering::SeqCst), "the revision went back");
        history.check(round, before, &written);
        acknowledged += written.iter().map(|written| written.acked.len()).sum::<usize>();
        let all = client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
        let text = |kv: &etcd_client::KeyValue| (kv.key_str().unwrap().to_owned(), kv.value_str().unwrap().to_owned());
        assert_eq!(all.kvs().iter().map(text).collect::<BTreeMap<_, _>>(), history.keys, "round {round}");
    }
    assert!(acknowledged > 2000, "only {acknowledged} writes were acknowledged");
}
