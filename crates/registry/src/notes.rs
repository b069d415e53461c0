//! What the leader knows beyond the other keys, for people and for the next leader.

use std::collections::BTreeMap;

use flota_unit::UnitName;
use serde::{Deserialize, Serialize};

use crate::MachineId;

/// Most machines and most units that notes are kept of; of more, the first by name.
pub const MAX_NOTES: usize = 200;

/// What waits, and for what, at [`crate::Key::LeaderNotes`]. None of it is needed to decide: who cannot read it decides as
/// if nobody was held off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderNotes {
    /// Machines that were lost and are back: nothing new comes to them for a while.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held_off: BTreeMap<MachineId, HeldOff>,
    /// Machines whose lease is gone and that were reached all the same: nothing of them is moved. In words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub suspects: BTreeMap<MachineId, String>,
    /// Units that wait for something else than a machine that can take them. In words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waits: BTreeMap<UnitName, String>,
}

/// A machine that is held off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOff {
    /// How often it was lost within ten minutes.
    pub losses: usize,
    /// For how long it is held off in all, in milliseconds. A new leader counts them from its own beginning.
    pub span_ms: u64,
}
