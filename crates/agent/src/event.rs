//! What an agent is told, and what it asks for.

use std::collections::BTreeMap;

use flota_registry::{Millis, Report, Schedule, UnitStates};
use flota_unit::{UnitHash, UnitName};

use crate::Held;
use crate::fence::Guarded;
use crate::trust::Known;

/// Numbers an [`Effect::Observe`], so that an answer from before an operation is not taken for one after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub(crate) u64);

/// A unit file in Flota's own folder on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Its content.
    pub hash: UnitHash,
    /// Whether systemd's runtime folder links to it, as its `[Install]` asks too. Such links do not outlive a reboot.
    pub linked: bool,
}

/// One unit as systemd described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Which unit.
    pub unit: UnitName,
    /// systemd's words.
    pub states: UnitStates,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: Option<u64>,
}

/// How a systemd job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobResult {
    /// systemd did it.
    Done,
    /// systemd refused or failed; in words.
    Failed(String),
    /// systemd could not be asked, or the answer was lost: nothing is known.
    Lost,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The daemon started. Always the first event.
    Boot {
        /// What the disk held.
        held: Held,
        /// The kernel's boot id.
        boot_id: String,
        /// The unit files in Flota's folder.
        installed: BTreeMap<UnitName, Installed>,
        /// Files in systemd's own runtime folder: a package that is purged leaves a copy there for each unit that runs.
        copies: BTreeMap<UnitName, UnitHash>,
    },
    /// The store is believed, and is now so far. What follows is its word.
    Believed(Known),
    /// The store holds this schedule for this machine.
    Schedule(Schedule),
    /// The answer to [`Effect::Fetch`].
    Text {
        /// Which text.
        hash: UnitHash,
        /// The text.
        text: String,
    },
    /// The other answer to [`Effect::Fetch`]: the store was reached and does not have it, or has something unreadable.
    NoText {
        /// Which text.
        hash: UnitHash,
        /// What is wrong, in words.
        why: String,
    },
    /// The store is reached again and has none of this machine's reports under its lease.
    Connected,
    /// systemd says that these units may have changed; none: any may have.
    Changed(Option<Vec<UnitName>>),
    /// The answer to [`Effect::Observe`].
    Observed {
        /// The question.
        token: Token,
        /// One entry per unit that was asked about.
        units: Vec<Observation>,
    },
    /// The answer to [`Effect::ChangeFiles`], after the daemon-reload.
    FilesChanged(FileResults),
    /// The answer to [`Effect::Start`].
    Started(UnitName, JobResult),
    /// The answer to [`Effect::Stop`].
    Stopped(UnitName, JobResult),
    /// The store answered a renewal of this machine's lease, and holds a schedule for this machine that was told before
    /// the first such event of a session.
    LeaseRenewed {
        /// When the renewal was sent.
        sent: Millis,
    },
    /// [`Effect::Guard`] was carried out.
    GuardTold {
        /// When it was.
        at: Millis,
    },
    /// The [`crate::Agent::deadline`] passed.
    Tick,
}

/// What became of a batch of file changes. A unit that is in neither map came through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileResults {
    /// The operations that failed, and why. They are tried again.
    pub failed: BTreeMap<UnitName, String>,
    /// The units that are linked, but without what their `[Install]` asks for, and why.
    pub not_enabled: BTreeMap<UnitName, String>,
}

/// One change of a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOp {
    /// Write the file and link it, as its `[Install]` asks too.
    Install {
        /// Which unit.
        unit: UnitName,
        /// Its text.
        text: String,
    },
    /// Link the file that is there, as its `[Install]` asks too.
    Link {
        /// Which unit.
        unit: UnitName,
    },
    /// Remove all links and the file, and let systemd forget a failure of the unit.
    Remove {
        /// Which unit.
        unit: UnitName,
    },
}

impl FileOp {
    /// The unit that it is about.
    pub fn unit(&self) -> &UnitName {
        match self {
            FileOp::Install { unit, .. } | FileOp::Link { unit } | FileOp::Remove { unit } => unit,
        }
    }
}

/// What the shell is to do, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this to the disk, durably, before the effects that follow.
    Persist(Held),
    /// Fetch the text of this content from the store; answer with [`Event::Text`] or [`Event::NoText`]. Unanswered
    /// while the store is away.
    Fetch(UnitHash),
    /// Carry these out, then one daemon-reload; answer with [`Event::FilesChanged`]. One at a time.
    ChangeFiles(Vec<FileOp>),
    /// Start the unit; answer with [`Event::Started`] when its job has ended.
    Start(UnitName),
    /// Stop the unit; answer with [`Event::Stopped`] when its job has ended.
    Stop(UnitName),
    /// Kill all of the unit's processes at once. A stop is under way, and goes on.
    Kill(UnitName),
    /// Let the guard know this before the effects that follow, and have one run; none: no guard is needed. Answer with
    /// [`Event::GuardTold`].
    Guard(Option<Guarded>),
    /// Ask systemd for the states of these units; answer with [`Event::Observed`].
    Observe {
        /// Comes back with the answer.
        token: Token,
        /// Which units.
        units: Vec<UnitName>,
    },
    /// Publish this report, if the store is reached.
    Publish(Report),
    /// Tell the operator that a schedule was refused, and why.
    Refused(String),
    /// Tell the operator that a unit is stopped because the lease may end.
    Alarm(String),
}
