//! What outlives a machine's lease: that it belongs to the cluster, and what people ask of it.

use serde::{Deserialize, Serialize};

/// A machine that belongs to the cluster, alive or not, at [`crate::Key::Member`]. The machine writes it whenever it
/// announces something new; it goes only when the machine leaves, or is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The address that others reach it at.
    pub address: String,
    /// Where its daemon answers whoever asks whether it lives, as `ADDRESS:PORT`; none where it answers nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// When it said that it goes down, in milliseconds since the Unix epoch. Its units are then placed elsewhere at
    /// once; the machine takes the word back when it is up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_unix_ms: Option<u64>,
}

/// What people ask of a machine as a whole, at [`crate::Key::Cordon`]; none: nothing special.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cordon {
    /// How far it goes.
    pub mode: CordonMode,
    /// Why, in the words of whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

/// How far a machine is taken out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CordonMode {
    /// It keeps what it has and gets nothing new.
    Cordoned,
    /// What it has goes elsewhere, one unit after the other, each once its replacement is active.
    Draining,
    /// It does not belong to the cluster any more: what it had is placed elsewhere at once, and all that the store
    /// knows of it goes.
    Removed,
}
