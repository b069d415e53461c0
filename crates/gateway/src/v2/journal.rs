//! What this gateway asked of the store, by revision: what v3 events cannot tell of a write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::node::Event;
use super::path::KeyPath;

/// Writes remembered; older ones are inferred from v3 events.
const MAX_RECORDS: usize = 4096;
/// Bytes of nodes remembered.
const MAX_BYTES: usize = 16 << 20;
/// Longest wait for a write under way to say what it was.
const PATIENCE: Duration = Duration::from_secs(2);

/// A write of ours.
#[derive(Debug, Clone)]
pub struct Record {
    /// Of what.
    pub path: KeyPath,
    /// The event.
    pub event: Arc<Event>,
    /// Of which waiters are not told.
    pub refresh: bool,
}

/// The writes of this gateway.
#[derive(Default)]
pub struct Journal {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    records: BTreeMap<i64, Record>,
    bytes: usize,
    under_way: BTreeMap<u64, KeyPath>,
    next: u64,
}

/// A write under way; dropped without [`Ticket::done`] when it came to nothing.
pub struct Ticket<'a> {
    journal: &'a Journal,
    number: u64,
}

impl Journal {
    /// Announces a write, before it is sent.
    pub fn begin(&self, path: &KeyPath) -> Ticket<'_> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number, path.clone());
        Ticket { journal: self, number }
    }

    /// The write that made `revision`, if it was ours; waits for those under way at one of `paths`.
    pub async fn find(&self, revision: i64, paths: Vec<KeyPath>) -> Option<Record> {
        let before = self.lock().next;
        let found = async {
            loop {
                let changed = self.changed.notified();
                {
                    let state = self.lock();
                    if let Some(record) = state.records.get(&revision) {
                        return Some(record.clone());
                    }
                    let concerns =
                        |path: &KeyPath| paths.iter().any(|touched| touched == path || path.contains(touched));
                    if !state.under_way.range(..before).any(|(_, path)| concerns(path)) {
                        return None;
                    }
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// The write was carried out at `revision`.
    pub fn done(self, revision: i64, record: Record) {
        let mut state = self.journal.lock();
        state.bytes += record.event.size();
        state.records.insert(revision, record);
        while state.records.len() > MAX_RECORDS || state.bytes > MAX_BYTES {
            let Some((_, oldest)) = state.records.pop_first() else { break };
            state.bytes -= oldest.event.size();
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.journal.lock().under_way.remove(&self.number);
        self.journal.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::Action;
    use super::*;

    fn record(path: &KeyPath) -> Record {
        let event = Arc::new(Event { action: Action::Create, node: None, prev_node: None });
        Record { path: path.clone(), event, refresh: false }
    }

    #[tokio::test]
    async fn an_event_waits_for_the_write_under_way_that_made_it() {
        let journal = Journal::default();
        let path = KeyPath::new("/a/b").unwrap();
        let ticket = journal.begin(&path);
        let elsewhere = journal.find(7, vec![KeyPath::new("/c").unwrap()]).await;
        assert!(elsewhere.is_none());
        let paths = vec![path.clone()];
        let (found, ()) = tokio::join!(journal.find(7, paths.clone()), async {
            tokio::task::yield_now().await;
            ticket.done(7, record(&path));
        });
        assert_eq!(found.unwrap().event.action, Action::Create);
        assert!(journal.find(8, paths).await.is_none());
    }

    #[tokio::test]
    async fn old_writes_are_forgotten() {
        let journal = Journal::default();
        let path = KeyPath::new("/a").unwrap();
        for revision in 0..MAX_RECORDS as i64 + 10 {
            journal.begin(&path).done(revision, record(&path));
        }
        assert!(journal.find(9, Vec::new()).await.is_none());
        assert!(journal.find(10, Vec::new()).await.is_some());
    }
}
