//! What the registrations are told, and what they ask for.

use flota_registry::LeaseId;
use flota_unit::UnitName;

use super::{Held, MAX_KEY_BYTES, MAX_KEYS_PER_UNIT, MAX_UNITS, MAX_VALUE_BYTES, MAX_WAITING, TTL_SECONDS};

/// Numbers a request, so that its answer finds whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One unit's life as systemd described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The unit, by its main name.
    pub unit: UnitName,
    /// systemd's word for its state.
    pub active: String,
    /// systemd's finer word.
    pub sub: String,
    /// Which of the unit's lives this is: a new one at each start.
    pub invocation: String,
}

impl Life {
    /// Whether the unit is up, or on its way up. One that waits for its next start after a failure is not.
    pub fn is_alive(&self) -> bool {
        match self.active.as_str() {
            "active" | "reloading" | "refreshing" => true,
            "activating" => !self.sub.starts_with("auto-restart"),
            _ => false,
        }
    }
}

/// A key to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Comes back with the answer.
    pub ticket: Ticket,
    /// The unit that it is bound to, as systemd describes it.
    pub life: Life,
    /// Which key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// Seconds that it outlives the machine; none: whatever the unit has, or the default.
    pub ttl: Option<u32>,
}

/// What became of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutResult {
    /// The key is there, under the lease.
    Done,
    /// The key is somebody else's, and was left alone.
    Taken,
    /// The store does not know the lease.
    NoLease,
    /// Nothing is known; why, in words.
    Failed(String),
}

/// What became of a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenewResult {
    /// The lease lives on.
    Alive,
    /// The store does not know it any more.
    Lost,
    /// Nothing is known; why, in words.
    Failed(String),
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The daemon started. Always the first event.
    Boot {
        /// What an earlier daemon left.
        held: Held,
        /// The kernel's boot id.
        boot_id: String,
    },
    /// The store is reached.
    StoreUp,
    /// The store is out of reach: no call is asked for until it is back.
    StoreDown,
    /// systemd says that these units may have changed; none: any may have.
    Changed(Option<Vec<UnitName>>),
    /// The answer to [`Effect::Observe`]. Answers and [`Event::Register`] come in the order in which systemd was asked.
    Observed(Vec<Life>),
    /// A key is to live as long as its unit.
    Register(Register),
    /// A key is to go, whatever its unit does.
    Remove {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The unit that it is bound to.
        unit: UnitName,
        /// Which key.
        key: String,
    },
    /// The answer to [`Effect::Grant`].
    Granted {
        /// For which unit.
        unit: UnitName,
        /// The effect's number.
        serial: u64,
        /// The lease; or why there is none, in words.
        result: Result<LeaseId, String>,
    },
    /// The answer to [`Effect::Put`] and [`Effect::Delete`].
    Written {
        /// For which unit.
        unit: UnitName,
        /// Under which lease.
        lease: LeaseId,
        /// Which key.
        key: String,
        /// What became of it.
        result: PutResult,
    },
    /// The answer to [`Effect::Renew`].
    Renewed {
        /// For which unit.
        unit: UnitName,
        /// Which lease.
        lease: LeaseId,
        /// What became of it.
        result: RenewResult,
    },
    /// The answer to [`Effect::Revoke`].
    Revoked {
        /// Which lease.
        lease: LeaseId,
        /// Whether the store knows nothing of it any more.
        gone: bool,
    },
    /// The [`super::Registrations::deadline`] passed.
    Tick,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The key is in the store under this lease.
    Registered(LeaseId),
    /// The key is kept here, and gets into the store as soon as the store takes it; why not yet, in words.
    Accepted(String),
    /// The key is not bound any more; the store drops it now, or when it can be reached.
    Removed,
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no life that the key could share.
    #[error("{unit} is not active on this machine: it is {active} ({sub})")]
    NotActive {
        /// Which unit.
        unit: UnitName,
        /// systemd's word.
        active: String,
        /// systemd's finer word.
        sub: String,
    },
    /// The unit ended before its key was in the store.
    #[error("{unit} ended before its key was registered")]
    Ended {
        /// Which unit.
        unit: UnitName,
    },
    /// The cluster's own keys.
    #[error("key {key}: the keys below /flota/ are the cluster's own")]
    Reserved {
        /// Which key.
        key: String,
    },
    /// No key, or one that is too long.
    #[error("a key has 1 to {MAX_KEY_BYTES} bytes, this one {bytes}")]
    KeyLength {
        /// Its length.
        bytes: usize,
    },
    /// The value is too long.
    #[error("key {key}: a value of a registration has at most {MAX_VALUE_BYTES} bytes, this one {bytes}")]
    ValueLength {
        /// Which key.
        key: String,
        /// The value's length.
        bytes: usize,
    },
    /// The time to live is out of bounds.
    #[error("a time to live of {seconds} s: expected {} to {} s", TTL_SECONDS.start(), TTL_SECONDS.end())]
    Ttl {
        /// What was asked for.
        seconds: u32,
    },
    /// The unit has a lease already, with another time to live.
    #[error("all keys of {unit} share one lease, which has a time to live of {ttl} s")]
    OtherTtl {
        /// Which unit.
        unit: UnitName,
        /// Its lease's time to live, in seconds.
        ttl: u32,
    },
    /// A key has one writer.
    #[error("key {key} is registered by {unit}")]
    OtherUnit {
        /// Which key.
        key: String,
        /// By which unit.
        unit: UnitName,
    },
    /// There is no such registration.
    #[error("{unit} has not registered key {key}")]
    Unknown {
        /// Which unit.
        unit: UnitName,
        /// Which key.
        key: String,
    },
    /// The unit has too many keys.
    #[error("{unit} has registered {MAX_KEYS_PER_UNIT} keys, which is the most that a unit can")]
    TooManyKeys {
        /// Which unit.
        unit: UnitName,
    },
    /// Too many units have keys.
    #[error("{MAX_UNITS} units of this machine have registered keys, which is the most that can")]
    TooManyUnits,
    /// The store answers too slowly for all that is asked of it.
    #[error("{MAX_WAITING} registrations wait for the store; try again")]
    TooManyWaiting,
}

