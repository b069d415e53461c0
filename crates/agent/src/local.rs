//! One unit on this machine, and the next step that it needs.

use flota_registry::{Millis, ScheduledUnit, TargetState, UnitStates};
use flota_unit::UnitHash;

use crate::Token;
use crate::event::Installed;

/// First and longest wait before a failed operation is tried again.
const RETRY_FIRST: Millis = Millis(1_000);
const RETRY_MAX: Millis = Millis(60_000);

/// What is under way for a unit. One thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    Files { becomes: Option<UnitHash> },
    Starting { hash: UnitHash },
    Stopping,
}

/// A failure and when to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) text: String,
    pub(crate) retry_at: Millis,
    wait: Millis,
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
    pub(crate) busy: Option<Busy>,
    pub(crate) states: Option<(UnitStates, Option<u64>)>,
    /// Answers to questions before this one are out of date.
    pub(crate) fresh_from: Token,
    /// Whether a question is under way whose answer will count.
    pub(crate) asked: bool,
    pub(crate) trouble: Option<Trouble>,
}

impl Local {
    /// Decides the next step towards `wanted` (none: the unit is to leave this machine).
    ///
    /// `started` is the content that was started here during this boot, if any; `text_here` tells whether the
    /// wanted text has arrived: what runs is not stopped before its successor can be installed.
    pub(crate) fn next_step(
        &self,
        now: Millis,
        wanted: Option<&ScheduledUnit>,
        started: Option<UnitHash>,
        text_here: bool,
    ) -> Step {
        if self.busy.is_some() || self.trouble.as_ref().is_some_and(|trouble| trouble.retry_at > now) {
            return Step::Rest;
        }
        let Some((states, _)) = &self.states else {
            return Step::Observe;
        };
        let up = states.is_up();
        let Some(wanted) = wanted else {
            return if up && self.installed.is_some() { Step::Stop } else { Step::Remove };
        };
        match self.installed {
            Some(Installed { hash, linked }) if hash == wanted.hash => {
                if !linked {
                    return Step::Link;
                }
            }
            // Other content: what runs of the old one stops first, as fleet's users know it.
            Some(_) if up && text_here => return Step::Stop,
            Some(_) => return Step::Install(wanted.hash),
            None if states.load != "not-found" && !self.synthetic => return Step::Foreign,
            None => return Step::Install(wanted.hash),
        }
        match (wanted.target, started) {
            (TargetState::Launched, Some(hash)) if hash == wanted.hash => Step::Rest,
            (TargetState::Launched, _) if up => Step::Adopt(wanted.hash),
            (TargetState::Launched, _) => Step::Start(wanted.hash),
            (TargetState::Loaded, Some(_)) if up => Step::Stop,
            (TargetState::Loaded, Some(_)) => Step::Release,
            (TargetState::Loaded, None) => Step::Rest,
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
        if states.active == "active" {
            self.trouble = None;
        }
        self.asked = false;
        self.states = Some((states, since_unix_ms));
    }

    /// Takes note of a failure; each one in a row waits twice as long.
    pub(crate) fn fail(&mut self, now: Millis, text: String) {
        let wait = self.trouble.as_ref().map_or(RETRY_FIRST, |last| Millis((last.wait.0 * 2).min(RETRY_MAX.0)));
        self.trouble = Some(Trouble { text, retry_at: now.plus(wait), wait });
    }
}
