//! Exclusive units end before this machine's lease can have: the times for it, and what the guard beside the daemon is told.
//!
//! A unit with `Exclusive=true` must never run twice. Another machine may take it over some time after this one's lease
//! ended, so it runs here only while the lease is known to hold. The lease ends at the earliest its length after the
//! last answered renewal was sent; the unit is stopped a while before that, and killed shortly before.

use std::collections::BTreeSet;

use flota_registry::{Millis, codec};
use flota_unit::UnitName;
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::event::Effect;
use crate::local::{Busy, Fenced, Local};

/// The lease of an agent that was not told another one.
const DEFAULT_LEASE: Millis = Millis(5_000);
/// How long before the end of the lease exclusive units are stopped, and killed. Of a short lease it is a share.
const STOP_BEFORE: Millis = Millis(2_000);
const STOP_SHARE: (u64, u64) = (2, 5);
const KILL_BEFORE: Millis = Millis(500);
const KILL_SHARE: (u64, u64) = (1, 10);
/// What is not down after it was killed is killed again this much later, for as long as the lease is not held.
const KILL_AGAIN: Millis = Millis(1_000);
/// How long a daemon that has just started looks at an exclusive unit before it kills it: the guard may have been faster.
const LOOK: Millis = Millis(200);
/// The guard acts this much later than the agent, which knows better what it does.
const GUARD_LAG: Millis = Millis(250);
/// What the guard found down it looks at again this much later: a socket may have started it anew.
const GUARD_LOOK: Millis = Millis(5_000);

/// Once people accepted a store, no exclusive unit starts for the length of a lease and this much more: what the store had
/// forgotten may run on another machine until that one's last good lease has ended.
const SETTLE_MARGIN: Millis = Millis(2_000);

/// What one answered renewal of the lease leaves to exclusive units. All times are of one clock that goes on while the
/// machine is suspended, as the store's does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// When the renewal was sent.
    pub sent: Millis,
    /// From when on exclusive units are stopped.
    pub stop_at: Millis,
    /// From when on they are killed. The lease ends later.
    pub kill_at: Millis,
}

impl Term {
    /// Of a lease that is `length` long, renewed by what was sent at `sent`.
    pub fn new(sent: Millis, length: Millis) -> Term {
        let share = |(part, whole): (u64, u64)| Millis(length.0 / whole * part);
        let before = |margin: Millis| sent.plus(length.since(margin));
        Term {
            sent,
            stop_at: before(STOP_BEFORE.min(share(STOP_SHARE))),
            kill_at: before(KILL_BEFORE.min(share(KILL_SHARE))),
        }
    }
}

/// What the guard must know to end exclusive units without the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarded {
    /// The times.
    pub term: Term,
    /// The units that are exclusive and may run.
    pub units: BTreeSet<UnitName>,
}

/// What the guard has to do now, and when to look again at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing.
    Wait(Millis),
    /// Stop the units.
    Stop(Millis),
    /// Stop and kill those that are up: look again after the first time if there are any, else after the second.
    Kill(Millis, Millis),
}

impl Guarded {
    /// Reads what [`Guarded::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Guarded, codec::CodecError> {
        codec::decode(bytes)
    }

    /// As bytes for the guard's file.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The guard's duty at `now`.
    pub fn duty(&self, now: Millis) -> Duty {
        let Term { kill_at, .. } = self.term;
        if now < self.guard_acts_at() {
            Duty::Wait(self.guard_acts_at())
        } else if now < kill_at {
            Duty::Stop(kill_at)
        } else {
            Duty::Kill(now.plus(KILL_AGAIN), now.plus(GUARD_LOOK))
        }
    }

    fn guard_acts_at(&self) -> Millis {
        self.term.stop_at.plus(GUARD_LAG).min(self.term.kill_at)
    }
}

/// What the agent knows of its machine's lease.
#[derive(Debug)]
pub(crate) struct Fence {
    lease: Millis,
    term: Option<Term>,
    /// What the guard was told last, and when.
    told: Option<Guarded>,
    told_at: Millis,
    /// What its file holds for certain.
    written: Option<Guarded>,
    /// Until when no exclusive unit starts.
    settle_until: Option<Millis>,
}

impl Default for Fence {
    fn default() -> Fence {
        Fence::new(DEFAULT_LEASE, None)
    }
}

impl Fence {
    /// For leases of this length; `found` is what an earlier daemon told the guard.
    pub(crate) fn new(lease: Millis, found: Option<Guarded>) -> Fence {
        let term = found.as_ref().map(|found| found.term);
        Fence { lease, term, told: found.clone(), told_at: Millis(0), written: found, settle_until: None }
    }

