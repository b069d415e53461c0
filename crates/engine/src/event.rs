//! What the engine hears, what it asks for, and its settings.

use flota_registry::{Change, ClusterSnapshot, Entry, Leader, LeaseId, MachineId, Millis, Txn};
use flota_unit::UnitName;

use crate::liveness::Reach;
use crate::schedule::Decision;

/// The engine's settings, the same on every machine.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long after its lease a machine is still waited for, whatever others say of it.
    pub grace: Millis,
    /// How long a machine's lease lives without a sign of life: what an exclusive unit's next place waits for.
    pub lease: Millis,
    /// Most units of lost machines that are on their way at once, placed elsewhere and not reported active yet.
    pub max_moves: usize,
    /// The longest time that a machine is held off which is lost and comes back again and again.
    pub max_hold: Millis,
    /// How long events are gathered into one pass.
    pub gather: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        let (grace, lease, max_hold) = (Millis(1_000), Millis(5_000), Millis(600_000));
        Settings { grace, lease, max_moves: 50, max_hold, gather: Millis(2) }
    }
}

/// Names a commit, so that its outcome finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(crate) u64);

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable, at this revision.
    Committed(i64),
    /// A compare did not hold: nothing was written.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The store is reached, this machine has its lease, and the leader key was read and is watched.
    Connected {
        /// This machine's lease.
        lease: LeaseId,
        /// The leader key.
        leader: Option<Entry<Leader>>,
    },
    /// The store is out of reach, or this machine's lease is gone.
    Disconnected,
    /// The leader key changed.
    LeaderChanged(Option<Entry<Leader>>),
    /// The answer to [`Effect::LoadCluster`].
    Snapshot(Box<ClusterSnapshot>),
    /// The cluster changed.
    Changes {
        /// To this revision.
        revision: i64,
        /// In this way.
        changes: Vec<Change>,
    },
    /// The answer to [`Effect::Commit`].
    Finished {
        /// Which commit.
        ticket: Ticket,
        /// How it ended.
        outcome: Outcome,
    },
    /// The answer to [`Effect::Probe`].
    Probed {
        /// Which machine was looked for.
        machine: MachineId,
        /// Who looked for it; none: this machine.
        through: Option<MachineId>,
        /// What was found.
        found: Reach,
    },
    /// The [`crate::Engine::deadline`] passed.
    Tick,
}

/// What the shell is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Commit this; its outcome shows as [`Event::LeaderChanged`].
    Campaign(Txn),
    /// Read everything under the prefix, then watch it from the next revision on.
    LoadCluster,
    /// Stop that watch.
    DropCluster,
    /// Commit this and answer with [`Event::Finished`].
    Commit {
        /// Names it.
        ticket: Ticket,
        /// What to commit.
        txn: Txn,
    },
    /// Find out whether this machine lives, and answer with [`Event::Probed`]. An answer that does not come within
    /// three seconds counts as [`Reach::Silent`].
    Probe {
        /// Which machine.
        machine: MachineId,
        /// Where its daemon answers, as `ADDRESS:PORT`.
        peer: String,
        /// The other machine that is to look for it, and where that one's daemon answers; none: look from here.
        through: Option<(MachineId, String)>,
    },
    /// Write down what was decided.
    Record(Vec<Decision>),
    /// Write down that these wanted units became unplaceable.
    RecordUnplaced(Vec<UnitName>),
    /// Write down something that people should know: what waits, and why.
    RecordNote(String),
    /// Write down that the engine stands still, and why.
    RecordFrozen(String),
}
