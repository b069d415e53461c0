//! kill -9 under load: nothing acknowledged is lost, and history is one unbroken line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use etcd_client::{Client, EventType, GetOptions, Txn, TxnOp, WatchOptions};

use crate::support::*;

const ROUNDS: u64 = 10;
const WRITERS: usize = 8;

/// What a writer was told: (key, value, revision).
type Acked = (String, String, i64);

/// Writes until the store goes away.
async fn write(addr: String, writer: usize, round: u64, floor: Arc<AtomicI64>, stop: Arc<AtomicBool>) -> Vec<Acked> {
    let mut acked = Vec::new();
    let Ok(mut client) = Client::connect([addr], None).await else { return acked };
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return acked;
        }
        let (key, value) = (format!("w/{writer}/{}", n % 10), format!("{round}/{n}"));
        let before = floor.load(Ordering::SeqCst);
        let revision = if n % 5 == 4 {
            let both =
                [TxnOp::put(key.clone(), value.clone(), None), TxnOp::put(format!("{key}/twin"), value.clone(), None)];
            client
                .txn(Txn::new().and_then(both))
                .await
                .map(|done| done.header().map(etcd_client::ResponseHeader::revision))
        } else {
            client
                .put(key.clone(), value.clone(), None)
                .await
                .map(|done| done.header().map(etcd_client::ResponseHeader::revision))
        };
        let Ok(Some(revision)) = revision else { return acked };
        assert!(revision > before, "revision {revision} is not above {before}, which was known before");
        floor.fetch_max(revision, Ordering::SeqCst);
        acked.push((key, value, revision));
    }
    acked
}

/// All events from revision 1 on, up to `last`.
async fn history(client: &mut Client, last: i64) -> Vec<(i64, EventType, String, String)> {
    let from_start = WatchOptions::new().with_all_keys().with_start_revision(1);
    let mut watch = client.watch("", Some(from_start)).await.unwrap();
    let mut events: Vec<(i64, EventType, String, String)> = Vec::new();
    while events.last().is_none_or(|event| event.0 < last) {
        for event in soon(watch.message()).await.unwrap().unwrap().events() {
            let kv = event.kv().unwrap();
            let (key, value) = (kv.key_str().unwrap().to_owned(), kv.value_str().unwrap().to_owned());
            events.push((kv.mod_revision(), event.event_type(), key, value));
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let addr = free_addr();
    let floor = Arc::new(AtomicI64::new(1));
    let mut acked: Vec<Acked> = Vec::new();
    for round in 0..ROUNDS {
        let mut process = Process::start(dir.path(), addr);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(addr.to_string(), writer, round, Arc::clone(&floor), Arc::clone(&stop))))
            .collect();
        tokio::time::sleep(Duration::from_millis(60 + 37 * round % 150)).await;
        process.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            acked.extend(soon(writer).await.unwrap());
        }
    }
    assert!(acked.len() > 100, "only {} writes were acknowledged", acked.len());
    let _process = Process::start(dir.path(), addr);
    let mut client = Client::connect([addr.to_string()], None).await.unwrap();
    let all = client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    let last = all.header().unwrap().revision();
    assert!(last >= floor.load(Ordering::SeqCst), "the revision went back");
    let events = history(&mut client, last).await;
    let mut keys = BTreeMap::new();
    let mut at = 1;
    for (revision, kind, key, value) in &events {
        assert!(*revision == at || *revision == at + 1, "revision {revision} follows {at}");
        assert_eq!(*kind, EventType::Put);
        at = *revision;
        keys.insert(key.clone(), value.clone());
    }
    let found: BTreeMap<_, _> =
        all.kvs().iter().map(|kv| (kv.key_str().unwrap().to_owned(), kv.value_str().unwrap().to_owned())).collect();
    assert_eq!(found, keys, "the watch from the start equals what is there");
    let by_revision: BTreeMap<(i64, &str), &str> =
        events.iter().map(|(revision, _, key, value)| ((*revision, key.as_str()), value.as_str())).collect();
    for (key, value, revision) in &acked {
        assert_eq!(by_revision.get(&(*revision, key.as_str())), Some(&value.as_str()), "an acknowledged write is lost");
    }
}
