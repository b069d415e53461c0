//! Whether the cluster's store is believed, and what accepting it would mean.

use serde::{Deserialize, Serialize};

/// What a daemon makes of its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreTrust {
    /// Why the daemon's machine takes no orders from the store; none: it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// Whether there is something that people can accept.
    pub acceptable: bool,
    /// The machines that the store or the daemon knows, by id.
    pub machines: Vec<Holding>,
}

/// What a machine holds beside what the store has for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The machine id.
    pub machine: String,
    /// Its address; empty when unknown.
    #[serde(default)]
    pub address: String,
    /// Why it takes no orders from the store; none: it does, or it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// The generation of the schedule that it holds, and how many units are in it; none when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_generation: Option<u64>,
    /// How many units are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_units: Option<usize>,
    /// The generation of its schedule in the store; none: it would put back its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_generation: Option<u64>,
    /// How many units are in that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_units: Option<usize>,
}

/// The store was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The cluster's id.
    pub cluster: String,
    /// How many times people have accepted its store by now.
    pub incarnation: u64,
}
