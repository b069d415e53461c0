//! What a machine keeps of its registrations while the daemon restarts. A reboot forgets it.

use std::collections::BTreeMap;

use flota_registry::{LeaseId, codec};
use flota_unit::UnitName;
use serde::{Deserialize, Serialize};

/// The registrations of one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The boot that it is about.
    pub boot_id: String,
    /// The units that have keys.
    pub units: BTreeMap<UnitName, HeldUnit>,
    /// Leases that are still to be revoked.
    pub ending: Vec<LeaseId>,
}

/// One unit's registrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldUnit {
    /// The life of the unit that the keys share.
    pub invocation: String,
    /// Time to live of the lease, in seconds.
    pub ttl: u32,
    /// The lease, if there is one.
    pub lease: Option<LeaseId>,
    /// The keys.
    pub keys: BTreeMap<String, HeldKey>,
}

/// One registered key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldKey {
    /// Its value, any bytes.
    pub value: Vec<u8>,
    /// Whether it is to be in the store; if not, it is to be removed there.
    pub wanted: bool,
}

impl Held {
    /// Reads what [`Held::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Held, codec::CodecError> {
        codec::decode(bytes)
    }

    /// As bytes for a file.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}
