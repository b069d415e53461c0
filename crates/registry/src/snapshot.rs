//! The cluster at one revision: built from a range, advanced by watch events.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flota_unit::{UnitFile, UnitHash, UnitName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::{
    Cluster, Cordon, DesiredUnit, Key, Leader, LeaderNotes, LeaseId, Machine, MachineId, Member, MetadataOverlay,
    Report, Schedule,
};

/// A key and its value as the store returned them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key; Flota's own keys are all UTF-8.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that created the key.
    pub create_revision: i64,
    /// The revision that last changed it.
    pub mod_revision: i64,
    /// The lease that it dies with.
    pub lease: Option<LeaseId>,
}

/// One watch event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key has this value now.
    Put(KeyValue),
    /// The key is gone.
    Delete {
        /// Which.
        key: String,
    },
}

/// A decoded value with the facts that fencing needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// The revision that last changed it.
    pub mod_revision: i64,
    /// The lease that it dies with.
    pub lease: Option<LeaseId>,
}

/// A unit file's text as it is kept at [`Key::File`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileText {
    pub(crate) text: String,
}

/// The unit file text of a pair at [`Key::File`].
pub fn file_text(pair: &KeyValue) -> Result<String, CodecError> {
    Ok(codec::decode::<FileText>(&pair.value)?.text)
}

/// Everything under [`crate::keys::PREFIX`] at one revision.
#[derive(Debug, Clone, Default)]
pub struct ClusterSnapshot {
    revision: i64,
    cluster: Option<Entry<Cluster>>,
    leader: Option<Entry<Leader>>,
    notes: Option<Entry<LeaderNotes>>,
    files: BTreeMap<UnitHash, Entry<UnitFile>>,
    units: BTreeMap<UnitName, Entry<DesiredUnit>>,
    machines: BTreeMap<MachineId, Entry<Machine>>,
    members: BTreeMap<MachineId, Entry<Member>>,
    cordons: BTreeMap<MachineId, Entry<Cordon>>,
    metadata: BTreeMap<MachineId, Entry<MetadataOverlay>>,
    schedules: BTreeMap<MachineId, Entry<Schedule>>,
    reports: BTreeMap<MachineId, Entry<Report>>,
    unreadable: BTreeMap<Key, String>,
}

impl ClusterSnapshot {
    /// Builds the snapshot from all pairs under the prefix, read at `revision`.
    pub fn from_range(revision: i64, pairs: impl IntoIterator<Item = KeyValue>) -> ClusterSnapshot {
        let mut snapshot = ClusterSnapshot { revision, ..ClusterSnapshot::default() };
        for pair in pairs {
            snapshot.put(&pair);
        }
        snapshot
    }

    /// Advances to `revision` by the events of a watch. Events at or below the current revision were
    /// already in the range and change nothing.
    pub fn apply(&mut self, revision: i64, changes: &[Change]) {
        if revision <= self.revision {
            return;
        }
        for change in changes {
            match change {
                Change::Put(pair) => self.put(pair),
                Change::Delete { key } => self.delete(key),
            }
        }
        self.revision = revision;
    }

    /// The revision that this is a picture of.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The birth record.
    pub fn cluster(&self) -> Option<&Entry<Cluster>> {
        self.cluster.as_ref()
    }

    /// Who leads.
    pub fn leader(&self) -> Option<&Entry<Leader>> {
        self.leader.as_ref()
    }

    /// What the leader knows beyond the rest.
    pub fn notes(&self) -> Option<&LeaderNotes> {
        self.notes.as_ref().map(|entry| &entry.value)
    }

    /// The unit files by content.
    pub fn files(&self) -> &BTreeMap<UnitHash, Entry<UnitFile>> {
        &self.files
    }

    /// The desired units.
    pub fn units(&self) -> &BTreeMap<UnitName, Entry<DesiredUnit>> {
        &self.units
    }

    /// The machines whose lease lives.
    pub fn machines(&self) -> &BTreeMap<MachineId, Entry<Machine>> {
        &self.machines
    }

    /// The machines that belong to the cluster, alive or not.
    pub fn members(&self) -> &BTreeMap<MachineId, Entry<Member>> {
        &self.members
    }

    /// What people ask of machines as a whole, of living machines and others.
    pub fn cordons(&self) -> &BTreeMap<MachineId, Entry<Cordon>> {
        &self.cordons
    }

