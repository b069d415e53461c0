//! PURE. Writes: the transaction that carries one out if nothing speaks against it, and what follows if something does.
//!
//! A write is one v3 transaction. Its compares hold exactly if v2 allows the write: no file among the ancestors, no
//! directory at a file's path, the previous value or index as demanded. Where they fail, its other branch reads the facts,
//! from which the refusal is told, or that it was a race and must be tried again.

use etcd_client::proto::{
    PbCompare, PbKeyValue, PbPutRequest, PbRangeRequest, PbResponseOp, PbTxnRequest, PbTxnRequestOp,
};

use super::error::{Code, V2Error};
use super::facts::{Directory, Facts};
use super::node::{Action, Event, Node, Times};
use super::path::{KeyPath, Span};
use super::request::{Change, Condition, Verb};
use super::wire;

/// What to do after a transaction whose compares failed.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// The client is told this.
    Refuse(V2Error),
    /// Somebody else was faster: try again.
    Again,
    /// There is a directory: change that, with [`directory_update`].
    Directory(Directory),
}

/// The file among a directory's entries with the greatest name of 20 digits, which the next one must exceed.
pub fn ask_last(directory: &KeyPath) -> PbRangeRequest {
    PbRangeRequest { sort_order: wire::DESCEND, ..wire::names(numbered(directory), 1) }
}

/// Where entries named by an index are; such names begin with `0`, because no index has 20 digits.
fn numbered(directory: &KeyPath) -> Span {
    Span::new(directory.child("0").key(), directory.child("1").key())
}

/// The name for the next entry, and that nobody else has made a later one since.
///
/// The name is the index that the entry is expected to get. Another write in between makes its index greater than its
/// name; the order of names stays the order of creation.
pub fn append(directory: &KeyPath, revision: i64, last: Option<&PbKeyValue>) -> (KeyPath, PbCompare) {
    let span = numbered(directory);
    let name = |last: &PbKeyValue| {
        let name = std::str::from_utf8(&last.key).ok()?.get(span.start.len() - 1..)?.trim_end_matches('/');
        let number = name.split('/').next()?;
        (number.len() == 20).then(|| number.parse::<i64>().ok())?
    };
    let number = last.and_then(name).unwrap_or(0).max(revision).saturating_add(1);
    let after = last.map_or(span.start.clone(), |last| [&last.key[..], &[0]].concat());
    (directory.child(&format!("{number:020}")), wire::empty(Span::new(after, span.end)))
}

/// The transaction for a write at `path`, which is the entry's where one is appended.
pub fn plan(change: &Change, path: &KeyPath, lease: i64, order: Option<PbCompare>) -> PbTxnRequest {
    let mut compare = match &change.verb {
        Verb::Set if change.refreshes() => vec![wire::exists(path.key())],
        Verb::Set => Vec::new(),
        Verb::Create | Verb::Append => vec![wire::absent(path.key())],
        Verb::Update | Verb::Swap(_) => vec![wire::exists(path.key())],
    };
    if let Verb::Swap(condition) = &change.verb {
        compare.extend(conditions(path, condition));
    } else {
        compare.push(wire::empty(path.inside()));
    }
    compare.extend(path.ancestors().map(|ancestor| wire::absent(ancestor.key())));
    compare.extend(order);
    let mut success = Vec::new();
    if makes_directory(change) {
        success.push(wire::delete(path.key()));
        success.push(wire::mark(path.marker(), lease));
    } else {
        success.push(wire::put(PbPutRequest {
            key: path.key(),
            value: if change.refreshes() { Vec::new() } else { change.value.clone() },
            lease,
            ignore_value: change.refreshes(),
            ..PbPutRequest::default()
        }));
    }
    success.extend(unmark(path));
    PbTxnRequest { compare, success, failure: Facts::ask(path) }
}

/// That a file is as expected.
pub fn conditions(path: &KeyPath, condition: &Condition) -> Vec<PbCompare> {
    let value = condition.value.clone().map(|value| wire::value_is(path.key(), value));
    // An index that v3 cannot have is not the file's.
    let index = condition.index.map(|index| wire::changed_at(path.key(), i64::try_from(index).unwrap_or(i64::MAX)));
    value.into_iter().chain(index).collect()
}

/// The directories above are not empty any more: their markers go, but for those that have a time to live.
fn unmark(path: &KeyPath) -> Vec<PbTxnRequestOp> {
    let markers = path.ancestors().map(|ancestor| ancestor.marker());
    markers.map(|marker| wire::only_if(wire::leased(marker.clone(), 0), wire::delete(marker))).collect()
}

