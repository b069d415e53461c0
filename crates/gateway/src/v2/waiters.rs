//! PURE. Who waits for what, and the last events for those who come a little late.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::node::Event;
use super::path::KeyPath;

/// Waiters at a time; more are refused.
pub const MAX_WAITERS: usize = 20_000;
/// Events that a slow waiter may be behind; then its answer ends, and it asks again.
pub const MAX_BEHIND: usize = 100;
/// Events kept; who asks for older ones is served from the store's history.
const MAX_EVENTS: usize = 1000;
/// Bytes of events kept.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// An event as waiters are told.
#[derive(Debug)]
pub struct Told {
    /// Its index.
    pub index: i64,
    /// Where it happened.
    pub path: KeyPath,
    /// Its line, for all who wait for it.
    pub line: Bytes,
    /// What went, if something did.
    pub removed: Vec<KeyPath>,
}

impl Told {
    /// Of an event at `path`; `removed` are the paths whose keys went in its revision.
    pub fn new(index: i64, path: KeyPath, event: &Event, removed: Vec<KeyPath>) -> Told {
        let removed = if event.removes() { removed } else { Vec::new() };
        Told { index, path, line: Bytes::from(super::json::encode(event)), removed }
    }

    /// Whether a watch at `path` tells it: there; below, if recursive and not hidden; or above, if the watched went too.
    pub fn concerns(&self, path: &KeyPath, recursive: bool) -> bool {
        if path.contains(&self.path) {
            return recursive && !path.hides(&self.path);
        }
        let went = |removed: &KeyPath| removed == path || path.contains(removed);
        *path == self.path || (self.path.contains(path) && self.removed.iter().any(went))
    }
}

/// Somebody who waits.
pub struct Waiter {
    /// For events below, too.
    pub recursive: bool,
    /// For all events instead of one.
    pub stream: bool,
    /// From this index on.
    pub since: i64,
    /// Where they go.
    pub sender: mpsc::Sender<Bytes>,
}

/// All who wait, and the last events.
#[derive(Default)]
pub struct Waiters {
    by_path: BTreeMap<KeyPath, BTreeMap<u64, Waiter>>,
    count: usize,
    next: u64,
    events: VecDeque<Arc<Told>>,
    bytes: usize,
    /// All events from this index on are in `events`.
    since: i64,
}

impl Waiters {
    /// Forgets everything: the events to come begin with index `since`.
    pub fn restart(&mut self, since: i64) {
        let next = self.next;
        *self = Waiters { next, since, ..Waiters::default() };
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether events from `since` on are all known.
    pub fn reaches(&self, since: i64) -> bool {
        since >= self.since
    }

    /// Tells a newcomer what it asks for and has happened; false if that is all it wants.
    pub fn catch_up(&self, path: &KeyPath, waiter: &Waiter) -> bool {
        for told in self.events.iter().filter(|told| told.index >= waiter.since) {
            if told.concerns(path, waiter.recursive) {
                let taken = waiter.sender.try_send(told.line.clone()).is_ok();
                if !waiter.stream || !taken {
                    return false;
                }
            }
        }
        true
    }

    /// Lets somebody wait; the number is for [`Waiters::remove`].
    pub fn add(&mut self, path: KeyPath, waiter: Waiter) -> u64 {
        self.next += 1;
        self.count += 1;
        self.by_path.entry(path).or_default().insert(self.next, waiter);
        self.next
    }

    /// Somebody does not wait any more.
    pub fn remove(&mut self, path: &KeyPath, number: u64) {
        let Some(there) = self.by_path.get_mut(path) else { return };
        self.count -= usize::from(there.remove(&number).is_some());
        if there.is_empty() {
            self.by_path.remove(path);
        }
    }

    /// Tells everybody whom it concerns.
    pub fn tell(&mut self, told: Told) {
        let told = Arc::new(told);
        let above = std::iter::successors(Some(told.path.clone()), KeyPath::parent);
        let mut paths: Vec<KeyPath> = above.collect();
        if !told.removed.is_empty() {
            let below = self.by_path.range(told.path.clone()..).map(|(path, _)| path);
            let near = below.take_while(|path| path.as_str().starts_with(told.path.as_str()));
            paths.extend(near.filter(|path| told.path.contains(path)).cloned());
        }
        for path in paths {
            self.tell_at(&path, &told);
        }
        self.bytes += told.line.len();
        self.events.push_back(told);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_EVENT_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.line.len();
            self.since = oldest.index + 1;
        }
    }

