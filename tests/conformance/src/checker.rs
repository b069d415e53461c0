//! Whether a history of concurrent clients is linearizable. The store hands out the order itself, the revisions, so no search is
//! needed: what each answer says must be what replaying the events up to its revision gives, and real time must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a client asked. Values are unique in a history, so an event tells whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Write a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Delete a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Write two keys if the first is still at the revision, else read nothing.
    Swap {
        /// The keys.
        keys: [String; 2],
        /// The first key's expected mod revision; 0 is "not there".
        expected: i64,
        /// The value of both.
        value: String,
    },
    /// Read every key.
    Read,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The header's.
    pub revision: i64,
    /// What was done or found.
    pub found: Found,
}

/// The part of an answer that depends on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Of a put.
    Written,
    /// Of a delete: whether the key was there.
    Deleted(bool),
    /// Of a swap: whether it took place.
    Swapped(bool),
    /// Of a read: value and mod revision by key.
    Keys(BTreeMap<String, (String, i64)>),
}

/// One call, with times from one clock, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was sent.
    pub start: u64,
    /// When the answer was there.
    pub end: u64,
    /// What was asked.
    pub request: Request,
    /// What was told; nothing if the store was killed meanwhile, and the call may have taken place or not.
    pub answer: Option<Answer>,
}

/// One event of a watch on everything from the first revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of the write.
    pub revision: i64,
    /// The key.
    pub key: String,
    /// The value; nothing in a delete.
    pub value: Option<String>,
}

/// What a linearizable store cannot show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The watch leaves a revision out, repeats one, or goes back.
    Order(Event),
    /// The watch tells of something nobody wrote.
    Phantom(Event),
    /// A write took place more than once.
    Twice(Event),
    /// An acknowledged write is not at its revision.
    Lost(Call),
    /// A refused write took place, or one that was told otherwise than it was.
    Misreported(Call),
    /// An answer older than one that was there before the question.
    Stale(Call),
    /// A read that no moment of the store explains.
    WrongRead(Call),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

type Keys = BTreeMap<String, (String, i64)>;

/// Checks a history against what a watch from the first revision told in the end.
pub fn check(calls: &[Call], events: &[Event]) -> Vec<Violation> {
    let mut violations = check_order(events);
    violations.extend(check_origin(calls, events));
    violations.extend(check_time(calls));
    let states = Replay::new(events);
    violations.extend(calls.iter().filter_map(|call| check_answer(call, &states, events)));
    violations
}

/// Revisions count up by one; the events of one revision stand together, on different keys.
fn check_order(events: &[Event]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut at = 1;
    let mut keys = BTreeSet::new();
    for event in events {
        if event.revision == at + 1 {
            at = event.revision;
            keys.clear();
        }
        if event.revision != at || !keys.insert(event.key.clone()) {
            violations.push(Violation::Order(event.clone()));
        }
    }
    violations
}

/// Each value is of one call, at one revision, on the keys that the call named.
fn check_origin(calls: &[Call], events: &[Event]) -> Vec<Violation> {
    let mut writers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for call in calls {
        match &call.request {
            Request::Put { key, value } => writers.insert(value, vec![key]),
            Request::Swap { keys, value, .. } => writers.insert(value, keys.iter().map(String::as_str).collect()),
            Request::Delete { .. } | Request::Read => None,
        };
    }
    let mut seen: BTreeMap<&str, i64> = BTreeMap::new();
    let mut violations = Vec::new();
    for event in events {
        let Some(value) = &event.value else { continue };
        if !writers.get(value.as_str()).is_some_and(|keys| keys.contains(&event.key.as_str())) {
            violations.push(Violation::Phantom(event.clone()));
        } else if *seen.entry(value).or_insert(event.revision) != event.revision {
            violations.push(Violation::Twice(event.clone()));
        }
    }
    violations
}

