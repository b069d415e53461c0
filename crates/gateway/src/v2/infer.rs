//! PURE. What changes of v3 keys are to v2: the events of one revision, where nobody here remembers what was asked for.

use std::collections::BTreeSet;

use etcd_client::proto::{PbEvent, PbKeyValue};

use super::node::{Action, Event, Node, Times};
use super::path::KeyPath;
use super::ttl::Tag;

/// Before its end by this much, in milliseconds, a removal is not an expiry.
const SLACK: i64 = 1000;

/// What cannot be told from the changes themselves, and was asked of the store.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// Leases that are gone.
    pub gone: BTreeSet<i64>,
    /// A directory of which nothing is left.
    pub emptied: Option<KeyPath>,
}

/// A change of a v3 key that v2 can name.
struct Step<'a> {
    path: KeyPath,
    marker: bool,
    deleted: bool,
    pair: &'a PbKeyValue,
    prev: Option<&'a PbKeyValue>,
}

fn steps(events: &[PbEvent]) -> Vec<Step<'_>> {
    let step = |event: &'_ PbEvent| {
        let pair = event.kv.as_ref()?;
        let (path, marker) = KeyPath::of_key(&pair.key)?;
        Some((path, marker))
    };
    events
        .iter()
        .filter_map(|event| {
            let (path, marker) = step(event)?;
            let pair = event.kv.as_ref()?;
            Some(Step { path, marker, deleted: event.r#type == 1, pair, prev: event.prev_kv.as_ref() })
        })
        .collect()
}

/// The paths that a revision removed files or markers at.
pub fn removed(events: &[PbEvent]) -> Vec<KeyPath> {
    steps(events).into_iter().filter(|step| step.deleted).map(|step| step.path).collect()
}

/// All paths of a revision.
pub fn touched(events: &[PbEvent]) -> Vec<KeyPath> {
    steps(events).into_iter().map(|step| step.path).collect()
}

/// The directory that may have been removed whole: the deepest one around several removals.
pub fn perhaps_emptied(events: &[PbEvent]) -> Option<KeyPath> {
    let steps = steps(events);
    if steps.iter().any(|step| !step.deleted && !step.marker) {
        return None;
    }
    let mut removals = steps.iter().filter(|step| step.deleted);
    let first = removals.next()?;
    let mut around = if first.marker { Some(first.path.clone()) } else { first.path.parent() };
    let mut several = first.marker;
    for step in removals {
        several = true;
        while let Some(directory) = around.as_ref().filter(|directory| **directory != step.path || !step.marker) {
            if directory.contains(&step.path) {
                break;
            }
            around = directory.parent();
        }
    }
    around.filter(|directory| several && !directory.is_root())
}

/// The leases, not v2's, of removed keys: whether they are gone tells an expiry from a deletion.
pub fn foreign_leases(events: &[PbEvent]) -> BTreeSet<i64> {
    let leases =
        steps(events).into_iter().filter(|step| step.deleted).filter_map(|step| step.prev.map(|prev| prev.lease));
    leases.filter(|lease| *lease != 0 && Tag::of(*lease).is_none()).collect()
}

/// The v2 events of one revision of v3 events.
pub fn infer(revision: i64, events: &[PbEvent], hints: &Hints, times: &Times) -> Vec<Event> {
    let steps = steps(events);
    let ended = |lease: i64| match Tag::of(lease) {
        Some(tag) => tag.end.0 <= times.now.0 + SLACK,
        None => hints.gone.contains(&lease),
    };
    let removal = |lease: i64| if ended(lease) { Action::Expire } else { Action::Delete };
    if let Some(directory) = &hints.emptied {
        let inside =
            steps.iter().filter(|step| step.deleted && (step.path == *directory || directory.contains(&step.path)));
        let created = inside.filter_map(|step| step.prev.map(|prev| prev.create_revision)).min().unwrap_or(0);
        let own = steps.iter().find(|step| step.deleted && step.marker && step.path == *directory);
        let lease = own.and_then(|step| step.prev).map_or(0, |prev| prev.lease);
        let prev = times.directory(directory, created, lease);
        return vec![gone(removal(lease), revision, prev)];
    }
    // With other changes in the revision, plain markers only keep or end the emptiness of a directory.
    let files = steps.iter().any(|step| !step.marker);
    let told = steps.iter().filter(|step| !step.marker || !files);
    told.filter_map(|step| match (step.deleted, step.marker) {
        (true, _) => {
            let prev = step.prev.cloned().unwrap_or_else(|| step.pair.clone());
            let node = if step.marker {
                times.directory(&step.path, prev.create_revision, prev.lease)
            } else {
                times.file(&prev)
            };
            Some(gone(removal(prev.lease), revision, node))
        }
        (false, true) => {
            let node = times.directory(&step.path, step.pair.create_revision, step.pair.lease);
            let action = if step.prev.is_some() { Action::Update } else { Action::Set };
            let prev_node = step.prev.map(|prev| times.directory(&step.path, prev.create_revision, prev.lease));
            Some(Event { action, node: Some(Node { modified_index: revision, ..node }), prev_node })
        }
        (false, false) if is_refresh(step) => None,
        (false, false) => {
            let prev_node = step.prev.map(|prev| times.file(prev));
            Some(Event { action: Action::Set, node: Some(times.file(step.pair)), prev_node })
        }
    })
    .collect()
}

/// The same value under another of v2's leases: another gateway's refresh, of which waiters are not told.
fn is_refresh(step: &Step<'_>) -> bool {
    step.prev.is_some_and(|prev| {
        prev.value == step.pair.value
            && prev.lease != step.pair.lease
            && Tag::of(prev.lease).is_some()
            && Tag::of(step.pair.lease).is_some()
    })
}

fn gone(action: Action, revision: i64, prev: Node) -> Event {
    let node = Node {
        key: prev.key.clone(),
        dir: prev.dir,
        modified_index: revision,
        created_index: prev.created_index,
        ..Node::default()
    };
    Event { action, node: Some(node), prev_node: Some(prev) }
}

#[cfg(test)]
mod tests {
    use super::super::time::Millis;
    use super::*;

    fn pair(key: &str, value: &str, lease: i64) -> PbKeyValue {
        let (key, value) = (key.into(), value.into());
        PbKeyValue { key, value, lease, create_revision: 3, mod_revision: 9, version: 2 }
    }

    fn put(key: &str, value: &str, lease: i64, prev: Option<PbKeyValue>) -> PbEvent {
        PbEvent { r#type: 0, kv: Some(pair(key, value, lease)), prev_kv: prev }
    }

    fn delete(key: &str, lease: i64) -> PbEvent {
        let kv = PbKeyValue { key: key.into(), mod_revision: 9, ..PbKeyValue::default() };
        PbEvent { r#type: 1, kv: Some(kv), prev_kv: Some(pair(key, "old", lease)) }
    }

    fn told(events: &[PbEvent], hints: &Hints) -> Vec<(Action, String, bool)> {
        let times = Times::at(Millis(100_000));
        let events = infer(9, events, hints, &times).into_iter();
        events.map(|event| (event.action, event.node.unwrap().key, event.prev_node.is_some())).collect()
    }

    #[test]
    fn writes_of_v3_clients_are_sets_and_removals_deletes() {
        let events = [put("/a", "1", 0, None), put("/b", "2", 0, Some(pair("/b", "1", 0))), delete("/c/d", 0)];
        let expected = [
            (Action::Set, "/a".to_owned(), false),
            (Action::Set, "/b".to_owned(), true),
            (Action::Delete, "/c/d".to_owned(), true),
        ];
        assert_eq!(told(&events, &Hints::default()), expected);
    }

    #[test]
    fn a_removal_at_the_end_of_its_lease_is_an_expiry() {
        let over = Tag { end: Millis(100_500), directory: false }.id(0);
        let not_over = Tag { end: Millis(200_000), directory: false }.id(0);
        let action = |lease, gone: &[i64]| {
            let hints = Hints { gone: gone.iter().copied().collect(), emptied: None };
            told(&[delete("/k", lease)], &hints)[0].0
        };
        assert_eq!(action(over, &[]), Action::Expire);
        assert_eq!(action(not_over, &[]), Action::Delete);
        assert_eq!(action(77, &[77]), Action::Expire);
        assert_eq!(action(77, &[]), Action::Delete);
    }

    #[test]
    fn markers_are_told_only_where_they_are_the_change() {
        let marked = [delete("/a/b", 0), put("/a/", "", 0, None)];
        assert_eq!(told(&marked, &Hints::default()), [(Action::Delete, "/a/b".to_owned(), true)]);
        let unmarked = [put("/a/b", "1", 0, None), delete("/a/", 0)];
        assert_eq!(told(&unmarked, &Hints::default()), [(Action::Set, "/a/b".to_owned(), false)]);
        assert_eq!(told(&[put("/a/", "", 0, None)], &Hints::default()), [(Action::Set, "/a".to_owned(), false)]);
    }

    #[test]
    fn a_refresh_by_another_gateway_wakes_nobody() {
        let lease = |end| Tag { end: Millis(end), directory: false }.id(0);
        let refresh = put("/k", "v", lease(300_000), Some(pair("/k", "v", lease(200_000))));
        assert!(told(&[refresh], &Hints::default()).is_empty());
        let change = put("/k", "w", lease(300_000), Some(pair("/k", "v", lease(200_000))));
        assert_eq!(told(&[change], &Hints::default()).len(), 1);
    }

    #[test]
    fn several_removals_may_be_a_directorys() {
        let all = [delete("/a/b/c", 0), delete("/a/b/d/e", 0), put("/a/", "", 0, None)];
        let emptied = perhaps_emptied(&all);
        assert_eq!(emptied, Some(KeyPath::new("/a/b").unwrap()));
        let hints = Hints { emptied, ..Hints::default() };
        assert_eq!(told(&all, &hints), [(Action::Delete, "/a/b".to_owned(), true)]);
        assert_eq!(perhaps_emptied(&[delete("/a/b", 0)]), None);
        assert_eq!(perhaps_emptied(&[delete("/a/", 0)]), Some(KeyPath::new("/a").unwrap()));
        assert_eq!(perhaps_emptied(&[delete("/a/b", 0), delete("/c/d", 0)]), None);
        assert_eq!(perhaps_emptied(&[delete("/a/b", 0), delete("/a/c", 0), put("/a/d", "", 0, None)]), None);
    }
}
