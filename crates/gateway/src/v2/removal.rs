//! PURE. Removals: by request, and when a time to live is over. Directories stay when their last entry goes.

use etcd_client::proto::{PbCompare, PbTxnRequest};

use super::change::{conditions, mismatch};
use super::error::{Code, V2Error};
use super::facts::{Directory, Facts, entries, neighbours};
use super::node::{Action, Event, Node, Times};
use super::path::KeyPath;
use super::request::Removal;
use super::wire;

/// A removal that v2 allows, as things are.
#[derive(Debug)]
pub struct Plan {
    /// Carries it out if things are still so.
    pub txn: PbTxnRequest,
    action: Action,
    /// What goes, as it is.
    prev: Node,
    /// The lease of what goes.
    pub lease: i64,
}

/// Plans what a client asks for.
pub fn plan(removal: &Removal, facts: &Facts, times: &Times) -> Result<Plan, V2Error> {
    let path = &removal.path;
    if path.is_root() && !removal.condition.is_some() {
        return Err(V2Error::new(Code::RootReadOnly, "/").at(facts.revision));
    }
    if let Some(file) = &facts.file {
        if let Some(cause) = mismatch(&removal.condition, file) {
            return Err(V2Error::new(Code::CompareFailed, cause).at(facts.revision));
        }
        let guarded = removal.condition.is_some();
        let action = if guarded { Action::CompareAndDelete } else { Action::Delete };
        let guards = conditions(path, &removal.condition).into_iter().chain([wire::exists(path.key())]).collect();
        return Ok(of_file(path, facts, guards, action, times));
    }
    let Some(directory) = facts.directory.as_ref().or_else(|| path.is_root().then(root)) else {
        return Err(facts.not_found(path));
    };
    if removal.condition.is_some() || !(removal.dir || removal.recursive) {
        return Err(facts.refuse(Code::NotFile, path));
    }
    let guards = if removal.recursive {
        vec![wire::exists(directory.sample.clone())]
    } else {
        if !directory.empty {
            return Err(facts.refuse(Code::DirectoryNotEmpty, path));
        }
        vec![wire::exists(path.marker()), wire::empty(entries(path))]
    };
    Ok(of_directory(path, facts, guards, Action::Delete, times))
}

fn root() -> &'static Directory {
    const ROOT: &Directory = &Directory { created: 0, sample: Vec::new(), marker: None, empty: true };
    ROOT
}

/// Plans the end of a time to live; None if what had `lease` is not there any more.
pub fn expiry(path: &KeyPath, directory: bool, lease: i64, facts: &Facts, times: &Times) -> Option<Plan> {
    if directory {
        facts.directory.as_ref().filter(|directory| directory.marker == Some(lease))?;
        return Some(of_directory(path, facts, vec![wire::leased(path.marker(), lease)], Action::Expire, times));
    }
    facts.file.as_ref().filter(|file| file.lease == lease)?;
    Some(of_file(path, facts, vec![wire::leased(path.key(), lease)], Action::Expire, times))
}

fn of_file(path: &KeyPath, facts: &Facts, guards: Vec<PbCompare>, action: Action, times: &Times) -> Plan {
    let mut txn = PbTxnRequest { compare: guards, success: vec![wire::delete(path.key())], failure: Vec::new() };
    keep_parent(&mut txn, path, facts);
    let prev = facts.file.as_ref().map(|file| times.file(file)).unwrap_or_default();
    Plan { txn, action, prev, lease: facts.file.as_ref().map_or(0, |file| file.lease) }
}

fn of_directory(path: &KeyPath, facts: &Facts, guards: Vec<PbCompare>, action: Action, times: &Times) -> Plan {
    let mut txn =
        PbTxnRequest { compare: guards, success: vec![wire::delete_span(path.inside())], failure: Vec::new() };
    keep_parent(&mut txn, path, facts);
    let (created, lease) =
        facts.directory.as_ref().map_or((0, 0), |directory| (directory.created, directory.marker.unwrap_or(0)));
    Plan { txn, action, prev: times.directory(path, created, lease), lease }
}

/// The parent stays: by the sibling that was seen, or else by a marker.
fn keep_parent(txn: &mut PbTxnRequest, path: &KeyPath, facts: &Facts) {
    let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return };
    if let Some(sibling) = &facts.sibling {
        txn.compare.push(wire::exists(sibling.clone()));
    } else {
        txn.compare.extend(neighbours(path).into_iter().map(wire::empty));
        txn.success.push(wire::mark(parent.marker(), 0));
    }
}