    /// What the API says of machines' metadata, of living machines and others.
    pub fn metadata(&self) -> &BTreeMap<MachineId, Entry<MetadataOverlay>> {
        &self.metadata
    }

    /// A machine's metadata as `MachineMetadata=` is matched against it: what the machine announces, and over that
    /// what the API says. Empty for a machine that neither lives nor was ever spoken of.
    pub fn effective_metadata(&self, id: &MachineId) -> Cow<'_, BTreeMap<String, String>> {
        let configured = self.machines.get(id).map(|entry| &entry.value.metadata);
        match (configured, self.metadata.get(id)) {
            (Some(configured), None) => Cow::Borrowed(configured),
            (None, None) => Cow::default(),
            (configured, Some(overlay)) => Cow::Owned(overlay.value.over(configured.unwrap_or(&BTreeMap::new()))),
        }
    }

    /// The schedules, of living machines and others.
    pub fn schedules(&self) -> &BTreeMap<MachineId, Entry<Schedule>> {
        &self.schedules
    }

    /// The reports of living machines.
    pub fn reports(&self) -> &BTreeMap<MachineId, Entry<Report>> {
        &self.reports
    }

    /// Whether the key exists with a value that this version cannot read. Such a key is *unknown*, not absent:
    /// nothing may be stopped because of it (promise P1).
    pub fn is_unreadable(&self, key: &Key) -> bool {
        self.unreadable.contains_key(key)
    }

    /// The keys that cannot be read, and why.
    pub fn unreadable(&self) -> &BTreeMap<Key, String> {
        &self.unreadable
    }

    fn put(&mut self, pair: &KeyValue) {
        let Some(key) = Key::parse(&pair.key) else {
            return; // A key of a later version; it has its own readers.
        };
        self.unreadable.remove(&key);
        if let Err(reason) = self.decode_into(&key, pair) {
            // The last readable value, if any, stays: it is the best knowledge there is.
            self.unreadable.insert(key, reason);
        }
    }

    fn decode_into(&mut self, key: &Key, pair: &KeyValue) -> Result<(), String> {
        match key {
            Key::Cluster => self.cluster = Some(entry(pair)?),
            Key::Leader => self.leader = Some(entry(pair)?),
            Key::LeaderNotes => self.notes = Some(entry(pair)?),
            // Whoever lets machines in reads these for itself.
            Key::Door | Key::Token(_) => {}
            Key::Unit(name) => drop(self.units.insert(name.clone(), entry(pair)?)),
            Key::Machine(id) => drop(self.machines.insert(id.clone(), entry(pair)?)),
            Key::Member(id) => drop(self.members.insert(id.clone(), entry(pair)?)),
            Key::Cordon(id) => drop(self.cordons.insert(id.clone(), entry(pair)?)),
            Key::Metadata(id) => drop(self.metadata.insert(id.clone(), entry(pair)?)),
            Key::Schedule(id) => drop(self.schedules.insert(id.clone(), entry(pair)?)),
            Key::Report(id) => drop(self.reports.insert(id.clone(), entry(pair)?)),
            Key::File(hash) => {
                let Entry { value, mod_revision, lease } = entry::<FileText>(pair)?;
                let file = UnitFile::parse(&value.text).map_err(|found| describe(&found))?;
                self.files.insert(*hash, Entry { value: file, mod_revision, lease });
            }
            // Of a move to another store; each machine reads them by itself.
            Key::StoreTarget | Key::StoreHold | Key::Mover(_) => {}
            // For people; whoever asks is told what is in the store.
            Key::Conf(_) => {}
        }
        Ok(())
    }

    fn delete(&mut self, key: &str) {
        let Some(key) = Key::parse(key) else {
            return;
        };
        self.unreadable.remove(&key);
        match key {
            Key::Cluster => self.cluster = None,
            Key::Leader => self.leader = None,
            Key::LeaderNotes => self.notes = None,
            Key::Door | Key::Token(_) => {}
            Key::File(hash) => drop(self.files.remove(&hash)),
            Key::Unit(name) => drop(self.units.remove(&name)),
            Key::Machine(id) => drop(self.machines.remove(&id)),
            Key::Member(id) => drop(self.members.remove(&id)),
            Key::Cordon(id) => drop(self.cordons.remove(&id)),
            Key::Metadata(id) => drop(self.metadata.remove(&id)),
            Key::Schedule(id) => drop(self.schedules.remove(&id)),
            Key::Report(id) => drop(self.reports.remove(&id)),
            Key::StoreTarget | Key::StoreHold | Key::Mover(_) | Key::Conf(_) => {}
        }
    }
}

