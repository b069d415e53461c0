//! Who watches what: wakes the streams that a commit concerns, and no others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flota_mvcc::{Commit, Key, KeyRange, Revision};
use tokio::sync::Notify;

/// One watch, as the writer sees it.
#[derive(Debug)]
pub(crate) struct Slot {
    range: KeyRange,
    /// The first revision with an event that the stream has not fetched; 0 if there is none.
    pending: AtomicI64,
    stream: Arc<Notify>,
}

impl Slot {
    /// Whether there may be events to fetch.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire) != 0
    }

    /// Takes the first revision to fetch. The state must not change between this and the reading of it, or must be read afterwards: what comes
    /// in between is then fetched, and marked again.
    pub(crate) fn take(&self) -> Option<Revision> {
        Some(self.pending.swap(0, Ordering::AcqRel)).filter(|revision| *revision != 0)
    }

    /// Notes that there is something to fetch from `revision` on, and wakes the stream.
    pub(crate) fn mark(&self, revision: Revision) {
        if self.note(revision) {
            self.stream.notify_one();
        }
    }

    /// The same for many watches: notes whom to wake afterwards. Watches of one stream mostly stand together; it is woken when all of them
    /// are marked, and fetches them in one go.
    fn note_for<'a>(&'a self, revision: Revision, wake: &mut Vec<&'a Arc<Notify>>) {
        if self.note(revision) && !wake.last().is_some_and(|last| Arc::ptr_eq(last, &self.stream)) {
            wake.push(&self.stream);
        }
    }

    /// Whether the mark is new; an older one is kept: it is fetched from there.
    fn note(&self, revision: Revision) -> bool {
        self.pending.compare_exchange(0, revision, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// All watches of all streams.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    watches: Mutex<Watches>,
    published: AtomicI64,
}

#[derive(Debug, Default)]
struct Watches {
    /// By the one key watched.
    keys: HashMap<Key, Vec<Arc<Slot>>>,
    /// Those with more than one key.
    ranges: Vec<Arc<Slot>>,
}

impl Hub {
    /// Adds a watch. Commits published from now on mark it; what the state holds already must be read from it afterwards.
    pub(crate) fn add(&self, range: KeyRange, stream: Arc<Notify>) -> Arc<Slot> {
        let slot = Arc::new(Slot { range, pending: AtomicI64::new(0), stream });
        let mut watches = self.lock();
        match &slot.range {
            KeyRange::One(key) => watches.keys.entry(Arc::clone(key)).or_default().push(Arc::clone(&slot)),
            KeyRange::Between(..) | KeyRange::From(_) => watches.ranges.push(Arc::clone(&slot)),
        }
        slot
    }

    /// How many watches there are.
    pub(crate) fn count(&self) -> usize {
        let watches = self.lock();
        watches.keys.values().map(Vec::len).sum::<usize>() + watches.ranges.len()
    }

    /// Takes a watch away.
    pub(crate) fn remove(&self, slot: &Arc<Slot>) {
        let mut watches = self.lock();
        match &slot.range {
            KeyRange::One(key) => {
                if let Some(slots) = watches.keys.get_mut(key) {
                    slots.retain(|other| !Arc::ptr_eq(other, slot));
                    if slots.is_empty() {
                        watches.keys.remove(key);
                    }
                }
            }
            KeyRange::Between(..) | KeyRange::From(_) => watches.ranges.retain(|other| !Arc::ptr_eq(other, slot)),
        }
    }

    /// Marks the watches that the commits concern; they are in the state already. Called by the writer, in order. Tells whether any stream
    /// was woken.
    pub(crate) fn publish(&self, commits: &[Arc<Commit>]) -> bool {
        let Some(last) = commits.last() else { return false };
        let watches = self.lock();
        let mut wake: Vec<&Arc<Notify>> = Vec::new();
        for commit in commits {
            for event in &commit.events {
                let key = &event.kv().key;
                for slot in watches.keys.get(key).into_iter().flatten() {
                    slot.note_for(commit.revision, &mut wake);
                }
                for slot in watches.ranges.iter().filter(|slot| slot.range.contains(key)) {
                    slot.note_for(commit.revision, &mut wake);
                }
            }
        }
        // All are marked; who is woken finds it so.
        self.published.store(last.revision, Ordering::Release);
        for stream in &wake {
            stream.notify_one();
        }
        !wake.is_empty()
    }

    /// Sets where the store begins.
    pub(crate) fn start_at(&self, revision: Revision) {
        self.published.store(revision, Ordering::Release);
    }

    /// Everything up to this revision has marked its watches.
    pub(crate) fn published(&self) -> Revision {
        self.published.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Watches> {
        // Nothing here can leave the lists half changed.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