    fn tell_at(&mut self, path: &KeyPath, told: &Told) {
        let Some(there) = self.by_path.get_mut(path) else { return };
        let before = there.len();
        there.retain(|_, waiter| {
            if told.index < waiter.since || !told.concerns(path, waiter.recursive) {
                return true;
            }
            let taken = waiter.sender.try_send(told.line.clone()).is_ok();
            taken && waiter.stream
        });
        self.count -= before - there.len();
        if there.is_empty() {
            self.by_path.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::{Action, Event};
    use super::*;

    fn path(text: &str) -> KeyPath {
        KeyPath::new(text).unwrap()
    }

    fn told(index: i64, at: &str, action: Action, removed: &[&str]) -> Told {
        let event = Event { action, node: None, prev_node: None };
        Told::new(index, path(at), &event, removed.iter().map(|text| path(text)).collect())
    }

    fn waiter(recursive: bool, stream: bool, since: i64) -> (Waiter, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(MAX_BEHIND);
        (Waiter { recursive, stream, since, sender }, receiver)
    }

    #[test]
    fn a_watch_tells_its_path_what_is_below_and_that_it_went() {
        let set = told(5, "/a/b", Action::Set, &[]);
        assert!(set.concerns(&path("/a/b"), false));
        assert!(set.concerns(&path("/a"), true) && set.concerns(&path("/"), true));
        assert!(!set.concerns(&path("/a"), false) && !set.concerns(&path("/a/b/c"), true));
        assert!(!told(5, "/a/_b/c", Action::Set, &[]).concerns(&path("/a"), true));
        assert!(told(5, "/_b", Action::Set, &[]).concerns(&path("/_b"), false));
        let gone = told(6, "/a", Action::Delete, &["/a/b/c"]);
        assert!(gone.concerns(&path("/a/b/c"), false) && gone.concerns(&path("/a/b"), false));
        assert!(!gone.concerns(&path("/a/x"), true));
    }

    #[test]
    fn one_event_ends_a_wait_and_a_stream_goes_on() {
        let mut waiters = Waiters::default();
        let (one, mut one_line) = waiter(true, false, 0);
        let (all, mut all_lines) = waiter(true, true, 7);
        waiters.add(path("/a"), one);
        waiters.add(path("/"), all);
        for index in 6..9 {
            waiters.tell(told(index, "/a/b", Action::Set, &[]));
        }
        assert_eq!(waiters.count(), 1);
        assert!(one_line.try_recv().is_ok() && one_line.try_recv().is_err());
        assert!(all_lines.try_recv().is_ok() && all_lines.try_recv().is_ok() && all_lines.try_recv().is_err());
    }

    #[test]
    fn a_stream_that_is_too_far_behind_ends() {
        let mut waiters = Waiters::default();
        let (slow, mut lines) = waiter(true, true, 0);
        waiters.add(path("/"), slow);
        for index in 0..=MAX_BEHIND as i64 {
            waiters.tell(told(index, "/k", Action::Set, &[]));
        }
        assert_eq!(waiters.count(), 0);
        let got = std::iter::from_fn(|| lines.try_recv().ok()).count();
        assert_eq!(got, MAX_BEHIND);
    }

    #[test]
    fn newcomers_are_told_what_is_kept_and_what_is_not_is_known() {
        let mut waiters = Waiters::default();
        waiters.restart(10);
        for index in 10..10 + MAX_EVENTS as i64 + 5 {
            waiters.tell(told(index, "/k", Action::Set, &[]));
        }
        assert!(!waiters.reaches(14) && waiters.reaches(15));
        let (late, mut line) = waiter(false, false, 20);
        assert!(!waiters.catch_up(&path("/k"), &late));
        assert!(line.try_recv().is_ok());
        let (other, _line) = waiter(false, false, 20);
        assert!(waiters.catch_up(&path("/other"), &other));
    }
}
