//! What an agent keeps on its machine's disk: the last schedule that it accepted, what it started, which store it believed.

use std::collections::BTreeMap;

use flota_registry::{Schedule, codec};
use flota_unit::{UnitHash, UnitName};
use serde::{Deserialize, Serialize};

use crate::trust::Known;

/// The agent's memory over restarts and reboots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The last accepted schedule; none on a machine that never had one.
    pub schedule: Option<Schedule>,
    /// The boot during which `started` was written.
    pub boot_id: String,
    /// The units started (or found running) during that boot, with the content they were started with. A unit in
    /// here is not started again when it ends by itself: restarting is systemd's business (`Restart=`).
    pub started: BTreeMap<UnitName, UnitHash>,
    /// The store that was believed last; none on a machine that never belonged to a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
    /// The incarnation of the store that `schedule` is from. Generations of a higher one begin anew.
    #[serde(default)]
    pub schedule_incarnation: u64,
    /// Whether people accepted the store so short a while ago that no exclusive unit may start yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settling: bool,
}

impl Held {
    /// Reads what [`Held::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Held, codec::CodecError> {
        codec::decode(bytes)
    }

    /// The store to judge another one by. A machine that was last run by a version without such a memory belongs to
    /// the cluster of its schedule.
    pub fn belongs(&self) -> Option<Known> {
        let of_schedule = |schedule: &Schedule| Known {
            cluster: schedule.cluster.clone(),
            incarnation: self.schedule_incarnation,
            revision: 0,
            store: None,
        };
        self.known.clone().or_else(|| self.schedule.as_ref().map(of_schedule))
    }

    /// As bytes for the disk.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}
