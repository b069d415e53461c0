//! Flota's own JSON types about machines as a whole: how they are, and what people ask of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a machine is, in one word. Of several that fit, the first of: removed, down, lost, frozen, draining, cordoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineState {
    /// It lives and takes units.
    Ready,
    /// It keeps what it has and gets nothing new.
    Cordoned,
    /// What it has goes elsewhere.
    Draining,
    /// It takes no orders from this store; its units run on.
    Frozen,
    /// It said that it goes down.
    Down,
    /// It belongs to the cluster, and its lease is gone.
    Lost,
    /// It is being taken out of the cluster.
    Removed,
}

impl MachineState {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cordoned => "cordoned",
            Self::Draining => "draining",
            Self::Frozen => "frozen",
            Self::Down => "down",
            Self::Lost => "lost",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far people take a machine out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CordonMode {
    /// It keeps what it has and gets nothing new.
    Cordoned,
    /// What it has goes elsewhere, one unit after the other.
    Draining,
    /// It does not belong to the cluster any more. Not to be asked for by a cordon: see DELETE of the machine.
    Removed,
}

/// What people ask of a machine: the body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CordonRequest {
    /// How far.
    pub mode: CordonMode,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What people ask of a machine, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CordonInfo {
    /// How far.
    pub mode: CordonMode,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

/// One machine that belongs to the cluster, alive or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineInfo {
    /// Its `/etc/machine-id`.
    pub id: String,
    /// Its address; empty when unknown.
    #[serde(default)]
    pub address: String,
    /// What `MachineMetadata=` is matched against.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Where it answers whoever asks whether it lives, as `ADDRESS:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// How it is.
    pub state: MachineState,
    /// Why it is so, in words, where somebody said why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its lease lives.
    pub alive: bool,
    /// What people ask of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cordon: Option<CordonInfo>,
    /// When it said that it goes down, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_unix_ms: Option<u64>,
    /// Its version of Flota, while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its processors, while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Its memory in bytes, while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// How many units it holds: those of its schedule, and those that it reports beside them.
    pub units: u64,
}

impl MachineInfo {
    /// Its state with the reason, as people read it.
    pub fn state_text(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{}: {reason}", self.state),
            None => self.state.to_string(),
        }
    }
}

/// All machines, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineList {
    /// The machines.
    pub machines: Vec<MachineInfo>,
}

/// One machine with what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineDetail {
    /// The machine.
    pub machine: MachineInfo,
    /// Its units by name.
    pub holds: Vec<HeldUnit>,
}

/// A unit on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldUnit {
    /// Which unit.
    pub unit: String,
    /// The machine's schedule has it; otherwise it is on its way out.
    pub scheduled: bool,
    /// systemd's active state there; empty when the machine does not tell.
    #[serde(default)]
    pub active: String,
}

/// The order to leave the cluster: the body of a request to the machine's own daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveRequest {
    /// The machine's units run on as plain systemd units; otherwise it must hold none.
    #[serde(default)]
    pub keep: bool,
    /// With `keep`: also while the store is out of reach.
    #[serde(default)]
    pub force: bool,
    /// Only ask whether it would be refused, units that are still there aside.
    #[serde(default)]
    pub check: bool,
}

/// How far a machine is on its way out of its cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveStage {
    /// It belongs to its cluster.
    #[default]
    None,
    /// The units' files become plain files of systemd's.
    Files,
    /// The cluster is told.
    Cluster,
    /// It has left.
    Done,
}

/// How a machine leaves, or has left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveStatus {
    /// How far it is.
    pub stage: LeaveStage,
    /// The id of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The cluster is told; otherwise somebody has to remove the machine there.
    #[serde(default)]
    pub tell: bool,
    /// The units that run on as plain systemd units.
    #[serde(default)]
    pub kept: Vec<String>,
    /// What keeps it from the next step, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_shape() {
        let cordon = CordonInfo { mode: CordonMode::Draining, reason: Some("new disk".into()), since_unix_ms: 7 };
        let machine = MachineInfo {
            id: "f1ee".into(),
            address: "10.1.1.1".into(),
            metadata: BTreeMap::new(),
            peer: Some("10.1.1.1:4002".into()),
            state: MachineState::Draining,
            reason: Some("new disk".into()),
            alive: true,
            cordon: Some(cordon),
            down_unix_ms: None,
            version: Some("0.1.0".into()),
            cpus: Some(2),
            memory_bytes: Some(4096),
            units: 3,
        };
        let json = concat!(
            r#"{"id":"f1ee","address":"10.1.1.1","metadata":{},"peer":"10.1.1.1:4002","state":"draining","reason":"new disk","alive":true,"#,
            r#""cordon":{"mode":"draining","reason":"new disk","since_unix_ms":7},"version":"0.1.0","cpus":2,"#,
            r#""memory_bytes":4096,"units":3}"#
        );
        assert_eq!(serde_json::to_string(&machine).unwrap(), json);
        assert_eq!(serde_json::from_str::<MachineInfo>(json).unwrap(), machine);
        assert_eq!(machine.state_text(), "draining: new disk");
    }

    #[test]
    fn a_request_with_a_field_too_many_is_none() {
        let request: CordonRequest = serde_json::from_str(r#"{"mode":"cordoned"}"#).unwrap();
        assert_eq!((request.mode, request.reason), (CordonMode::Cordoned, None));
        assert!(serde_json::from_str::<CordonRequest>(r#"{"mode":"cordoned","raeson":"x"}"#).is_err());
    }
}
