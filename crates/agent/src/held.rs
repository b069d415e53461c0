//! What an agent keeps on its machine's disk: the last schedule that it accepted, and what it started.

use std::collections::BTreeMap;

use flota_registry::{Schedule, codec};
use flota_unit::{UnitHash, UnitName};
use serde::{Deserialize, Serialize};

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
}

impl Held {
    /// Reads what [`Held::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Held, codec::CodecError> {
        codec::decode(bytes)
    }

    /// As bytes for the disk.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}
