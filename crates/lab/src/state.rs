//! `lab.json`: what a lab decided when it made its machines. What runs is not in it: the kernel knows.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Base, LabName, MAX_MACHINES, Store, Subnet};
use crate::error::{LabError, Result};
use crate::files;

/// The format of `lab.json` that this code writes.
const FORMAT: u32 = 1;

/// The directory of a lab's ssh keys and certificates.
pub(crate) const KEYS_DIR: &str = "keys";

/// The machines of a lab, and what they share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabState {
    format: u32,
    pub(crate) subnet: Subnet,
    /// The machines with a member of etcd: those up to this number. None: the first machine's daemon is the store.
    #[serde(default)]
    pub(crate) etcd_members: u8,
    pub(crate) machines: Vec<MachineRecord>,
}

/// What a machine keeps over all its boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineRecord {
    /// Counted from 1.
    pub(crate) index: u8,
    /// systemd's machine id: 32 hexadecimal digits.
    pub(crate) machine_id: String,
    /// The node image below its disk, which can't change any more.
    pub(crate) image: PathBuf,
    /// What is in that image.
    #[serde(default)]
    pub(crate) base: Base,
}

impl MachineRecord {
    /// `m1`, `m2`, ...
    pub(crate) fn name(&self) -> String {
        format!("m{}", self.index)
    }
}

impl LabState {
    /// A lab without machines.
    pub(crate) fn new(subnet: Subnet) -> Self {
        Self { format: FORMAT, subnet, etcd_members: 0, machines: Vec::new() }
    }

    /// Decides on the store, once: with the first machines.
    pub(crate) fn found(&mut self, store: Store, machines: u8) {
        if self.machines.is_empty() {
            self.etcd_members = store.members(machines);
        }
    }

    /// Reads it from the lab's directory; none when there is no lab.
    pub(crate) fn load(lab_dir: &Path) -> Result<Option<Self>> {
        let path = file(lab_dir);
        let Some(text) = files::read_optional(&path)? else {
            return Ok(None);
        };
        let state: Self =
            serde_json::from_str(&text).map_err(|source| LabError::StateDamaged { path: path.clone(), source })?;
        if state.format != FORMAT {
            return Err(LabError::StateFormat { path, found: state.format, known: FORMAT });
        }
        Ok(Some(state))
    }

    /// Writes it, whole or not at all.
    pub(crate) fn save(&self, lab_dir: &Path) -> Result<()> {
        let path = file(lab_dir);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LabError::io("write", &path)(std::io::Error::from(error)))?;
        files::write(&path, text.as_bytes(), 0o644)?;
        Ok(())
    }

    /// Adds machines up to `count`, each on `image`, which has `base` in it; whether there are new ones.
    pub(crate) fn grow(&mut self, count: u8, image: &Path, base: Base) -> Result<bool> {
        let before = self.machines.len();
        for index in 1..=count.min(MAX_MACHINES) {
            if self.machines.iter().all(|machine| machine.index != index) {
                let machine_id = random_id()?;
                self.machines.push(MachineRecord { index, machine_id, image: image.to_owned(), base });
            }
        }
        Ok(self.machines.len() > before)
    }

    /// The machine of that name.
    pub(crate) fn machine(&self, lab: &LabName, name: &str) -> Result<&MachineRecord> {
        let found = self.machines.iter().find(|machine| machine.name() == name);
        found.ok_or_else(|| {
            let names: Vec<String> = self.machines.iter().map(MachineRecord::name).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            LabError::UnknownMachine { name: name.to_owned(), lab: lab.to_string(), known }
        })
    }
}

fn file(lab_dir: &Path) -> PathBuf {
    lab_dir.join("lab.json")
}

/// A random UUID of the kernel without its dashes, which systemd takes as a machine id.
fn random_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    let uuid = std::fs::read_to_string(path).map_err(LabError::io("read", path))?;
    Ok(uuid.trim().replace('-', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_grows_and_never_renames() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(LabState::load(dir.path()).unwrap(), None);
        let mut state = LabState::new("10.78.0.0/24".parse().unwrap());
        state.found(Store::Etcd, 2);
        assert!(state.grow(2, Path::new("/image/a"), Base::Node).unwrap());
        // A store that has begun with one member stays so.
        state.found(Store::Etcd, 3);
        assert_eq!(state.etcd_members, 1);
        assert!(!state.grow(1, Path::new("/image/b"), Base::Node).unwrap());
        assert!(state.grow(3, Path::new("/image/b"), Base::Node).unwrap());
        state.save(dir.path()).unwrap();
        let again = LabState::load(dir.path()).unwrap().unwrap();
        assert_eq!(again, state);
        let images: Vec<_> = again.machines.iter().map(|m| m.image.to_str().unwrap()).collect();
        assert_eq!(images, ["/image/a", "/image/a", "/image/b"]);
        assert_eq!(again.machines[0].machine_id.len(), 32);
        let lab = "t".parse().unwrap();
        assert_eq!(again.machine(&lab, "m3").unwrap().index, 3);
        let error = again.machine(&lab, "m4").unwrap_err().to_string();
        assert_eq!(error, "no machine `m4` in lab `t`; it has: m1, m2, m3");
    }

    #[test]
    fn a_torn_or_newer_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), "{\"format\": 1,").unwrap();
        assert!(matches!(LabState::load(dir.path()), Err(LabError::StateDamaged { .. })));
        let newer = r#"{"format": 2, "subnet": "10.78.0.0/24", "machines": []}"#;
        std::fs::write(file(dir.path()), newer).unwrap();
        assert!(matches!(LabState::load(dir.path()), Err(LabError::StateFormat { found: 2, .. })));
    }
}
