//! Machine metadata that the API changed: kept apart from what a machine announces, so that each key has one writer.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What the API says of one machine's metadata, at [`crate::Key::Metadata`]. It outlives the machine's lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataOverlay {
    /// Keys that have this value, whatever the machine announces.
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// Keys that the machine does not have, even if it announces them.
    #[serde(default)]
    removed: BTreeSet<String>,
}

impl MetadataOverlay {
    /// Gives `key` a value.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let key = key.into();
        self.removed.remove(&key);
        self.set.insert(key, value.into());
    }

    /// Takes `key` away, also when the machine announces it.
    pub fn remove(&mut self, key: impl Into<String>) {
        let key = key.into();
        self.set.remove(&key);
        self.removed.insert(key);
    }

    /// How many keys it speaks of.
    pub fn len(&self) -> usize {
        self.set.len() + self.removed.len()
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The metadata of a machine that announces `configured`.
    pub fn over(&self, configured: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let kept = configured.iter().filter(|(key, _)| !self.removed.contains(*key));
        kept.chain(&self.set).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_set_wins_and_what_is_removed_is_hidden() {
        let mut overlay = MetadataOverlay::default();
        overlay.set("disk", "ssd");
        overlay.set("rack", "7");
        overlay.remove("zone");
        let configured = map(&[("disk", "hdd"), ("role", "web"), ("zone", "a")]);
        assert_eq!(overlay.over(&configured), map(&[("disk", "ssd"), ("rack", "7"), ("role", "web")]));

        overlay.remove("rack");
        overlay.set("zone", "b");
        assert_eq!(overlay.over(&configured), map(&[("disk", "ssd"), ("role", "web"), ("zone", "b")]));
        assert_eq!(overlay.len(), 3);
    }

    #[test]
    fn its_value_is_readable_json() {
        let mut overlay = MetadataOverlay::default();
        overlay.set("disk", "ssd");
        overlay.remove("zone");
        let text = String::from_utf8(encode(&overlay)).unwrap();
        assert_eq!(text, r#"{"v":1,"set":{"disk":"ssd"},"removed":["zone"]}"#);
        assert_eq!(decode::<MetadataOverlay>(text.as_bytes()).unwrap(), overlay);
    }
}
