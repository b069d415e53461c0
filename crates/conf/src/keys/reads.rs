//! What a template has read: a change of anything else changes nothing for it.

use std::collections::BTreeSet;

use flota_unit::Glob;

use super::KeyPath;

/// Most distinct reads that are remembered; with more, every change counts.
const MAX_READS: usize = 10_000;

/// One kind of reading. Keys are those of the store, with their prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// This key.
    Key(String),
    /// All keys that match the pattern, in confd's own terms.
    Pattern(String),
    /// Everything at and below the path.
    Below(KeyPath),
}

/// All that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    reads: BTreeSet<Read>,
    all: bool,
}

impl Reads {
    /// Reads of everything: nothing is known about what will be read.
    pub fn everything() -> Reads {
        Reads { reads: BTreeSet::new(), all: true }
    }

    /// Adds one.
    pub fn add(&mut self, read: Read) {
        if self.reads.len() == MAX_READS {
            self.all = true;
        }
        if !self.all {
            self.reads.insert(read);
        }
    }

    /// Adds those of another template.
    pub fn merge(&mut self, other: &Reads) {
        self.all |= other.all;
        for read in &other.reads {
            self.add(read.clone());
        }
    }

    /// In the form that is kept for as long as the file is: most templates read one thing, and a set of one has room for eleven.
    pub fn settled(self) -> Settled {
        Settled { reads: self.reads.into_iter().collect(), all: self.all }
    }
}

/// All that was read by the last rendering.
#[derive(Debug)]
pub struct Settled {
    reads: Box<[Read]>,
    all: bool,
}

impl Settled {
    /// Whether a change of the key may change what is rendered.
    pub fn affected_by(&self, key: &str) -> bool {
        self.all
            || self.reads.iter().any(|read| match read {
                Read::Key(own) => own == key,
                Read::Pattern(pattern) => Glob::new(pattern).map_or(true, |glob| glob.matches(key)),
                Read::Below(path) => path.covers(key),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_read_counts() {
        let mut reads = Reads::default();
        reads.add(Read::Key("/a/b".into()));
        reads.add(Read::Pattern("/up/*".into()));
        reads.add(Read::Below(KeyPath::new("/tree")));
        let reads = reads.settled();
        for (key, counts) in [
            ("/a/b", true),
            ("/a", false),
            ("/a/b/c", false),
            ("/up/x", true),
            ("/up/x/y", false),
            ("/tree/x/y", true),
            ("/treex", false),
        ] {
            assert_eq!(reads.affected_by(key), counts, "{key}");
        }
        assert!(Reads::everything().settled().affected_by("/any"));
        assert!(!Reads::default().settled().affected_by("/any"));
    }
}
