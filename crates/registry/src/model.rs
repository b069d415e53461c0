//! The cluster's types, named by how we know them: Desired (user), Scheduled (engine), Observed (agent).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use flota_unit::{UnitHash, UnitName};
use serde::{Deserialize, Serialize};

/// A point on a monotonic clock, or a span of it, in milliseconds.
///
/// PURE crates never read a clock: the shell passes "now" in, counted from any fixed origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// This point moved on by `span`, without overflow.
    #[must_use]
    pub fn plus(self, span: Millis) -> Millis {
        Millis(self.0.saturating_add(span.0))
    }

    /// The span since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: expected 32 lower-case hexadecimal digits")]
pub struct IdError {
    what: &'static str,
    text: String,
}

fn parse_hex_id(what: &'static str, text: &str) -> Result<String, IdError> {
    let valid = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if valid { Ok(text.to_owned()) } else { Err(IdError { what, text: text.to_owned() }) }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The 32 hexadecimal digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first eight digits, as fleet shows an id.
            pub fn short(&self) -> &str {
                &self.0[..8]
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex_id($what, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

hex_id!(
    /// A machine's identity: the text of its `/etc/machine-id`.
    MachineId,
    "machine id"
);
hex_id!(
    /// A cluster's identity, drawn once when its store is first used.
    ClusterId,
    "cluster id"
);

/// Counts the schedules of one machine; an agent refuses one that is older than what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Generation {
        Generation(self.0 + 1)
    }
}

/// The cluster's birth record, at [`crate::Key::Cluster`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Drawn at random by the daemon that first found the store empty.
    pub id: ClusterId,
    /// When, in milliseconds since the Unix epoch.
    pub created_unix_ms: u64,
    /// How many times people accepted a store that knew less than the machines did: one that was restored from a
    /// backup, or wiped. A machine that holds a lower number takes such a store for the truth again.
    #[serde(default)]
    pub incarnation: u64,
}

/// What the user wants of a unit. Only commands change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// Known, but on no machine.
    Inactive,
    /// Linked into a machine's systemd, not started.
    Loaded,
    /// Started.
    Launched,
}

impl DesiredState {
    /// fleet's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            DesiredState::Inactive => "inactive",
            DesiredState::Loaded => "loaded",
            DesiredState::Launched => "launched",
        }
    }
}

/// One unit as its user wants it, at [`crate::Key::Unit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredUnit {
    /// Names the text at [`crate::Key::File`].
    pub hash: UnitHash,
    /// What the user wants of it.
    pub desired: DesiredState,
}

/// What a machine can carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Processors that the kernel schedules on.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

/// One machine as it announces itself, at [`crate::Key::Machine`], for as long as its lease lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The address that others reach it at.
    pub address: String,
    /// What `MachineMetadata=` is matched against.
    pub metadata: BTreeMap<String, String>,
    /// What it can carry.
    pub capacity: Capacity,
    /// The version of its Flota.
    pub version: String,
    /// The kernel's boot id, new at each boot.
    pub boot_id: String,
    /// Why it takes no orders from this store, in words, such as that the store is older than what the machine has
    /// seen. Its units run on, nothing is placed there, and while there is such a machine nothing is moved anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
}

/// How far a scheduled unit is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// Linked into systemd, not started.
    Loaded,
    /// Linked and started.
    Launched,
}

/// One unit of a machine's schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledUnit {
    /// The content to run.
    pub hash: UnitHash,
    /// How far to take it.
    pub target: TargetState,
    /// Why it is here, in words (promise P6).
    pub cause: String,
    /// Whether it must never run twice (`Exclusive=true`): its machine stops it before the machine's lease can have
    /// ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
}

/// Everything that one machine is to run, at [`crate::Key::Schedule`]: one value per machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The cluster that it belongs to; an agent refuses another cluster's.
    pub cluster: ClusterId,
    /// Grows by one with each change.
    pub generation: Generation,
    /// The units, by name.
    pub units: BTreeMap<UnitName, ScheduledUnit>,
}

/// systemd's three words about a unit, unmodified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStates {
    /// `LoadState`, such as `loaded` or `not-found`.
    pub load: String,
    /// `ActiveState`, such as `active` or `failed`.
    pub active: String,
    /// `SubState`, such as `running`.
    pub sub: String,
}

impl UnitStates {
    /// Whether the unit is running, or on its way up or down: a stop has something to do.
    pub fn is_up(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading" | "deactivating" | "refreshing")
    }
}

/// One unit as its machine's agent last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedUnit {
    /// The content that is linked into systemd; none when it could not be installed.
    pub hash: Option<UnitHash>,
    /// Whether the agent started it (or found it running) with that content.
    #[serde(default)]
    pub started: bool,
    /// systemd's words.
    #[serde(flatten)]
    pub states: UnitStates,
    /// Since when, in milliseconds since the Unix epoch, where systemd tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_unix_ms: Option<u64>,
    /// What went wrong with it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What one machine's agent says, at [`crate::Key::Report`], for as long as the machine's lease lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The generation that it holds.
    pub generation: Generation,
    /// Its units.
    pub units: BTreeMap<UnitName, ObservedUnit>,
    /// What is wrong with the machine as a whole, in words, such as a refused schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who leads, at [`crate::Key::Leader`], for as long as its lease lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// The machine whose engine decides.
    pub machine: MachineId,
}
