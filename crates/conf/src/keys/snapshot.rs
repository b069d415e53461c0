//! All keys at one revision.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use flota_gotemplate::Str;

use super::KeyPath;

/// One key and its value.
pub type Pair<'a> = (&'a Arc<str>, &'a Str);

/// Keys and values at one revision; clean, absolute keys in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The store's revision; a number that only grows where the backend has none.
    pub revision: i64,
    pairs: BTreeMap<Arc<str>, Str>,
}

impl Snapshot {
    /// From pairs in any order; of two keys that are the same when cleaned, the last one counts.
    pub fn new<K: AsRef<str>, V: Into<Str>>(revision: i64, pairs: impl IntoIterator<Item = (K, V)>) -> Snapshot {
        let mut snapshot = Snapshot { revision, pairs: BTreeMap::new() };
        for (key, value) in pairs {
            snapshot.put(key.as_ref(), value.into());
        }
        snapshot
    }

    /// Sets a key; whether that changed anything.
    pub fn put(&mut self, key: &str, value: Str) -> bool {
        let key = cleaned(key);
        match self.pairs.get_mut(&key) {
            Some(old) if *old == value => false,
            Some(old) => {
                *old = value;
                true
            }
            None => {
                self.pairs.insert(key, value);
                true
            }
        }
    }

    /// Removes a key; whether it was there.
    pub fn delete(&mut self, key: &str) -> bool {
        self.pairs.remove(&cleaned(key)).is_some()
    }

    /// The value of a key, as it is written.
    pub fn get(&self, key: &str) -> Option<&Str> {
        self.pairs.get(key)
    }

    /// All pairs whose keys begin with the text.
    pub fn starting_with<'s>(&'s self, text: &str) -> impl Iterator<Item = Pair<'s>> + use<'s> {
        let from = (Bound::Included(text), Bound::Unbounded);
        let text = text.to_owned();
        self.pairs.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(&text))
    }

    /// The pair of a path itself, and all below it.
    pub fn at_and_below<'s>(&'s self, path: &KeyPath) -> impl Iterator<Item = Pair<'s>> + use<'s> {
        let below = if path.as_str() == "/" { "/".to_owned() } else { format!("{path}/") };
        self.pairs.get_key_value(path.as_str()).into_iter().chain(self.starting_with(&below))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The keys whose values differ, or that only one of the two has.
    pub fn differences(&self, other: &Snapshot) -> Vec<String> {
        let gone = other.pairs.keys().filter(|key| !self.pairs.contains_key(*key));
        let new = self.pairs.iter().filter(|(key, value)| other.pairs.get(*key) != Some(value)).map(|(key, _)| key);
        new.chain(gone).map(std::string::ToString::to_string).collect()
    }
}

/// Most keys are clean already, and are then copied once.
fn cleaned(key: &str) -> Arc<str> {
    let clean =
        key.len() > 1 && key.starts_with('/') && !key.ends_with('/') && !key.contains("//") && !key.contains("/.");
    if clean { key.into() } else { KeyPath::new(key).as_str().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cleaned_and_in_order() {
        let snapshot = Snapshot::new(1, [("/b/", "2"), ("a", "1"), ("/b/c", "3"), ("/ba", "4")]);
        let below: Vec<&str> = snapshot.at_and_below(&KeyPath::new("/b")).map(|(key, _)| &**key).collect();
        assert_eq!(below, ["/b", "/b/c"]);
        assert_eq!(snapshot.at_and_below(&KeyPath::new("/")).count(), 4);
        assert_eq!(snapshot.get("/a").and_then(Str::as_str), Some("1"));
    }

    #[test]
    fn what_differs_between_two_revisions() {
        let old = Snapshot::new(1, [("/same", "1"), ("/changed", "1"), ("/gone", "1")]);
        let mut new = old.clone();
        assert!(new.put("/changed", "2".into()) && new.put("/new", "1".into()) && new.delete("/gone"));
        assert!(!new.put("/same", "1".into()) && !new.delete("/gone"));
        assert_eq!(new.differences(&old), ["/changed", "/new", "/gone"]);
    }
}