/// One registered key, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// By which unit.
    pub unit: UnitName,
    /// Which key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The time to live of the unit's lease, in seconds.
    pub ttl: u32,
    /// The unit's lease, if it has one.
    pub lease: Option<LeaseId>,
    /// What keeps the key out of the store, in words; none: it is there.
    pub problem: Option<String>,
}

/// What the shell is to do, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this where a later daemon of the same boot finds it, before the effects that follow.
    Persist(Held),
    /// Ask systemd for the lives of these units; answer with [`Event::Observed`].
    Observe(Vec<UnitName>),
    /// Take a lease; answer with [`Event::Granted`].
    Grant {
        /// For which unit.
        unit: UnitName,
        /// Comes back with the answer.
        serial: u64,
        /// Its time to live, in seconds.
        ttl: u32,
    },
    /// Write a key under a lease; answer with [`Event::Written`].
    Put {
        /// For which unit.
        unit: UnitName,
        /// Which lease.
        lease: LeaseId,
        /// Which key.
        key: String,
        /// Its value.
        value: Vec<u8>,
        /// Also when the key is somebody else's.
        overwrite: bool,
    },
    /// Remove a key if it is under this lease; answer with [`Event::Written`].
    Delete {
        /// For which unit.
        unit: UnitName,
        /// Which lease.
        lease: LeaseId,
        /// Which key.
        key: String,
    },
    /// Renew a lease; answer with [`Event::Renewed`].
    Renew {
        /// Of which unit.
        unit: UnitName,
        /// Which lease.
        lease: LeaseId,
    },
    /// Revoke a lease; answer with [`Event::Revoked`].
    Revoke(LeaseId),
    /// Answer a request.
    Answer(Ticket, Outcome),
    /// Tell the operator.
    Note(String),
}