impl Plan {
    /// The event, when it was carried out at `revision`.
    pub fn done(self, revision: i64) -> Event {
        let node = Node {
            key: self.prev.key.clone(),
            dir: self.prev.dir,
            modified_index: revision,
            created_index: self.prev.created_index,
            ..Node::default()
        };
        Event { action: self.action, node: Some(node), prev_node: Some(self.prev) }
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbKeyValue;

    use super::super::path::Span;
    use super::super::request::Condition;
    use super::super::time::Millis;
    use super::*;

    fn removal(path: &str, dir: bool, recursive: bool) -> Removal {
        Removal { path: KeyPath::new(path).unwrap(), condition: Condition::default(), dir, recursive }
    }

    fn file_at(key: &str) -> Facts {
        let file = PbKeyValue { key: key.into(), mod_revision: 5, create_revision: 5, ..PbKeyValue::default() };
        Facts { revision: 9, file: Some(file), directory: None, obstacle: None, sibling: None }
    }

    fn directory_at(path: &str, marker: Option<i64>, sample: &str) -> Facts {
        let empty = sample.as_bytes() == KeyPath::new(path).unwrap().marker();
        let directory = Directory { created: 3, sample: sample.into(), marker, empty };
        Facts { revision: 9, file: None, directory: Some(directory), obstacle: None, sibling: None }
    }

    fn planned(removal: &Removal, facts: &Facts) -> Result<Plan, Code> {
        plan(removal, facts, &Times::at(Millis(0))).map_err(|error| error.code)
    }

    #[test]
    fn the_parent_of_the_last_entry_is_marked_and_only_of_the_last() {
        let alone = planned(&removal("/a/b", false, false), &file_at("/a/b")).unwrap();
        assert_eq!(alone.txn.success[1], wire::mark(b"/a/".to_vec(), 0));
        assert_eq!(alone.txn.compare.len(), 1 + 3);
        let facts = Facts { sibling: Some(b"/a/c".to_vec()), ..file_at("/a/b") };
        let one_of_two = planned(&removal("/a/b", false, false), &facts).unwrap();
        assert_eq!(one_of_two.txn.success.len(), 1);
        assert_eq!(one_of_two.txn.compare[1], wire::exists(b"/a/c".to_vec()));
        let top = planned(&removal("/b", false, false), &file_at("/b")).unwrap();
        assert_eq!((top.txn.compare.len(), top.txn.success.len()), (1, 1));
    }

    #[test]
    fn directories_are_removed_only_when_asked_for_and_whole_only_when_recursive() {
        let full = directory_at("/a", None, "/a/b");
        let empty = directory_at("/a", Some(0), "/a/");
        assert_eq!(planned(&removal("/a", false, false), &full).unwrap_err(), Code::NotFile);
        assert_eq!(planned(&removal("/a", true, false), &full).unwrap_err(), Code::DirectoryNotEmpty);
        assert!(planned(&removal("/a", true, false), &empty).is_ok());
        let marked = Directory { empty: false, ..empty.directory.clone().unwrap() };
        let marked = Facts { directory: Some(marked), ..empty };
        assert_eq!(planned(&removal("/a", true, false), &marked).unwrap_err(), Code::DirectoryNotEmpty);
        let whole = planned(&removal("/a", false, true), &full).unwrap();
        assert_eq!(whole.txn.success, [wire::delete_span(Span::new("/a/", "/a0"))]);
        assert_eq!(whole.done(12).node.unwrap().created_index, 3);
        assert_eq!(planned(&removal("/", true, true), &full).unwrap_err(), Code::RootReadOnly);
    }

    #[test]
    fn only_what_still_has_the_lease_expires() {
        let path = KeyPath::new("/a/b").unwrap();
        let times = Times::at(Millis(0));
        assert!(expiry(&path, false, 7, &file_at("/a/b"), &times).is_none());
        let mut facts = file_at("/a/b");
        facts.file.as_mut().unwrap().lease = 7;
        let plan = expiry(&path, false, 7, &facts, &times).unwrap();
        assert_eq!(plan.txn.compare[0], wire::leased(b"/a/b".to_vec(), 7));
        assert_eq!(plan.done(10).action, Action::Expire);
        assert!(expiry(&path, true, 7, &directory_at("/a/b", Some(8), "/a/b/"), &times).is_none());
    }
}