impl<T: DeserializeOwned> Entry<T> {
    /// Decodes one pair.
    pub fn decode(pair: &KeyValue) -> Result<Entry<T>, CodecError> {
        Ok(Entry { value: codec::decode(&pair.value)?, mod_revision: pair.mod_revision, lease: pair.lease })
    }
}

fn entry<T: DeserializeOwned>(pair: &KeyValue) -> Result<Entry<T>, String> {
    Entry::decode(pair).map_err(|error| error.to_string())
}

fn describe(found: &[flota_unit::Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DesiredState, codec::encode};

    const NAME: &str = "hello.service";

    fn pair(key: &Key, value: Vec<u8>, revision: i64) -> KeyValue {
        KeyValue { key: key.to_string(), value, create_revision: revision, mod_revision: revision, lease: None }
    }

    fn unit(desired: DesiredState) -> Vec<u8> {
        encode(&DesiredUnit { hash: "1c6fb6f3684bafb0c173d8b8b957ceff031180c1".parse().unwrap(), desired })
    }

    #[test]
    fn a_range_and_then_events() {
        let name: UnitName = NAME.parse().unwrap();
        let key = Key::Unit(name.clone());
        let mut snapshot = ClusterSnapshot::from_range(5, [pair(&key, unit(DesiredState::Inactive), 3)]);
        assert_eq!(snapshot.units()[&name].value.desired, DesiredState::Inactive);

        snapshot.apply(6, &[Change::Put(pair(&key, unit(DesiredState::Launched), 6))]);
        assert_eq!(snapshot.units()[&name].value.desired, DesiredState::Launched);
        assert_eq!(snapshot.units()[&name].mod_revision, 6);

        snapshot.apply(7, &[Change::Delete { key: key.to_string() }]);
        assert!(snapshot.units().is_empty());
        assert_eq!(snapshot.revision(), 7);
    }

    #[test]
    fn an_event_that_the_range_already_held_changes_nothing() {
        let key = Key::Unit(NAME.parse().unwrap());
        let mut snapshot = ClusterSnapshot::from_range(5, [pair(&key, unit(DesiredState::Launched), 5)]);
        snapshot.apply(5, &[Change::Delete { key: key.to_string() }]);
        assert_eq!(snapshot.units().len(), 1);
    }

    #[test]
    fn effective_metadata_is_what_the_machine_says_under_what_the_api_says() {
        let id: MachineId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let announced = r#"{"v":1,"address":"","metadata":{"disk":"hdd"},"capacity":{"cpus":1,"memory_bytes":1},
            "version":"","boot_id":""}"#;
        let machine = Key::Machine(id.clone());
        let overlay = br#"{"v":1,"set":{"disk":"ssd"}}"#.to_vec();
        let mut snapshot = ClusterSnapshot::from_range(1, [pair(&machine, announced.as_bytes().to_vec(), 1)]);
        assert_eq!(snapshot.effective_metadata(&id)["disk"], "hdd");
        snapshot.apply(2, &[Change::Put(pair(&Key::Metadata(id.clone()), overlay, 2))]);
        assert_eq!(snapshot.effective_metadata(&id)["disk"], "ssd");
        snapshot.apply(3, &[Change::Delete { key: machine.to_string() }]);
        assert_eq!(snapshot.effective_metadata(&id)["disk"], "ssd", "it waits for the machine");
        snapshot.apply(4, &[Change::Delete { key: Key::Metadata(id.clone()).to_string() }]);
        assert!(snapshot.effective_metadata(&id).is_empty());
    }

    #[test]
    fn an_unreadable_value_is_not_an_absent_one() {
        let key = Key::Unit(NAME.parse().unwrap());
        let mut snapshot = ClusterSnapshot::from_range(5, [pair(&key, unit(DesiredState::Launched), 5)]);
        snapshot.apply(6, &[Change::Put(pair(&key, br#"{"v":99}"#.to_vec(), 6))]);
        assert!(snapshot.is_unreadable(&key));
        assert_eq!(snapshot.units().len(), 1, "the last readable value stays");

        snapshot.apply(7, &[Change::Put(pair(&key, unit(DesiredState::Loaded), 7))]);
        assert!(!snapshot.is_unreadable(&key));
    }
}
