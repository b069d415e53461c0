//! Sets of keys as intervals: what a transaction writes, what a user may read.

use std::collections::BTreeMap;

use crate::{Key, KeyRange};

/// A set of keys as disjoint intervals: start to end, where no end is "all that follow".
#[derive(Clone, Debug, Default)]
pub(crate) struct Intervals {
    by_start: BTreeMap<Key, Option<Key>>,
}

impl Intervals {
    pub(crate) fn insert(&mut self, range: &KeyRange) {
        match range {
            KeyRange::One(key) => {
                // The smallest key greater than `key` is `key` and a zero byte.
                let next = [&**key, &[0]].concat().into();
                self.add(key.clone(), Some(next));
            }
            KeyRange::Between(start, end) if start < end => self.add(start.clone(), Some(end.clone())),
            KeyRange::Between(..) => {}
            KeyRange::From(start) => self.add(start.clone(), None),
        }
    }

    pub(crate) fn merge(&mut self, other: Intervals) {
        for (start, end) in other.by_start {
            self.add(start, end);
        }
    }

    fn add(&mut self, mut start: Key, mut end: Option<Key>) {
        // Swallow every interval that overlaps the new one; each is swallowed once, so this stays cheap over many.
        while let Some((other_start, other_end)) = self.overlapping(&start, end.as_ref()) {
            self.by_start.remove(&other_start);
            start = start.min(other_start);
            end = match (end, other_end) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            };
        }
        self.by_start.insert(start, end);
    }

    fn overlapping(&self, start: &Key, end: Option<&Key>) -> Option<(Key, Option<Key>)> {
        let mut before = match end {
            Some(end) => self.by_start.range::<Key, _>(..=end),
            None => self.by_start.range::<Key, _>(..),
        };
        let (other_start, other_end) = before.next_back()?;
        let overlaps = other_end.as_ref().is_none_or(|other_end| other_end >= start);
        overlaps.then(|| (other_start.clone(), other_end.clone()))
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        use std::ops::Bound::{Included, Unbounded};
        let before = self.by_start.range::<[u8], _>((Unbounded, Included(key))).next_back();
        before.is_some_and(|(_, end)| end.as_ref().is_none_or(|end| key < &**end))
    }

    /// Whether every key of the range is in the set. An empty range is taken for its first key.
    pub(crate) fn covers(&self, range: &KeyRange) -> bool {
        use std::ops::Bound::{Included, Unbounded};
        let start = range.start();
        let before = self.by_start.range::<[u8], _>((Unbounded, Included(&**start))).next_back();
        // Intervals that touch are one, so what covers a range is always a single one.
        before.is_some_and(|(_, end)| match (end, range) {
            (None, _) => true,
            (Some(_), KeyRange::From(_)) => false,
            (Some(end), KeyRange::Between(_, range_end)) => start < end && range_end <= end,
            (Some(end), KeyRange::One(key)) => key < end,
        })
    }
}