/// Whether a directory comes out of it; where something is, only a plain set makes one of it.
pub fn makes_directory(change: &Change) -> bool {
    change.dir && matches!(change.verb, Verb::Set | Verb::Create | Verb::Append)
}

/// The event of a write that was carried out at `revision`.
pub fn done(
    change: &Change,
    path: &KeyPath,
    lease: i64,
    revision: i64,
    responses: Vec<PbResponseOp>,
    times: &Times,
) -> (Event, Option<PbKeyValue>) {
    let prev = wire::pairs(responses.into_iter().next()).into_iter().next();
    let node = if makes_directory(change) {
        times.directory(path, revision, lease)
    } else {
        let kept = prev.as_ref().filter(|_| change.refreshes()).map(|prev| prev.value.clone());
        times.file(&PbKeyValue {
            key: path.key(),
            value: kept.unwrap_or_else(|| change.value.clone()),
            create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
            mod_revision: revision,
            lease,
            ..PbKeyValue::default()
        })
    };
    let prev_node = prev.as_ref().map(|prev| times.file(prev));
    (Event { action: action(&change.verb), node: Some(node), prev_node }, prev)
}

fn action(verb: &Verb) -> Action {
    match verb {
        Verb::Set => Action::Set,
        Verb::Update => Action::Update,
        Verb::Create | Verb::Append => Action::Create,
        Verb::Swap(_) => Action::CompareAndSwap,
    }
}

/// What follows from the facts when a write's compares failed.
pub fn failed(change: &Change, path: &KeyPath, facts: &Facts) -> Next {
    let refuse = |code: Code| Next::Refuse(facts.refuse(code, path));
    if let Some(error) = facts.blocked() {
        return Next::Refuse(error);
    }
    match (&change.verb, &facts.file, &facts.directory) {
        (Verb::Set, None, Some(_)) => refuse(Code::NotFile),
        (Verb::Set, None, None) if change.refreshes() => Next::Refuse(facts.not_found(path)),
        (Verb::Set | Verb::Append, _, _) => Next::Again,
        (Verb::Create, Some(_), _) | (Verb::Create, _, Some(_)) => refuse(Code::Exists),
        (Verb::Create, None, None) => Next::Again,
        (Verb::Update, None, Some(_)) if !change.value.is_empty() => refuse(Code::NotFile),
        (Verb::Update, None, Some(directory)) => Next::Directory(directory.clone()),
        (Verb::Update | Verb::Swap(_), None, None) => Next::Refuse(facts.not_found(path)),
        (Verb::Update, Some(_), _) => Next::Again,
        (Verb::Swap(_), None, Some(_)) => refuse(Code::NotFile),
        (Verb::Swap(condition), Some(file), _) => match mismatch(condition, file) {
            Some(cause) => Next::Refuse(V2Error::new(Code::CompareFailed, cause).at(facts.revision)),
            None => Next::Again,
        },
    }
}

/// How a file differs from what was expected, in v2's words; None if it does not.
pub fn mismatch(condition: &Condition, file: &PbKeyValue) -> Option<String> {
    let value = condition.value.as_ref().filter(|value| **value != file.value);
    let index = condition.index.filter(|index| i64::try_from(*index) != Ok(file.mod_revision));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (value, index) {
        (None, None) => None,
        (None, Some(index)) => Some(format!("[{index} != {}]", file.mod_revision)),
        (Some(value), None) => Some(format!("[{} != {}]", text(value), text(&file.value))),
        (Some(value), Some(index)) => {
            Some(format!("[{} != {}] [{index} != {}]", text(value), text(&file.value), file.mod_revision))
        }
    }
}

/// Changes a directory's time to live; it gets a marker even if it is not empty.
pub fn directory_update(path: &KeyPath, directory: &Directory, lease: i64) -> PbTxnRequest {
    let compare = vec![wire::absent(path.key()), wire::exists(directory.sample.clone())];
    PbTxnRequest { compare, success: vec![wire::mark(path.marker(), lease)], failure: Vec::new() }
}

