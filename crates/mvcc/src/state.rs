//! The durable state: what readers see, and how records change it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::batch::{Batch, Pending, check_range};
use crate::history::History;
use crate::index::{Index, Version};
use crate::lease::Leases;
use crate::range::{check_revision, read};
use crate::txn;
use crate::{
    Alarm, Auth, Caller, Change, Commit, Error, Event, EventFilter, Events, KeyValue, LeaseId, LeaseStatus, Limits,
    Millis, RangeRequest, RangeResponse, Record, Request, Response, Revision, TxnRequest, TxnResponse,
};

/// Compacting by itself waits until it forgets so many revisions, so that it does not run with every write.
const MIN_COMPACTION: i64 = 1_000;

/// How many times in the age that is kept the revision is remembered with its time.
const MARKS_PER_AGE: u64 = 10;

/// Milliseconds between two such times at least.
const MIN_MARK: u64 = 1000;

/// A record that cannot follow the ones before it: the log is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A revision is missing or comes twice.
    #[error("revision {found} follows revision {current}")]
    Gap {
        /// The revision reached.
        current: Revision,
        /// The revision of the record.
        found: Revision,
    },
    /// A change of users and roles from before the present ones.
    #[error("auth revision {found} follows auth revision {current}")]
    AuthGap {
        /// The auth revision reached.
        current: u64,
        /// The auth revision of the record.
        found: u64,
    },
    /// A compaction of revisions that are yet to come, or a restored key from after its base.
    #[error("revision {found} is beyond revision {current}")]
    Beyond {
        /// The revision reached.
        current: Revision,
        /// The revision in the record.
        found: Revision,
    },
}

/// The etcd v3 state machine.
#[derive(Debug)]
pub struct Mvcc {
    revision: Revision,
    compact_revision: Revision,
    pub(crate) index: Index,
    pub(crate) history: History,
    pub(crate) leases: Leases,
    /// The compaction whose commits have all been freed.
    tidied: Revision,
    /// A commit that is being freed, and how many of its events have been.
    forgotten: Option<(Arc<Commit>, usize)>,
    /// Revisions and when they were current, oldest first.
    marks: VecDeque<(Millis, Revision)>,
    pub(crate) limits: Limits,
    pub(crate) alarms: BTreeSet<Alarm>,
    pub(crate) auth: Auth,
}

impl Default for Mvcc {
    fn default() -> Mvcc {
        Mvcc::new()
    }
}

impl Mvcc {
    /// An empty store, at revision 1.
    pub fn new() -> Mvcc {
        Mvcc {
            revision: 1,
            compact_revision: -1,
            index: Index::default(),
            history: History::default(),
            tidied: -1,
            forgotten: None,
            leases: Leases::default(),
            marks: VecDeque::new(),
            limits: Limits::default(),
            alarms: BTreeSet::new(),
            auth: Auth::default(),
        }
    }

    /// Sets what a single request may ask for; what is in the store already stays, whatever it took.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    // === Reading ===

    /// The revision of the last write.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The revision up to which history is gone; that revision itself can be read. -1 if never compacted.
    pub fn compact_revision(&self) -> Revision {
        self.compact_revision
    }

    /// The number of keys that there are.
    pub fn count(&self) -> i64 {
        self.index.view().at(&crate::KeyRange::From(crate::Key::default()), Revision::MAX).count() as i64
    }

    /// Bytes of keys and values of all versions that are kept.
    pub fn bytes(&self) -> usize {
        self.index.bytes()
    }