/// No answer is older than one that had come before its question; a write is newer.
fn check_time(calls: &[Call]) -> Vec<Violation> {
    let answered = || calls.iter().filter_map(|call| Some((call, call.answer.as_ref()?)));
    let mut ends: Vec<(u64, i64)> = answered().map(|(call, answer)| (call.end, answer.revision)).collect();
    ends.sort_unstable();
    let mut newest = 0;
    for (_, revision) in &mut ends {
        newest = newest.max(*revision);
        *revision = newest;
    }
    let known_at =
        |time: u64| ends.partition_point(|(end, _)| *end < time).checked_sub(1).map_or(0, |last| ends[last].1);
    let stale = answered().filter(|(call, answer)| {
        let known = known_at(call.start);
        answer.revision < known || (wrote(&answer.found) && answer.revision == known)
    });
    stale.map(|(call, _)| Violation::Stale(call.clone())).collect()
}

fn wrote(found: &Found) -> bool {
    matches!(found, Found::Written | Found::Deleted(true) | Found::Swapped(true))
}

/// The store at every revision, as what changed by key.
struct Replay {
    by_key: BTreeMap<String, Vec<(i64, Option<String>)>>,
}

impl Replay {
    fn new(events: &[Event]) -> Replay {
        let mut by_key: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for event in events {
            by_key.entry(event.key.clone()).or_default().push((event.revision, event.value.clone()));
        }
        Replay { by_key }
    }

    fn get(&self, key: &str, revision: i64) -> Option<(String, i64)> {
        let changes = self.by_key.get(key)?;
        let last = changes.iter().rev().find(|(at, _)| *at <= revision)?;
        Some((last.1.clone()?, last.0))
    }

    fn at(&self, revision: i64) -> Keys {
        self.by_key.keys().filter_map(|key| Some((key.clone(), self.get(key, revision)?))).collect()
    }
}

