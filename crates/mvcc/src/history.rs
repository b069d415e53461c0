//! The commits since the last compaction, by revision: what watches are served from, new or late alike.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::{KeyRange, KeyValue, Revision};

/// Most revisions that one catch-up step reads, so that a far-behind watch does not hold the store.
pub const MAX_CATCH_UP_REVISIONS: usize = 1000;

/// Bytes of matching events after which a catch-up step ends; the revision that crosses it is still delivered whole.
pub const MAX_CATCH_UP_BYTES: usize = 1 << 20;

/// One key's change, as watches see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key has a new version.
    Put {
        /// The new version.
        kv: Arc<KeyValue>,
        /// The one before, unless the put created the key or the version was compacted.
        prev: Option<Arc<KeyValue>>,
    },
    /// The key is gone.
    Delete {
        /// Only key and mod revision.
        kv: Arc<KeyValue>,
        /// The last version, unless it was compacted.
        prev: Option<Arc<KeyValue>>,
    },
}

impl Event {
    /// The version the event is about.
    pub fn kv(&self) -> &Arc<KeyValue> {
        match self {
            Event::Put { kv, .. } | Event::Delete { kv, .. } => kv,
        }
    }

    /// The version before.
    pub fn prev(&self) -> Option<&Arc<KeyValue>> {
        match self {
            Event::Put { prev, .. } | Event::Delete { prev, .. } => prev.as_ref(),
        }
    }

    fn forget_prev(&mut self) {
        match self {
            Event::Put { prev, .. } | Event::Delete { prev, .. } => *prev = None,
        }
    }
}

/// All events of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The revision.
    pub revision: Revision,
    /// Its events, in the order of the operations.
    pub events: Vec<Event>,
}

/// Which events a watch wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// The keys.
    pub range: KeyRange,
    /// Leave puts out.
    pub no_put: bool,
    /// Leave deletes out.
    pub no_delete: bool,
    /// Count the bytes of previous versions too.
    pub prev_kv: bool,
}

impl EventFilter {
    fn wants(&self, event: &Event) -> bool {
        let kind = match event {
            Event::Put { .. } => !self.no_put,
            Event::Delete { .. } => !self.no_delete,
        };
        kind && self.range.contains(&event.kv().key)
    }

    fn size(&self, event: &Event) -> usize {
        event.kv().size() + if self.prev_kv { event.prev().map_or(0, |kv| kv.size()) } else { 0 }
    }
}

/// One step of a watch through history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The matching events, whole revisions only.
    pub events: Vec<Event>,
    /// The revision to go on from.
    pub next: Revision,
}

/// The commits from the compaction revision on, and those before it that are yet to be freed.
#[derive(Debug, Default)]
pub(crate) struct History {
    commits: VecDeque<Arc<Commit>>,
}

impl History {
    pub(crate) fn push(&mut self, commit: Arc<Commit>) {
        debug_assert!(self.commits.back().is_none_or(|last| last.revision + 1 == commit.revision));
        self.commits.push_back(commit);
    }

    /// The commits from `from` on.
    pub(crate) fn since(&self, from: Revision) -> impl Iterator<Item = &Arc<Commit>> {
        // Revisions have no gaps, so the place of a commit is its distance from the first.
        let first = self.commits.front().map_or(from, |commit| commit.revision);
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(0).min(self.commits.len());
        self.commits.range(skip..)
    }

    /// The next step of a watch that has seen everything below `from`; `current` is the store's revision.
    pub(crate) fn read(&self, filter: &EventFilter, from: Revision, current: Revision) -> Events {
        let mut events = Vec::new();
        let mut bytes = 0;
        for (step, commit) in self.since(from).enumerate() {
            if step == MAX_CATCH_UP_REVISIONS || bytes >= MAX_CATCH_UP_BYTES {
                return Events { events, next: commit.revision };
            }
            for event in commit.events.iter().filter(|event| filter.wants(event)) {
                bytes += filter.size(event);
                events.push(event.clone());
            }
        }
        Events { events, next: from.max(current + 1) }
    }

    /// Previous versions of the events at `revision` are compacted with it; the commit itself stays, because a watch may start there.
    pub(crate) fn forget_prev(&mut self, revision: Revision) {
        let Some(first) = self.commits.front().map(|commit| commit.revision) else { return };
        let place = usize::try_from(revision - first).ok();
        if let Some(commit) = place.and_then(|place| self.commits.get_mut(place)) {
            Arc::make_mut(commit).events.iter_mut().for_each(Event::forget_prev);
        }
    }

    /// Takes the first commit out if it is below `revision`.
    pub(crate) fn pop_below(&mut self, revision: Revision) -> Option<Arc<Commit>> {
        self.commits.front().filter(|commit| commit.revision < revision)?;
        self.commits.pop_front()
    }
}