    /// Users, roles, and whether callers are checked.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Reads a range for the store itself.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        self.range_for(&Caller::Trusted, request)
    }

    /// Keys that exist now.
    pub fn keys(&self) -> usize {
        self.index.live()
    }

    /// Reads a range.
    pub fn range_for(&self, caller: &Caller, request: &RangeRequest) -> Result<RangeResponse, Error> {
        check_range(&request.range)?;
        if self.auth.is_enabled() {
            self.auth.check_read(caller, &request.range)?;
        }
        check_revision(request.revision, self.compact_revision, self.revision)?;
        Ok(read(self.index.view(), request, self.revision))
    }

    /// Runs a transaction that cannot write (see [`TxnRequest::is_read_only`]).
    pub fn read_txn(&self, now: Millis, txn: &TxnRequest) -> Result<TxnResponse, Error> {
        self.read_txn_for(&Caller::Trusted, now, txn)
    }

    /// The same for a caller.
    pub fn read_txn_for(&self, caller: &Caller, now: Millis, txn: &TxnRequest) -> Result<TxnResponse, Error> {
        debug_assert!(txn.is_read_only());
        txn::check(txn, self.limits.max_txn_ops)?;
        let mut batch = self.batch(now);
        if self.auth.is_enabled() {
            batch.check_txn_caller(caller, txn)?;
        }
        batch.txn(txn)
    }

    /// The next events for a watch that has seen everything below `from`; `Compacted` if some of them are gone.
    pub fn events(&self, filter: &EventFilter, from: Revision) -> Result<Events, Error> {
        if from < self.compact_revision {
            return Err(Error::Compacted);
        }
        Ok(self.history.read(filter, from, self.revision))
    }

    /// What is known about a lease.
    pub fn lease(&self, now: Millis, id: LeaseId) -> Option<LeaseStatus> {
        self.leases.status(now, id)
    }

    /// All leases, by id.
    pub fn leases(&self) -> Vec<LeaseId> {
        self.leases.iter().map(|(id, _)| id).collect()
    }

    /// The alarms that stand.
    pub fn alarms(&self) -> impl Iterator<Item = Alarm> {
        self.alarms.iter().copied()
    }

    /// When the next lease ends.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.leases.next_deadline()
    }

    /// Leases whose time is over; the caller revokes them with requests like any other.
    pub fn expired(&self, now: Millis) -> Vec<LeaseId> {
        self.leases.expired(now).collect()
    }

    /// The revision to compact to so that memory stays bounded, if it is worth it by now.
    pub fn compaction_due(&self, now: Millis) -> Option<Revision> {
        let keep = self.limits.retention;
        let old = self.marks.iter().take_while(|(time, _)| now.since(*time) >= keep.age).last();
        let target = old?.1.min(self.revision - keep.revisions);
        (target - self.compact_revision.max(0) >= MIN_COMPACTION).then_some(target)
    }

    // === Writing ===

    /// Begins a batch of requests.
    pub fn batch(&self, now: Millis) -> Batch<'_> {
        Batch::new(self, now)
    }

    /// Makes a logged batch readable; returns its commits for the watches.
    pub fn apply(&mut self, now: Millis, pending: Pending) -> Vec<Arc<Commit>> {
        let commits = pending.records.into_iter().filter_map(|record| self.apply_record(now, record)).collect();
        for id in pending.renewed {
            self.leases.renew(now, id);
        }
        let apart = (self.limits.retention.age / MARKS_PER_AGE).max(MIN_MARK);
        if self.marks.back().is_none_or(|(time, _)| now.since(*time) >= apart) {
            self.marks.push_back((now, self.revision));
        }
        commits
    }

    /// Evaluates and applies one request, for callers that keep no log.
    pub fn execute(&mut self, now: Millis, request: &Request) -> Result<Response, Error> {
        let mut batch = self.batch(now);
        let response = batch.evaluate(request)?;
        let pending = batch.finish();
        self.apply(now, pending);
        while self.tidy(usize::MAX) {}
        Ok(response)
    }

    /// Applies a record read back from the log; refuses one that does not follow from those before it.
    pub fn replay(&mut self, now: Millis, record: Record) -> Result<(), ReplayError> {
        let current = self.revision;
        let beyond =
            |found: Revision| if found <= current { Ok(()) } else { Err(ReplayError::Beyond { current, found }) };
        match &record {
            Record::Commit { revision, .. } | Record::LeaseRevoke { revision: Some(revision), .. } => {
                self.check_follows(*revision)?;
            }
            Record::Compact(revision) => beyond(*revision)?,
            Record::Restore(kv) => beyond(kv.mod_revision)?,
            Record::Auth { revision: found, .. } => {
                let current = self.auth.revision();
                if *found < current {
                    return Err(ReplayError::AuthGap { current, found: *found });
                }
            }
            Record::LeaseRevoke { revision: None, .. }
            | Record::LeaseGrant { .. }
            | Record::Alarm { .. }
            | Record::Base(_) => {}
        }
        self.apply_record(now, record);
        while self.tidy(usize::MAX) {}
        Ok(())
    }

    /// Refuses a commit that is not the next one.
    pub(crate) fn check_follows(&self, found: Revision) -> Result<(), ReplayError> {
        let current = self.revision;
        if found == current + 1 { Ok(()) } else { Err(ReplayError::Gap { current, found }) }
    }

    /// Gives every lease its full time from now; to be called when the log has been replayed.
    pub fn renew_leases(&mut self, now: Millis) {
        self.leases.renew_all(now);
    }

    /// The start of a dump: what is small enough to be written down at once.
    pub(crate) fn dump_head(&self) -> Vec<Record> {
        let mut records = vec![Record::Base(self.compact_revision)];
        records.extend(self.leases.iter().map(|(id, ttl)| Record::LeaseGrant { id, ttl }));
        records.extend(self.alarms.iter().map(|alarm| Record::Alarm { alarm: *alarm, active: true }));
        let revision = self.auth.revision();
        records.extend(self.auth.dump().into_iter().map(|change| Record::Auth { revision, change }));
        records
    }

    /// Frees some of what the last compaction has forgotten, which nobody can read any more; tells whether there is more. `events` bounds
    /// the work, so that a large compaction stops nobody. Not to be called while a [`crate::Dump`] is under way.
    pub fn tidy(&mut self, events: usize) -> bool {
        let mut left = events;
        while left > 0 {
            let Some((commit, from)) = self.forgotten.take().or_else(|| self.next_forgotten()) else { return false };
            let end = commit.events.len().min(from.saturating_add(left));
            for event in &commit.events[from..end] {
                self.index.compact(&event.kv().key, self.compact_revision);
            }
            left -= (end - from).max(1).min(left);
            if end < commit.events.len() {
                self.forgotten = Some((commit, end));
            }
        }
        true
    }

    /// The next commit whose keys may have versions that nobody sees any more: each one below the compaction, then the one at it, which
    /// stays in the history.
    fn next_forgotten(&mut self) -> Option<(Arc<Commit>, usize)> {
        if let Some(commit) = self.history.pop_below(self.compact_revision) {
            return Some((commit, 0));
        }
        if self.tidied == self.compact_revision {
            return None;
        }
        self.tidied = self.compact_revision;
        let at = self.history.since(self.compact_revision).next();
        at.filter(|commit| commit.revision == self.compact_revision).map(|commit| (Arc::clone(commit), 0))
    }

    fn apply_record(&mut self, now: Millis, record: Record) -> Option<Arc<Commit>> {
        match record {
            Record::Commit { revision, changes } => Some(self.commit(revision, changes)),
            Record::LeaseGrant { id, ttl } => {
                self.leases.grant(now, id, ttl);
                None
            }
            Record::LeaseRevoke { id, revision, keys } => {
                let commit =
                    revision.map(|revision| self.commit(revision, keys.into_iter().map(Change::Delete).collect()));
                self.leases.remove(id);
                commit
            }
            Record::Alarm { alarm, active } => {
                if active {
                    self.alarms.insert(alarm);
                } else {
                    self.alarms.remove(&alarm);
                }
                None
            }
            Record::Compact(revision) => {
                self.compact(revision);
                None
            }
            Record::Base(compact_revision) => {
                // A base at revision N is followed by the commit at N itself, so the store stands just before it.
                let limits = self.limits;
                *self = Mvcc {
                    revision: (compact_revision - 1).max(1),
                    compact_revision,
                    tidied: compact_revision,
                    limits,
                    ..Mvcc::new()
                };
                None
            }
            Record::Auth { revision, change } => {
                self.auth.apply(revision, change);
                None
            }
            Record::Restore(kv) => {
                self.attach(None, Some(&kv));
                let key = Arc::clone(&kv.key);
                self.index.push(key, Version { revision: kv.mod_revision, kv: Some(kv) });
                None
            }
        }
    }

    fn commit(&mut self, revision: Revision, changes: Vec<Change>) -> Arc<Commit> {
        let events = changes.into_iter().map(|change| self.change(revision, change)).collect();
        self.push_commit(revision, events)
    }

    /// Applies a commit that creates all its keys, but for the index: that is left to the caller.
    pub(crate) fn commit_created(&mut self, revision: Revision, kvs: impl Iterator<Item = Arc<KeyValue>>) {
        let events = kvs.map(|kv| {
            self.attach(None, Some(&kv));
            Event::Put { kv, prev: None }
        });
        let events = events.collect();
        self.push_commit(revision, events);
    }

    fn push_commit(&mut self, revision: Revision, events: Vec<Event>) -> Arc<Commit> {
        let commit = Arc::new(Commit { revision, events });
        self.revision = revision;
        self.history.push(Arc::clone(&commit));
        commit
    }

    fn change(&mut self, revision: Revision, change: Change) -> Event {
        match change {
            Change::Put(kv) => {
                let key = Arc::clone(&kv.key);
                let prev = self.index.push(key, Version { revision, kv: Some(Arc::clone(&kv)) });
                self.attach(prev.as_deref(), Some(&kv));
                Event::Put { kv, prev }
            }
            Change::Delete(key) => {
                let prev = self.index.push(Arc::clone(&key), Version { revision, kv: None });
                self.attach(prev.as_deref(), None);
                Event::Delete { kv: Arc::new(KeyValue::tombstone(key, revision)), prev }
            }
        }
    }

    /// A key belongs to the lease of its newest version, and to no other.
    fn attach(&mut self, before: Option<&KeyValue>, after: Option<&Arc<KeyValue>>) {
        if let Some((kv, lease)) = before.and_then(|kv| Some((kv, kv.lease?))) {
            self.leases.detach(lease, &kv.key);
        }
        if let Some((kv, lease)) = after.and_then(|kv| Some((kv, kv.lease?))) {
            self.leases.attach(lease, Arc::clone(&kv.key));
        }
    }

    fn compact(&mut self, revision: Revision) {
        self.compact_revision = revision;
        self.history.forget_prev(revision);
        while self.marks.front().is_some_and(|(_, mark)| *mark <= revision) {
            self.marks.pop_front();
        }
    }
}