    /// Whether exclusive units may run.
    pub(crate) fn is_good(&self, now: Millis) -> bool {
        // What a renewal of the future says is of another boot.
        self.term.is_some_and(|term| term.sent <= now && now < term.stop_at)
    }

    /// Whether exclusive units may start.
    pub(crate) fn lets_start(&self, now: Millis) -> bool {
        self.is_good(now) && self.settle_until.is_none()
    }

    /// Takes note of a renewal. One that is told late takes nothing back.
    pub(crate) fn renew(&mut self, now: Millis, sent: Millis) {
        if self.term.is_none_or(|term| term.sent < sent || term.sent > now) {
            self.term = Some(Term::new(sent, self.lease));
        }
    }

    /// Why exclusive units are stopped.
    pub(crate) fn reason(&self, now: Millis) -> String {
        match self.term.filter(|term| term.sent <= now) {
            Some(term) => {
                format!("stopped: exclusive, and the store was out of reach for {} s", now.since(term.sent).0 / 1_000)
            }
            None => "stopped: exclusive, and the store was not reached since the daemon started".to_owned(),
        }
    }

    /// Whether the guard may have acted on what it knew before it was told better.
    fn told_too_late(&self, at: Millis) -> bool {
        let acts_at = self.written.as_ref().map(Guarded::guard_acts_at);
        acts_at.is_some_and(|acts_at| self.told_at < acts_at && acts_at <= at)
    }
}

impl Agent {
    /// Has every exclusive unit that may be up stopped, once the lease may be about to end.
    pub(crate) fn keep_fence(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if !self.fence.is_good(now) {
            let why = self.fence.reason(now);
            self.fence_units(now, &why, effects);
        }
    }

    /// A daemon that starts without a good lease looks first: the guard may have stopped the units already.
    pub(crate) fn fence_at_boot(&mut self, now: Millis) {
        let found = self.fence.told.as_ref().map(|told| &told.units);
        let good = self.fence.is_good(now);
        let known = self.fence.term.is_some_and(|term| term.sent <= now);
        let kill_after = now.plus(if known { LOOK } else { STOP_BEFORE.since(KILL_BEFORE) });
        for (unit, local) in &mut self.units {
            let guarded = found.is_some_and(|found| found.contains(unit));
            local.exclusive |= guarded;
            if good || !local.exclusive {
                continue;
            }
            let was_up = guarded || found.is_none();
            local.fenced = Some(Fenced { look_first: true, was_up, kill_after });
            if was_up && self.held.started.contains_key(unit) {
                local.fence_note = Some(self.fence.reason(now));
            }
        }
    }

    /// People accepted the store that is now believed, or had shortly before this daemon started.
    pub(crate) fn settle(&mut self, now: Millis) {
        self.held.settling = true;
        self.fence.settle_until = Some(now.plus(self.fence.lease).plus(SETTLE_MARGIN));
    }

    /// Whether what other machines may have had to end is over just now.
    pub(crate) fn has_settled(&mut self, now: Millis) -> bool {
        let over = self.fence.settle_until.take_if(|until| *until <= now).is_some();
        self.held.settling &= !over;
        over
    }

    /// What the first schedule of an accepted store does not give to this machine any more must be down when the lease
    /// ends that it was started under.
    pub(crate) fn forsake_unwanted(&mut self, now: Millis) {
        let kill_at = self.fence.term.filter(|term| term.sent <= now).map_or(now, |term| term.kill_at);
        let schedule = self.held.schedule.as_ref();
        for (unit, local) in self.units.iter_mut().filter(|(_, local)| local.exclusive) {
            let wanted = schedule.is_some_and(|schedule| schedule.units.contains_key(unit));
            local.forsaken = (!wanted).then_some(kill_at);
        }
    }

    fn fence_units(&mut self, now: Millis, why: &str, effects: &mut Vec<Effect>) {
        for (unit, local) in &mut self.units {
            let started = self.held.started.contains_key(unit);
            if local.exclusive && local.fenced.is_none() && local.may_be_up(started) {
                let look_first = matches!(local.busy, Some(Busy::Stopping { .. }));
                local.fenced = Some(Fenced { look_first, was_up: true, kill_after: now });
                local.fence_note = Some(why.to_owned());
                effects.push(Effect::Alarm(format!("{unit}: {why}")));
            }
        }
    }

    /// Kills what was stopped for the fence's sake, or is forsaken, and is not down in time.
    pub(crate) fn kill_overdue(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let (good, term) = (self.fence.is_good(now), self.fence.term);
        for (unit, local) in &mut self.units {
            let fenced = local.kill_due(term).filter(|_| !good);
            if fenced.into_iter().chain(local.forsaken_due()).any(|due| due <= now) {
                effects.push(Effect::Kill(unit.clone()));
                let again = now.plus(KILL_AGAIN);
                local.fenced = local.fenced.map(|fenced| Fenced { kill_after: again, ..fenced });
                local.forsaken = local.forsaken.map(|_| again);
            }
        }
    }

