//! Ends times to live at their moment, as v2 does: one event each, and the directories around stay.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

use super::core::{Core, now, times};
use super::error::V2Error;
use super::facts::Facts;
use super::journal::Record;
use super::path::KeyPath;
use super::removal;
use super::stats::Counter;
use super::time::Millis;
use super::ttl::Tag;

/// Leases waited for; those beyond are found when the store is asked again.
const MAX_LEASES: usize = 1_000_000;
/// Leases ended at a time.
const MAX_AT_ONCE: usize = 16;
/// The store is asked for leases of other gateways this often; theirs are theirs to end until [`OTHERS`] after their time.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How much later, in milliseconds: clocks of machines differ.
const OTHERS: i64 = 5000;
/// A failed attempt is repeated after this many milliseconds.
const RETRY: i64 = 1000;
/// Attempts against changes made at the same time, before the lease is put back.
const MAX_ATTEMPTS: usize = 8;

/// The leases whose end is to be carried out, by its moment.
#[derive(Default)]
pub struct Reaper {
    due: Mutex<BTreeSet<(Millis, i64)>>,
    sooner: Notify,
}

impl Reaper {
    /// Ends `lease` at that moment.
    pub fn schedule(&self, at: Millis, lease: i64) {
        let mut due = self.lock();
        if due.len() >= MAX_LEASES {
            return;
        }
        let first = due.first().is_none_or(|first| (at, lease) < *first);
        due.insert((at, lease));
        if first {
            self.sooner.notify_one();
        }
    }

    /// The lease has nothing more to end: it goes now instead of at its `end`.
    pub fn hurry(&self, end: Millis, now: Millis, lease: i64) {
        self.lock().remove(&(end, lease));
        self.schedule(now, lease);
    }

    fn take_due(&self, now: Millis) -> Vec<i64> {
        let mut due = self.lock();
        let later = due.split_off(&(Millis(now.0 + 1), 0));
        std::mem::replace(&mut *due, later).into_iter().map(|(_, lease)| lease).collect()
    }

    fn knows(&self, end: Millis, lease: i64) -> bool {
        let due = self.lock();
        due.contains(&(end, lease)) || due.contains(&(Millis(end.0 + OTHERS), lease))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(Millis, i64)>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends times to live for ever. The first look at the store finds those that were to end while no gateway ran.
pub async fn run(core: Arc<Core>) {
    let mut grace = 0;
    let mut ask = tokio::time::interval(ASK_AGAIN);
    loop {
        let next = core.reaper.lock().first().map(|(at, _)| *at);
        let due = async {
            match next {
                Some(at) => tokio::time::sleep(at.until(now()).min(ASK_AGAIN)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = ask.tick() => {
                if take_over(&core, grace).await {
                    grace = OTHERS;
                }
            }
            () = core.reaper.sooner.notified() => {}
            () = due => {}
        }
        let leases = core.reaper.take_due(now());
        stream::iter(leases).for_each_concurrent(MAX_AT_ONCE, |lease| end_or_put_back(&core, lease)).await;
    }
}

/// Schedules the leases of v2 that are not known here; whether the store answered.
async fn take_over(core: &Core, grace: i64) -> bool {
    let leases = match core.store.leases().await {
        Ok(leases) => leases,
        Err(error) => {
            tracing::warn!("leases of v2 keys cannot be listed: {error}");
            return false;
        }
    };
    for lease in leases {
        if let Some(tag) = Tag::of(lease)
            && !core.reaper.knows(tag.end, lease)
        {
            core.reaper.schedule(Millis(tag.end.0 + grace), lease);
        }
    }
    true
}

async fn end_or_put_back(core: &Core, lease: i64) {
    if let Err(error) = end(core, lease).await {
        tracing::debug!("lease {lease:x} is tried again: {error}");
        core.reaper.schedule(Millis(now().0 + RETRY), lease);
    }
}

/// Removes what has the lease, if its time is over; revokes the lease.
async fn end(core: &Core, lease: i64) -> Result<(), V2Error> {
    let (Some(tag), Some((_, keys))) = (Tag::of(lease), core.store.lease(lease).await?) else { return Ok(()) };
    if !keys.is_empty() && tag.end > now() {
        core.reaper.schedule(tag.end, lease);
        return Ok(());
    }
    for key in keys {
        if let Some((path, directory)) = KeyPath::of_key(&key) {
            expire(core, &path, directory, lease).await?;
        }
    }
    core.store.revoke(lease).await
}

async fn expire(core: &Core, path: &KeyPath, directory: bool, lease: i64) -> Result<(), V2Error> {
    for _ in 0..MAX_ATTEMPTS {
        let answer = core.store.reads(Facts::ask(path)).await?;
        let facts = Facts::read(path, answer.revision, answer.responses);
        let Some(plan) = removal::expiry(path, directory, lease, &facts, &times()) else { return Ok(()) };
        let ticket = core.journal.begin(path);
        let answer = core.store.txn(plan.txn.clone()).await?;
        if answer.succeeded {
            let event = Arc::new(plan.done(answer.revision));
            ticket.done(answer.revision, Record { path: path.clone(), event, refresh: false });
            core.stats.count(Counter::Expired);
            return Ok(());
        }
    }
    Err(V2Error::new(super::error::Code::Internal, "too many changes at the same time"))
}
