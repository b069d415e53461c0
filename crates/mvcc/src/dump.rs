//! The state as records, in steps: a snapshot is written beside a store that goes on.

use std::ops::Bound;
use std::sync::Arc;

use crate::{Change, Event, Key, Mvcc, Record, Revision};

/// The way through a dump. It gives the state as it was when the dump began, whatever is applied in between, as long as nothing that a
/// compaction has forgotten is freed ([`Mvcc::tidy`]).
#[derive(Debug)]
pub struct Dump {
    compacted: Revision,
    revision: Revision,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// What was written down at the beginning.
    Head(Vec<Record>),
    /// The keys at the compaction, behind this one.
    Keys(Bound<Key>),
    /// The commits from this one on.
    Commits(Revision),
}

impl Mvcc {
    /// Begins a dump of what is there now.
    pub fn begin_dump(&self) -> Dump {
        let place = Place::Head(self.dump_head());
        Dump { compacted: self.compact_revision(), revision: self.revision(), place }
    }

    /// The next records, from about `limit` keys or commits; none at the end.
    pub fn dump_step(&self, dump: &mut Dump, limit: usize) -> Vec<Record> {
        loop {
            let (records, next) = match std::mem::replace(&mut dump.place, Place::Commits(dump.revision + 1)) {
                Place::Head(records) => (records, Place::Keys(Bound::Unbounded)),
                Place::Keys(from) => self.dump_keys(dump.compacted, from, limit),
                Place::Commits(from) if from > dump.revision => return Vec::new(),
                Place::Commits(from) => self.dump_commits(from, dump.revision, limit),
            };
            dump.place = next;
            if !records.is_empty() {
                return records;
            }
        }
    }

    /// Records from which the same state can be replayed, history since the last compaction included.
    pub fn dump(&self) -> Vec<Record> {
        let mut dump = self.begin_dump();
        let steps = std::iter::from_fn(|| Some(self.dump_step(&mut dump, usize::MAX)).filter(|step| !step.is_empty()));
        steps.flatten().collect()
    }

    fn dump_keys(&self, compacted: Revision, from: Bound<Key>, limit: usize) -> (Vec<Record>, Place) {
        // The commit at the compaction is still in the history, and brings its keys itself.
        let mut records = Vec::new();
        let mut last = None;
        for (seen, (key, kv)) in self.index.keys_at(from, compacted).enumerate() {
            if seen == limit {
                let last: Option<&Key> = last;
                return (records, Place::Keys(last.map_or(Bound::Unbounded, |key| Bound::Excluded(Arc::clone(key)))));
            }
            records.extend(kv.filter(|kv| kv.mod_revision < compacted).map(|kv| Record::Restore(Arc::clone(kv))));
            last = Some(key);
        }
        (records, Place::Commits(compacted.max(0)))
    }

    fn dump_commits(&self, from: Revision, to: Revision, limit: usize) -> (Vec<Record>, Place) {
        let commits = self.history.since(from).take_while(|commit| commit.revision <= to).take(limit);
        let records: Vec<Record> = commits
            .map(|commit| Record::Commit {
                revision: commit.revision,
                changes: commit.events.iter().map(change).collect(),
            })
            .collect();
        let next = match records.last() {
            Some(Record::Commit { revision, .. }) => revision + 1,
            _ => to + 1,
        };
        (records, Place::Commits(next))
    }
}

fn change(event: &Event) -> Change {
    match event {
        Event::Put { kv, .. } => Change::Put(Arc::clone(kv)),
        Event::Delete { kv, .. } => Change::Delete(Arc::clone(&kv.key)),
    }
}
