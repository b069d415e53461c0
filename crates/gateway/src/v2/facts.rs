//! PURE. What is at a path and above it: read in one transaction, at one revision.

use etcd_client::proto::{PbKeyValue, PbRangeRequest, PbResponseOp, PbTxnRequestOp};

use super::error::{Code, V2Error};
use super::path::{KeyPath, Span};
use super::wire;

/// A directory that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The least of all creations in it.
    pub created: i64,
    /// A key in it: while that is there, so is the directory.
    pub sample: Vec<u8>,
    /// The marker's lease; None without a marker.
    pub marker: Option<i64>,
    /// Whether nothing but its marker is in it.
    pub empty: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The store's revision.
    pub revision: i64,
    /// The file at the path.
    pub file: Option<PbKeyValue>,
    /// The directory at the path.
    pub directory: Option<Directory>,
    /// Why the path cannot be reached: the topmost ancestor that is a file, or is not there.
    pub obstacle: Option<(Code, KeyPath)>,
    /// Another key in the parent.
    pub sibling: Option<Vec<u8>>,
}

impl Facts {
    /// The operations that find them out; at most 7 and 2 for each ancestor.
    pub fn ask(path: &KeyPath) -> Vec<PbTxnRequestOp> {
        let inside = path.inside();
        let oldest =
            PbRangeRequest { sort_order: wire::ASCEND, sort_target: wire::BY_CREATE, ..wire::names(inside, 1) };
        let entries = wire::range(wire::names(entries(path), 1));
        let mut ops = vec![wire::get(path.key()), wire::range(oldest), wire::get(path.marker()), entries];
        for span in neighbours(path) {
            ops.push(wire::range(wire::names(span, 1)));
        }
        for ancestor in path.ancestors() {
            ops.push(wire::get(ancestor.key()));
            ops.push(wire::range(wire::names(ancestor.inside(), 1)));
        }
        ops
    }

    /// Reads the answers.
    pub fn read(path: &KeyPath, revision: i64, responses: Vec<PbResponseOp>) -> Facts {
        let mut answers = responses.into_iter().map(|response| wire::pairs(Some(response)));
        let mut next = || answers.next().unwrap_or_default().into_iter().next();
        let (file, oldest, marker, entry) = (next(), next(), next(), next());
        let directory = oldest.map(|oldest| Directory {
            created: oldest.create_revision,
            sample: oldest.key,
            marker: marker.map(|marker| marker.lease),
            empty: entry.is_none(),
        });
        let siblings: Vec<_> = neighbours(path).into_iter().filter_map(|_| next()).collect();
        let mut obstacle = None;
        for ancestor in path.ancestors() {
            let (file, entry) = (next(), next());
            let code = match (file, entry) {
                (Some(_), _) => Some(Code::NotDirectory),
                (None, None) => Some(Code::KeyNotFound),
                (None, Some(_)) => None,
            };
            obstacle = obstacle.or_else(|| code.map(|code| (code, ancestor)));
        }
        let sibling = siblings.into_iter().next().map(|pair| pair.key);
        Facts { revision, file, directory, obstacle, sibling }
    }

    /// The error for a path where nothing is.
    pub fn not_found(&self, path: &KeyPath) -> V2Error {
        match &self.obstacle {
            Some((code, ancestor)) => V2Error::new(*code, ancestor.as_str()),
            None => V2Error::new(Code::KeyNotFound, path.as_str()),
        }
        .at(self.revision)
    }

    /// An ancestor that is a file.
    pub fn blocked(&self) -> Option<V2Error> {
        match &self.obstacle {
            Some((Code::NotDirectory, ancestor)) => {
                Some(V2Error::new(Code::NotDirectory, ancestor.as_str()).at(self.revision))
            }
            _ => None,
        }
    }

    /// An error about the path itself; the root has no name in them.
    pub fn refuse(&self, code: Code, path: &KeyPath) -> V2Error {
        let cause = if path.is_root() { "" } else { path.as_str() };
        V2Error::new(code, cause).at(self.revision)
    }
}

/// What is in a directory beside its marker.
pub fn entries(path: &KeyPath) -> Span {
    let inside = path.inside();
    Span::new([&inside.start[..], &[0]].concat(), inside.end)
}

/// All that is in the parent beside the path and what is below it; nothing for the root and what is directly in it,
/// because the root is always there.
pub fn neighbours(path: &KeyPath) -> Vec<Span> {
    let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return Vec::new() };
    let (around, inside) = (parent.inside(), path.inside());
    let mut after_file = path.key();
    after_file.push(0);
    vec![Span::new(around.start, path.key()), Span::new(after_file, inside.start), Span::new(inside.end, around.end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_all_but_the_path_and_what_is_below_it() {
        let spans = neighbours(&KeyPath::new("/a/b").unwrap());
        let within = |key: &str| {
            spans
                .iter()
                .filter(|span| span.start.as_slice() <= key.as_bytes() && key.as_bytes() < &span.end[..])
                .count()
        };
        for key in ["/a/", "/a/a", "/a/b-c", "/a/b!", "/a/b0", "/a/c/d"] {
            assert_eq!(within(key), 1, "{key}");
        }
        for key in ["/a/b", "/a/b/", "/a/b/c", "/a", "/a0", "/b"] {
            assert_eq!(within(key), 0, "{key}");
        }
        assert!(neighbours(&KeyPath::new("/a").unwrap()).is_empty());
    }
}