/// The event of that.
pub fn directory_updated(path: &KeyPath, old: &Directory, lease: i64, revision: i64, times: &Times) -> Event {
    let node = Node { modified_index: revision, ..times.directory(path, old.created, lease) };
    let prev = times.directory(path, old.created, old.marker.unwrap_or(0));
    Event { action: Action::Update, node: Some(node), prev_node: Some(prev) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> KeyPath {
        KeyPath::new(text).unwrap()
    }

    fn change(verb: Verb) -> Change {
        Change { path: path("/a/b"), verb, dir: false, value: b"new".to_vec(), refresh: false, ttl: None, brief: false }
    }

    fn file(value: &str, mod_revision: i64) -> PbKeyValue {
        PbKeyValue {
            key: b"/a/b".to_vec(),
            value: value.into(),
            mod_revision,
            create_revision: 3,
            ..PbKeyValue::default()
        }
    }

    fn facts(file: Option<PbKeyValue>, directory: bool) -> Facts {
        let directory =
            directory.then(|| Directory { created: 4, sample: b"/a/b/c".to_vec(), marker: None, empty: false });
        Facts { revision: 9, file, directory, obstacle: None, sibling: None }
    }

    fn refused(verb: Verb, facts: &Facts) -> (Code, String) {
        match failed(&change(verb), &path("/a/b"), facts) {
            Next::Refuse(error) => (error.code, error.cause),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_follow_from_what_is_there() {
        let swap = |value: &str, index| Verb::Swap(Condition { value: Some(value.into()), index });
        assert_eq!(refused(Verb::Set, &facts(None, true)), (Code::NotFile, "/a/b".into()));
        assert_eq!(refused(Verb::Create, &facts(Some(file("x", 5)), false)), (Code::Exists, "/a/b".into()));
        assert_eq!(refused(Verb::Update, &facts(None, false)), (Code::KeyNotFound, "/a/b".into()));
        assert_eq!(refused(Verb::Update, &facts(None, true)), (Code::NotFile, "/a/b".into()));
        assert_eq!(refused(swap("y", None), &facts(None, true)), (Code::NotFile, "/a/b".into()));
        let found = facts(Some(file("x", 5)), false);
        assert_eq!(refused(swap("y", None), &found), (Code::CompareFailed, "[y != x]".into()));
        assert_eq!(refused(swap("x", Some(4)), &found), (Code::CompareFailed, "[4 != 5]".into()));
        assert_eq!(refused(swap("y", Some(4)), &found), (Code::CompareFailed, "[y != x] [4 != 5]".into()));
        let blocked = Facts { obstacle: Some((Code::NotDirectory, path("/a"))), ..facts(None, false) };
        assert_eq!(refused(Verb::Set, &blocked), (Code::NotDirectory, "/a".into()));
    }

    #[test]
    fn facts_that_allow_the_write_mean_a_race() {
        for (verb, facts) in [
            (Verb::Set, facts(None, false)),
            (Verb::Create, facts(None, false)),
            (Verb::Update, facts(Some(file("x", 5)), false)),
            (Verb::Swap(Condition { value: Some(b"x".to_vec()), index: Some(5) }), facts(Some(file("x", 5)), false)),
        ] {
            assert_eq!(failed(&change(verb), &path("/a/b"), &facts), Next::Again);
        }
    }

    #[test]
    fn entries_are_numbered_upwards_whatever_else_is_in_the_directory() {
        let last = |key: &str| PbKeyValue { key: key.into(), ..PbKeyValue::default() };
        assert_eq!(append(&path("/q"), 7, None).0, path("/q/00000000000000000008"));
        assert_eq!(append(&path("/q"), 7, Some(&last("/q/00000000000000000012"))).0, path("/q/00000000000000000013"));
        assert_eq!(append(&path("/q"), 7, Some(&last("/q/00000000000000000012/"))).0, path("/q/00000000000000000013"));
        assert_eq!(append(&path("/"), 7, Some(&last("/0junk"))).0, path("/00000000000000000008"));
        let (_, order) = append(&path("/q"), 7, Some(&last("/q/0junk")));
        assert_eq!((order.key, order.range_end), (b"/q/0junk\0".to_vec(), b"/q/1".to_vec()));
    }

    #[test]
    fn markers_above_go_with_the_first_entry_unless_they_have_a_lease() {
        let plan = plan(&change(Verb::Set), &path("/a/b/c"), 0, None);
        assert_eq!(plan.success.len(), 3);
        assert_eq!(plan.success[1], wire::only_if(wire::leased(b"/a/".to_vec(), 0), wire::delete(b"/a/".to_vec())));
    }
}