/// Whether the answer is what the store at its revision says.
fn check_answer(call: &Call, states: &Replay, events: &[Event]) -> Option<Violation> {
    let Answer { revision, found } = call.answer.as_ref()?;
    let here = |key: &str, value: Option<&str>| {
        let from = events.partition_point(|event| event.revision < *revision);
        let at = events[from..].iter().take_while(|event| event.revision == *revision);
        at.into_iter().any(|event| event.key == key && event.value.as_deref() == value)
    };
    let (lost, wrong) = (|| Some(Violation::Lost(call.clone())), || Some(Violation::Misreported(call.clone())));
    match (&call.request, found) {
        (Request::Put { key, value }, Found::Written) if here(key, Some(value)) => None,
        (Request::Put { .. }, Found::Written) => lost(),
        (Request::Delete { key }, Found::Deleted(true)) if here(key, None) => None,
        (Request::Delete { .. }, Found::Deleted(true)) => lost(),
        (Request::Delete { key }, Found::Deleted(false)) if states.get(key, *revision).is_none() => None,
        (Request::Swap { keys, expected, value }, Found::Swapped(true)) => {
            let before = states.get(&keys[0], *revision - 1).map_or(0, |(_, at)| at);
            if !keys.iter().all(|key| here(key, Some(value))) {
                lost()
            } else if before != *expected {
                wrong()
            } else {
                None
            }
        }
        (Request::Swap { keys, expected, value }, Found::Swapped(false)) => {
            let now = states.get(&keys[0], *revision).map_or(0, |(_, at)| at);
            let took_place = events.iter().any(|event| event.value.as_ref() == Some(value));
            if now == *expected || took_place { wrong() } else { None }
        }
        (Request::Read, Found::Keys(keys)) if *keys == states.at(*revision) => None,
        (Request::Read, Found::Keys(_)) => Some(Violation::WrongRead(call.clone())),
        _ => wrong(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(start: u64, key: &str, value: &str, revision: i64) -> Call {
        let request = Request::Put { key: key.to_owned(), value: value.to_owned() };
        Call { start, end: start + 5, request, answer: Some(Answer { revision, found: Found::Written }) }
    }

    fn read(start: u64, revision: i64, keys: &[(&str, &str, i64)]) -> Call {
        let keys = keys.iter().map(|(key, value, at)| ((*key).to_owned(), ((*value).to_owned(), *at))).collect();
        let answer = Some(Answer { revision, found: Found::Keys(keys) });
        Call { start, end: start + 5, request: Request::Read, answer }
    }

    fn swap(start: u64, expected: i64, value: &str, revision: i64, done: bool) -> Call {
        let request = Request::Swap { keys: ["a".into(), "b".into()], expected, value: value.to_owned() };
        Call { start, end: start + 5, request, answer: Some(Answer { revision, found: Found::Swapped(done) }) }
    }

    fn delete(start: u64, key: &str, revision: i64, done: bool) -> Call {
        let request = Request::Delete { key: key.to_owned() };
        Call { start, end: start + 5, request, answer: Some(Answer { revision, found: Found::Deleted(done) }) }
    }

    fn event(revision: i64, key: &str, value: Option<&str>) -> Event {
        Event { revision, key: key.to_owned(), value: value.map(str::to_owned) }
    }

    fn good() -> (Vec<Call>, Vec<Event>) {
        let unanswered = Call { answer: None, ..put(60, "c", "maybe", 0) };
        let calls = vec![
            put(0, "a", "1", 2),
            swap(10, 2, "2", 3, true),
            swap(20, 2, "3", 3, false),
            read(30, 3, &[("a", "2", 3), ("b", "2", 3)]),
            delete(40, "a", 4, true),
            delete(50, "a", 4, false),
            unanswered,
            read(70, 5, &[("b", "2", 3), ("c", "maybe", 5)]),
        ];
        let events = vec![
            event(2, "a", Some("1")),
            event(3, "a", Some("2")),
            event(3, "b", Some("2")),
            event(4, "a", None),
            event(5, "c", Some("maybe")),
        ];
        (calls, events)
    }

    #[track_caller]
    fn finds(spoil: impl FnOnce(&mut Vec<Call>, &mut Vec<Event>), wanted: fn(&Violation) -> bool) {
        let (mut calls, mut events) = good();
        spoil(&mut calls, &mut events);
        let found = check(&calls, &events);
        assert!(found.iter().any(wanted), "{found:?}");
    }

    #[test]
    fn a_linearizable_history_is_found_so_whether_unanswered_writes_took_place_or_not() {
        let (mut calls, mut events) = good();
        assert_eq!(check(&calls, &events), []);
        events.pop();
        calls.pop();
        assert_eq!(check(&calls, &events), []);
    }

    #[test]
    fn planted_violations_are_found() {
        finds(|_, events| drop(events.remove(0)), |found| matches!(found, Violation::Lost(_)));
        finds(|_, events| drop(events.remove(0)), |found| matches!(found, Violation::Order(_)));
        finds(|_, events| events.swap(1, 3), |found| matches!(found, Violation::Order(_)));
        finds(|_, events| events.push(event(5, "c", Some("maybe"))), |found| matches!(found, Violation::Order(_)));
        finds(|_, events| events.push(event(6, "c", Some("maybe"))), |found| matches!(found, Violation::Twice(_)));
        finds(|_, events| events.push(event(6, "c", Some("who"))), |found| matches!(found, Violation::Phantom(_)));
        finds(|_, events| events.push(event(6, "a", Some("3"))), |found| matches!(found, Violation::Misreported(_)));
        finds(|calls, _| calls.push(read(80, 4, &[("b", "2", 3)])), |found| matches!(found, Violation::Stale(_)));
        finds(|calls, _| calls.push(read(80, 5, &[("b", "2", 3)])), |found| matches!(found, Violation::WrongRead(_)));
        finds(|calls, _| calls.push(delete(80, "b", 5, false)), |found| matches!(found, Violation::Misreported(_)));
        finds(|calls, _| calls[1] = swap(10, 0, "2", 3, true), |found| matches!(found, Violation::Misreported(_)));
        finds(|calls, _| calls.push(put(80, "c", "maybe", 5)), |found| matches!(found, Violation::Stale(_)));
    }
}
