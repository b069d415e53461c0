//! A stream of watches: everything that came, in order, by watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcd_client::proto as pb;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::Wire;
use crate::ops::Watch;

/// The id of the watch on everything that each stream begins with.
pub const EVERYTHING: i64 = 1000;

/// What came on a stream so far.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Answers to new watches, in order: id, header revision, reason of a refusal.
    pub created: Vec<(i64, i64, String)>,
    /// Ended watches by id: compact revision and reason.
    pub ended: BTreeMap<i64, Vec<(i64, String)>>,
    /// Events by watch: `revision kind key value ...`.
    pub events: BTreeMap<i64, Vec<String>>,
    /// The revision of the last event of the watch on everything.
    pub last: i64,
    /// What no store may do.
    pub broken: Vec<String>,
}

/// A client of one stream.
#[derive(Debug)]
pub struct Watches {
    requests: mpsc::Sender<pb::PbWatchRequest>,
    received: Arc<Mutex<Received>>,
    changed: Arc<Notify>,
    reader: JoinHandle<()>,
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Watches {
    /// Opens a stream that watches everything from `start_revision` on.
    pub async fn open(wire: &Wire, start_revision: i64) -> Watches {
        let everything = Watch {
            key: vec![0],
            range_end: vec![0],
            start_revision,
            filters: Vec::new(),
            prev_kv: true,
            fragment: false,
            watch_id: EVERYTHING,
        };
        let (requests, mut stream) = wire.watch(everything.request()).await;
        let (received, changed) = (Arc::new(Mutex::new(Received::default())), Arc::new(Notify::new()));
        let (shared, wake) = (Arc::clone(&received), Arc::clone(&changed));
        let reader = tokio::spawn(async move {
            while let Ok(Some(response)) = stream.message().await {
                shared.lock().unwrap_or_else(PoisonError::into_inner).take(&response);
                wake.notify_waiters();
            }
            shared.lock().unwrap_or_else(PoisonError::into_inner).broken.push("the stream ended".to_owned());
            wake.notify_waiters();
        });
        let watches = Watches { requests, received, changed, reader };
        assert!(watches.until(|received| !received.created.is_empty()).await, "a watch is answered");
        watches
    }

    /// Asks for a new watch and waits for the answer to it.
    pub async fn create(&self, watch: &Watch) {
        let before = self.received().created.len();
        self.requests.send(watch.request()).await.unwrap();
        assert!(self.until(|received| received.created.len() > before).await, "a watch is answered: {watch:?}");
    }

    /// Cancels a watch; nothing answers if there is none.
    pub async fn cancel(&self, id: i64) {
        self.requests.send(Watch::cancel(id)).await.unwrap();
    }

    /// What came so far.
    pub fn received(&self) -> Received {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `test` holds; false if it does not within three seconds.
    pub async fn until(&self, test: impl Fn(&Received) -> bool) -> bool {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if test(&self.received()) {
                    return;
                }
                // A wake-up between the look and the wait costs one short round.
                let _ = tokio::time::timeout(Duration::from_millis(20), changed).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(3), wait).await.is_ok()
    }
}

impl Received {
    fn take(&mut self, response: &pb::PbWatchResponse) {
        let header = response.header.unwrap_or_default();
        let id = response.watch_id;
        if header.cluster_id == 0 || header.member_id == 0 || header.raft_term == 0 {
            self.broken.push(format!("a header without ids: {response:?}"));
        }
        if response.created {
            self.created.push((id, header.revision, response.cancel_reason.clone()));
            return;
        }
        if response.canceled {
            self.ended.entry(id).or_default().push((response.compact_revision, response.cancel_reason.clone()));
            return;
        }
        if response.events.is_empty() {
            self.broken.push(format!("an answer without events: {response:?}"));
        }
        for event in &response.events {
            let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            if revision > header.revision {
                self.broken.push(format!("an event of revision {revision} under header revision {}", header.revision));
            }
            if id == EVERYTHING {
                self.last = revision;
            }
            self.events.entry(id).or_default().push(tell(event));
        }
    }
}

fn tell(event: &pb::PbEvent) -> String {
    let kind = if event.r#type == 0 { "put" } else { "delete" };
    format!("{kind} {:?} before {:?}", event.kv, event.prev_kv)
}