    /// Keeps the guard's knowledge up to date.
    pub(crate) fn tell_guard(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        // One that ended by itself, and is not started again, is nothing to guard.
        let ended = |unit: &UnitName, local: &Local| local.is_down() && self.held.started.contains_key(unit);
        let exclusive = self.units.iter().filter(|(unit, local)| local.exclusive && !ended(unit, local));
        let units: BTreeSet<UnitName> = exclusive.map(|(unit, _)| unit.clone()).collect();
        let tell = match self.fence.term {
            _ if units.is_empty() => None,
            Some(term) => Some(Guarded { term, units }),
            // Without a lease no exclusive unit starts here.
            None => return,
        };
        if self.fence.told != tell {
            self.fence.told.clone_from(&tell);
            self.fence.told_at = now;
            effects.push(Effect::Guard(tell));
        }
    }

    /// The guard's file was written. Should that have taken so long that the guard acted on the old one, the units are
    /// stopped here too, and start again: they did not end by themselves.
    pub(crate) fn guard_told(&mut self, now: Millis, at: Millis, effects: &mut Vec<Effect>) {
        if self.fence.told_too_late(at) {
            let why = "stopped: exclusive, and this machine was too slow to tell its guard that the lease was renewed";
            self.fence_units(now, why, effects);
        }
        self.fence.written.clone_from(&self.fence.told);
    }

    /// When the fence wants to be looked at.
    pub(crate) fn fence_deadline(&self, now: Millis) -> Option<Millis> {
        let mut exclusive = self.units.values().filter(|local| local.exclusive).peekable();
        let settled = self.fence.settle_until;
        if exclusive.peek().is_none() {
            return settled;
        }
        let (good, term) = (self.fence.is_good(now), self.fence.term);
        let stop = term.filter(|_| good).map(|term| term.stop_at);
        let kill = |local: &Local| local.kill_due(term).filter(|_| !good).into_iter().chain(local.forsaken_due()).min();
        exclusive.filter_map(kill).chain(stop).chain(settled).min()
    }
}

impl Local {
    /// Whether it may be running, as far as is known.
    fn may_be_up(&self, started: bool) -> bool {
        match (self.busy, &self.states) {
            (Some(Busy::Starting { .. } | Busy::Stopping { .. }), _) => true,
            (Some(Busy::Files { .. }), _) => false,
            (None, Some((states, _))) => states.is_up(),
            (None, None) => started && self.installed.is_some(),
        }
    }

    /// Whether it was stopped for the fence's sake, and was seen down since.
    pub(crate) fn is_fenced_and_down(&self) -> bool {
        self.fenced.is_some() && self.busy.is_none() && self.is_down() && !self.recheck
    }

    fn is_down(&self) -> bool {
        self.states.as_ref().is_some_and(|(states, _)| !states.is_up())
    }

    fn forsaken_due(&self) -> Option<Millis> {
        self.forsaken.filter(|_| !(self.busy.is_none() && self.is_down()))
    }

    fn kill_due(&self, term: Option<Term>) -> Option<Millis> {
        let fenced = self.fenced.filter(|_| !self.is_fenced_and_down())?;
        Some(fenced.kill_after.max(term.map_or(Millis(0), |term| term.kill_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_of_five_seconds_leaves_two_to_stop_and_half_a_one_to_kill() {
        let term = Term::new(Millis(10_000), Millis(5_000));
        assert_eq!((term.stop_at, term.kill_at), (Millis(13_000), Millis(14_500)));
    }

    #[test]
    fn a_short_lease_leaves_its_share() {
        let term = Term::new(Millis(10_000), Millis(2_000));
        assert_eq!((term.stop_at, term.kill_at), (Millis(11_200), Millis(11_800)));
    }

    #[test]
    fn the_guard_comes_after_the_agent_and_goes_on_until_it_is_told_better() {
        let term = Term::new(Millis(10_000), Millis(5_000));
        let guarded = Guarded { term, units: BTreeSet::new() };
        let duty = |at| guarded.duty(Millis(at));
        assert_eq!(duty(13_000), Duty::Wait(Millis(13_250)));
        assert_eq!(duty(13_250), Duty::Stop(Millis(14_500)));
        assert_eq!(duty(14_500), Duty::Kill(Millis(15_500), Millis(19_500)));
        assert_eq!(Guarded::decode(&guarded.encode()).unwrap(), guarded);
    }
}
