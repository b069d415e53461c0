//! What all requests share: the store, the journal, the waiters, the times to live.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::error::{Code, V2Error};
use super::hub::Hub;
use super::journal::Journal;
use super::node::Times;
use super::reaper::Reaper;
use super::stats::Stats;
use super::store::Store;
use super::time::Millis;
use super::ttl::{SLOTS, Tag};

/// A file's lease outlives its time to live by this many seconds: its end is ours to carry out, because its directory
/// must stay, and the store's only if there is no gateway any more.
const FILE_GRACE: i64 = 10;
/// A directory's: what is in it has no lease, and would stay for ever if the store were first.
const DIRECTORY_GRACE: i64 = 86_400;
/// The longest lease that etcd grants, in seconds.
const MAX_LEASE: i64 = 9_000_000_000;

/// What all requests share.
pub struct Core {
    /// The store.
    pub store: Store,
    /// Our writes.
    pub journal: Journal,
    /// Those who wait.
    pub hub: Hub,
    /// Times to live.
    pub reaper: Reaper,
    /// Counters.
    pub stats: Stats,
    slot: AtomicU32,
}

impl Core {
    /// Over a store.
    pub fn new(store: Store) -> Core {
        Core {
            store,
            journal: Journal::default(),
            hub: Hub::default(),
            reaper: Reaper::default(),
            stats: Stats::default(),
            slot: AtomicU32::new(0),
        }
    }

    /// A lease for a time to live; 0 for none.
    pub async fn lease(&self, ttl: Option<u64>, directory: bool) -> Result<i64, V2Error> {
        let Some(tag) = ttl.and_then(|ttl| Tag::after(now(), ttl, directory)) else { return Ok(0) };
        let grace = if directory { DIRECTORY_GRACE } else { FILE_GRACE };
        let seconds = tag.end.seconds_from(now()).saturating_add(grace).min(MAX_LEASE);
        for later in 0..i64::from(SLOTS) {
            let tag = Tag { end: Millis(tag.end.0 + later / 4), ..tag };
            let id = tag.id(self.slot.fetch_add(1, Ordering::Relaxed));
            if self.store.grant(id, seconds).await? {
                self.reaper.schedule(tag.end, id);
                return Ok(id);
            }
        }
        Err(V2Error::new(Code::Internal, "no lease is to be had: too many keys end in the same moment"))
    }

    /// What had this lease is gone or has another one: the lease goes too, if it is of v2.
    pub fn release(&self, lease: i64) {
        if let Some(tag) = Tag::of(lease) {
            self.reaper.hurry(tag.end, now(), lease);
        }
    }
}

/// What is known of time, now.
pub fn times() -> Times {
    Times::at(now())
}

/// The system's clock.
pub fn now() -> Millis {
    Millis::of(SystemTime::now())
}
