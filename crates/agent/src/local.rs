//! One unit on this machine, and the next step that it needs.

use flota_registry::{Millis, ScheduledUnit, TargetState, UnitStates};
use flota_unit::{UnitHash, UnitKind, UnitName};

use crate::Token;
use crate::event::Installed;

/// First and longest wait before a failed operation is tried again.
const RETRY_FIRST: Millis = Millis(1_000);
const RETRY_MAX: Millis = Millis(60_000);
/// A job that takes longer does not count any more: units that hang must not hold the others up.
pub(crate) const SLOW_JOB: Millis = Millis(10_000);

/// What the schedule says of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) hash: UnitHash,
    pub(crate) target: TargetState,
}

impl From<&ScheduledUnit> for Order {
    fn from(unit: &ScheduledUnit) -> Order {
        Order { hash: unit.hash, target: unit.target }
    }
}

/// What is under way for a unit. One thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    Files { becomes: Option<UnitHash> },
    Starting { hash: UnitHash, since: Millis },
    Stopping { since: Millis },
}

/// A failure and when to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) text: String,
    /// None: it is not tried again by itself; the unit's becoming active ends the trouble.
    pub(crate) retry_at: Option<Millis>,
    wait: Millis,
}

/// A unit that is to be down because the machine's lease may end; once it was seen down it may start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fenced {
    /// Whether it is looked at before it is stopped: it may be down already.
    pub(crate) look_first: bool,
    /// Whether it is down for the lease's sake, should it be found down: then it starts again with the next lease.
    pub(crate) was_up: bool,
    /// It is not killed before.
    pub(crate) kill_after: Millis,
}

/// The next step of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing to do.
    Rest,
    /// Its states must be known first.
    Observe,
    /// Write and link this content.
    Install(UnitHash),
    /// Link the file that is there.
    Link,
    /// Remove link and file.
    Remove,
    /// Nothing of it was ever on this machine: no more is to be known of it.
    Forget,
    Start(UnitHash),
    Stop,
    /// It runs already, with the right content: take note.
    Adopt(UnitHash),
    /// It does not run any more: take note that a later launch starts it again.
    Release,
    /// The machine has a unit of this name that is not Flota's.
    Foreign,
}

/// What the agent knows of one unit on this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Local {
    pub(crate) installed: Option<Installed>,
    /// Whether systemd makes up such a unit where no file defines it, as it does for slices.
    pub(crate) synthetic: bool,
    /// Whether its installation was tried: what of it is on this machine is Flota's, even if that failed half-way.
    pub(crate) touched: bool,
    pub(crate) busy: Option<Busy>,
    pub(crate) states: Option<(UnitStates, Option<u64>)>,
    /// Answers to questions before this one are out of date.
    pub(crate) fresh_from: Token,
    /// Whether a question is under way whose answer will count.
    pub(crate) asked: bool,
    /// Whether `states` are to be asked for again before they are acted on.
    pub(crate) recheck: bool,
    pub(crate) trouble: Option<Trouble>,
    /// Why systemd did not do what its `[Install]` asks for. That keeps it from nothing else.
    pub(crate) not_enabled: Option<String>,
    /// Whether it may run only while the machine's lease holds.
    pub(crate) exclusive: bool,
    pub(crate) fenced: Option<Fenced>,
    /// When it is killed, should it still be up then, whether the lease holds or not: in a store that people accepted it
    /// belongs to another machine.
    pub(crate) forsaken: Option<Millis>,
    /// Why it was stopped although it is scheduled.
    pub(crate) fence_note: Option<String>,
}

impl Local {
    /// Of a unit of which nothing is known yet.
    pub(crate) fn of(unit: &UnitName) -> Local {
        Local { synthetic: unit.kind() == UnitKind::Slice, ..Local::default() }
    }

