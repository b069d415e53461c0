//! What is on its way: units of lost machines, and the step that each drain is at.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{ClusterSnapshot, MachineId, Millis, ObservedUnit, ScheduledUnit, TargetState};
use flota_unit::UnitName;

use crate::demand::Demands;
use crate::schedule::{Decision, Occasion, Origin};

/// How long a unit may take to be active in its new place before nobody waits for it any more.
const PATIENCE: Millis = Millis(30_000);

/// One step of a drain: the units that left together.
#[derive(Debug, Clone)]
struct Step {
    units: BTreeSet<UnitName>,
    since: Millis,
}

/// The units that somebody waits for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Units of lost machines that are not active in their new place yet, since when.
    moves: BTreeMap<UnitName, Millis>,
    drains: BTreeMap<MachineId, Step>,
    /// Units that were taken off a machine and wait for another.
    origins: BTreeMap<UnitName, Origin>,
    /// The drains that went on although a unit was not active: what to say of it.
    impatient: BTreeMap<MachineId, String>,
}

impl Progress {
    pub(crate) fn forget(&mut self) {
        *self = Progress::default();
    }

    /// Takes note of what was committed.
    pub(crate) fn note(&mut self, decisions: &[Decision], now: Millis) {
        for Decision { unit, from, to, cause, occasion } in decisions {
            let Some(from) = from else { continue };
            if to.is_none() {
                let origin = Origin { from: from.clone(), occasion: *occasion, why: cause.clone() };
                self.origins.insert(unit.clone(), origin);
            } else {
                self.origins.remove(unit);
            }
            match occasion {
                Occasion::Loss if to.is_some() => drop(self.moves.insert(unit.clone(), now)),
                Occasion::Drain => {
                    let step = self.drains.entry(from.clone());
                    let step = step.or_insert_with(|| Step { units: BTreeSet::new(), since: now });
                    step.units.insert(unit.clone());
                    self.impatient.remove(from);
                }
                Occasion::Loss | Occasion::Change => {}
            }
        }
    }

    /// Drops what nobody needs to wait for any more.
    pub(crate) fn refresh(&mut self, snapshot: &ClusterSnapshot, demands: &Demands, now: Millis) {
        let waits = |unit: &UnitName| demands.get(unit).is_some() && !is_settled(snapshot, unit);
        self.moves.retain(|unit, since| now < since.plus(PATIENCE) && waits(unit));
        self.origins.retain(|unit, _| demands.get(unit).is_some());
        let impatient = &mut self.impatient;
        self.drains.retain(|id, step| {
            let late = step.units.iter().find(|unit| waits(unit));
            if let Some(late) = late.filter(|_| now >= step.since.plus(PATIENCE)) {
                let seconds = PATIENCE.0 / 1000;
                impatient.insert(id.clone(), format!("{late} was not active elsewhere after {seconds} s"));
                return false;
            }
            late.is_some()
        });
    }

    /// How many units of lost machines are on their way.
    pub(crate) fn moving(&self) -> usize {
        self.moves.len()
    }

    /// Whether the drain of the machine waits for what left last.
    pub(crate) fn is_in_step(&self, id: &MachineId) -> bool {
        self.drains.contains_key(id)
    }

    /// What is to be said about the drain's going on.
    pub(crate) fn impatience(&self, id: &MachineId) -> Option<&str> {
        self.impatient.get(id).map(String::as_str)
    }

    /// From where a unit without a place was taken, and why.
    pub(crate) fn origin(&self, unit: &UnitName) -> Option<&Origin> {
        self.origins.get(unit)
    }

    /// The units that drains wait for and, with `moves`, those of lost machines that are on their way.
    pub(crate) fn waited_for(&self, moves: bool) -> impl Iterator<Item = &UnitName> {
        let drained = self.drains.values().flat_map(|step| &step.units);
        drained.chain(self.moves.keys().filter(move |_| moves))
    }

    /// When patience with the next of them ends.
    pub(crate) fn deadline(&self, moves: bool) -> Option<Millis> {
        let drained = self.drains.values().map(|step| step.since.plus(PATIENCE));
        drained.chain(self.moves.values().filter(|_| moves).map(|since| since.plus(PATIENCE))).min()
    }
}

/// Whether the unit is where it was placed, as its machine says.
fn is_settled(snapshot: &ClusterSnapshot, unit: &UnitName) -> bool {
    let mut holders = snapshot.schedules().iter();
    holders.any(|(id, schedule)| {
        let Some(ordered) = schedule.value.units.get(unit) else { return false };
        let report = snapshot.reports().get(id).and_then(|report| report.value.units.get(unit));
        report.is_some_and(|seen| is_as_ordered(ordered, seen))
    })
}

/// A unit that was started and has ended well, such as a one-shot, is as ordered; one that failed is not.
fn is_as_ordered(ordered: &ScheduledUnit, seen: &ObservedUnit) -> bool {
    let up = matches!(seen.states.active.as_str(), "active" | "reloading" | "refreshing" | "inactive");
    seen.hash == Some(ordered.hash) && (ordered.target == TargetState::Loaded || (seen.started && up))
}