    /// Decides the next step towards `wanted` (none: the unit is to leave this machine).
    ///
    /// `started` is the content that was started here during this boot, if any; `text_here` tells whether the
    /// wanted text has arrived: what runs is not stopped before its successor can be installed.
    pub(crate) fn next_step(
        &self,
        now: Millis,
        wanted: Option<Order>,
        started: Option<UnitHash>,
        text_here: bool,
    ) -> Step {
        if let Some(fenced) = self.fenced {
            return self.fenced_step(now, fenced);
        }
        if let Some(busy) = self.busy {
            return Self::interrupt(busy, wanted, text_here);
        }
        if self.waits(now) {
            return Step::Rest;
        }
        if wanted.is_none() && self.installed.is_none() && !self.touched {
            return Step::Forget;
        }
        let Some((states, _)) = self.states.as_ref().filter(|_| !self.recheck) else {
            return Step::Observe;
        };
        let up = states.is_up();
        // Whoever stops a slice stops what runs in it. Its file can change without that.
        let in_use = up && !self.synthetic;
        let Some(wanted) = wanted else {
            return if in_use { Step::Stop } else { Step::Remove };
        };
        match self.installed {
            Some(Installed { hash, linked }) if hash == wanted.hash => {
                if !linked {
                    return Step::Link;
                }
            }
            // Other content: what runs of the old one stops first, as fleet's users know it.
            Some(_) if in_use && text_here => return Step::Stop,
            Some(_) => return Step::Install(wanted.hash),
            None if states.load != "not-found" && !self.synthetic && !self.touched => return Step::Foreign,
            None => return Step::Install(wanted.hash),
        }
        match (wanted.target, started) {
            (TargetState::Launched, Some(hash)) if hash == wanted.hash => Step::Rest,
            // One that an earlier daemon was stopping is on its way down: a start waits for that, or takes its place.
            (TargetState::Launched, _) if up && states.active != "deactivating" => Step::Adopt(wanted.hash),
            (TargetState::Launched, _) => Step::Start(wanted.hash),
            (TargetState::Loaded, Some(_)) if up => Step::Stop,
            (TargetState::Loaded, Some(_)) => Step::Release,
            (TargetState::Loaded, None) => Step::Rest,
        }
    }

    /// Down it must go, whatever its schedule says. Who does not know whether it runs stops it all the same.
    fn fenced_step(&self, now: Millis, fenced: Fenced) -> Step {
        match (self.busy, &self.states) {
            (Some(Busy::Starting { .. }), _) => Step::Stop,
            (Some(_), _) => Step::Rest,
            (None, None) if fenced.look_first => Step::Observe,
            (None, _) if self.waits(now) => Step::Rest,
            (None, _) => Step::Stop,
        }
    }

    /// Whether a failure is to be left alone for now.
    pub(crate) fn waits(&self, now: Millis) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.retry_at.is_some_and(|at| at > now))
    }

    /// Whether systemd is about to be asked to start it, or was a short while ago. Not while its new content has
    /// yet to come: the store may be away for long.
    pub(crate) fn is_starting(&self, now: Millis, wanted: Order, text_here: bool) -> bool {
        let up = self.states.as_ref().is_some_and(|(states, _)| states.is_up());
        let hangs = self.job_since().is_some_and(|since| now.since(since) >= SLOW_JOB);
        let waits = self.installed.is_some() && self.needs_text(wanted) && !text_here;
        self.trouble.is_none() && !up && !hangs && !waits
    }

    /// Only a start that is not wanted any more is cut short: it may take as long as its image takes to download,
    /// or for ever.
    fn interrupt(busy: Busy, wanted: Option<Order>, text_here: bool) -> Step {
        let Busy::Starting { hash, .. } = busy else {
            return Step::Rest;
        };
        match wanted {
            Some(wanted) if wanted.hash != hash && !text_here => Step::Rest,
            Some(wanted) if wanted.hash == hash && wanted.target == TargetState::Launched => Step::Rest,
            _ => Step::Stop,
        }
    }

    /// Whether the text of `wanted` must come from the store before the unit can be installed.
    pub(crate) fn needs_text(&self, wanted: Order) -> bool {
        self.installed.is_none_or(|installed| installed.hash != wanted.hash)
    }

    /// When its job was handed to systemd, if one is under way.
    pub(crate) fn job_since(&self) -> Option<Millis> {
        match self.busy {
            Some(Busy::Starting { since, .. } | Busy::Stopping { since }) => Some(since),
            Some(Busy::Files { .. }) | None => None,
        }
    }

    /// What was known of its states is out of date, and what was under way has ended. `asked_so_far` is the last
    /// question that may have been answered from before.
    pub(crate) fn forget_states(&mut self, asked_so_far: Token) {
        self.busy = None;
        self.states = None;
        self.asked = false;
        self.fresh_from = Token(asked_so_far.0 + 1);
    }

    /// Takes in an answer, unless it is out of date.
    pub(crate) fn see(&mut self, token: Token, states: UnitStates, since_unix_ms: Option<u64>) {
        if token < self.fresh_from {
            return;
        }
        self.fresh_from = token;
        if states.active == "active" && self.trouble.as_ref().is_some_and(|trouble| trouble.retry_at.is_none()) {
            self.trouble = None;
        }
        self.asked = false;
        self.recheck = false;
        self.states = Some((states, since_unix_ms));
    }

    /// Takes note of a failure that is tried again; each one in a row waits twice as long.
    pub(crate) fn fail(&mut self, now: Millis, text: String) {
        let wait = self.trouble.as_ref().map_or(RETRY_FIRST, |last| Millis((last.wait.0 * 2).min(RETRY_MAX.0)));
        self.trouble = Some(Trouble { text, retry_at: Some(now.plus(wait)), wait });
    }

    /// Takes note of a failure that trying again is no answer to.
    pub(crate) fn blame(&mut self, text: String) {
        self.trouble = Some(Trouble { text, retry_at: None, wait: RETRY_FIRST });
    }
}
