//! One pass: from the snapshot to the schedules that must change, each change with its cause.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{Key, MachineId, ScheduledUnit};
use flota_unit::UnitName;

use super::plan::{Decision, Occasion, Origin, Plan, View};
use super::{Board, Ignoring, first_reason};
use crate::demand::{Demand, Demands};
use crate::liveness::Standing;
use crate::memory::Doubt;

/// Works out which schedules must change. Machines are tried by fewest units, then lowest id.
pub(crate) fn plan(view: View<'_>) -> Plan {
    let mut planner = Planner {
        view,
        demands: view.demands,
        board: Board::new(view.snapshot, |id| view.seating(id)),
        plan: Plan::default(),
        homeless: BTreeMap::new(),
        doubts: BTreeMap::new(),
        moves_left: view.settings.max_moves.saturating_sub(view.progress.moving()),
        held_up: BTreeSet::new(),
    };
    planner.carry_over();
    planner.evict_unfit();
    planner.drop_duplicates();
    planner.await_exclusivity();
    planner.drain();
    planner.place_globals();
    planner.place_pending();
    planner.evacuate();
    planner.wait_for_reports();
    planner.finish()
}

pub(super) struct Planner<'a> {
    pub(super) view: View<'a>,
    pub(super) demands: &'a Demands,
    pub(super) board: Board<'a>,
    pub(super) plan: Plan,
    /// Units taken off a machine in this pass.
    pub(super) homeless: BTreeMap<UnitName, Origin>,
    /// The machines that may run an exclusive unit which looks for a place.
    pub(super) doubts: BTreeMap<UnitName, BTreeMap<MachineId, Doubt>>,
    /// How many more units of lost machines may be placed elsewhere in this pass.
    pub(super) moves_left: usize,
    /// Units that could be placed and must wait.
    pub(super) held_up: BTreeSet<UnitName>,
}

impl Planner<'_> {
    /// Starts from the committed schedules, with what users changed since. Placement is sticky.
    fn carry_over(&mut self) {
        for (id, schedule) in self.view.snapshot.schedules() {
            for (name, unit) in &schedule.value.units {
                if self.view.snapshot.is_unreadable(&Key::Unit(name.clone())) {
                    self.board.add(id, name.clone(), unit.clone(), self.demands);
                    continue; // Unknown is not unwanted.
                }
                let Some(demand) = self.demands.get(name) else {
                    self.decide(name, Some(id), None, "no longer wanted".to_owned(), Occasion::Change);
                    continue;
                };
                let kept = match &demand.requirements {
                    // Without its text there is nothing to judge or renew it by: it stays as it is.
                    None => unit.clone(),
                    Some(_) => ordered(demand, unit.cause.clone()),
                };
                self.board.add(id, name.clone(), kept, self.demands);
            }
        }
    }

    /// Takes off living machines what must not be there any more.
    fn evict_unfit(&mut self) {
        let alive = self.board.seats().filter(|(_, seat)| seat.standing == Standing::Alive);
        for id in alive.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.settle(&id);
        }
    }

    /// Takes off one machine what must not be there, one unit at a time: each eviction may make another one
    /// needless. Of two that exclude each other the later name goes. Goes on until all that is left may stay: who
    /// leaves may have been another's `MachineOf=` peer.
    pub(super) fn settle(&mut self, id: &MachineId) {
        let demands = self.demands;
        loop {
            let Some(seat) = self.board.seat(id) else { return };
            let names: Vec<UnitName> = seat.units().keys().rev().cloned().collect();
            let mut settled = true;
            for name in names {
                let Some(needs) = demands.judged(&name) else { continue };
                let unfit = first_reason(&self.board, demands, &name, needs, id, Ignoring::Fullness);
                let Some(reason) = unfit else { continue };
                settled = false;
                self.board.remove(id, &name);
                if needs.global {
                    self.decide(&name, Some(id), None, reason.to_string(), Occasion::Change);
                } else {
                    let origin = Origin { from: id.clone(), occasion: Occasion::Change, why: reason.to_string() };
                    self.homeless.insert(name, origin);
                }
            }
            if settled {
                return;
            }
        }
    }

    /// Leaves each unit that is not global on one machine, the one in the best standing. Two hold it only after a
    /// change of `Global=`, or after a pass that was too large for one transaction.
    fn drop_duplicates(&mut self) {
        let demands = self.demands;
        let single = |name: &UnitName| demands.judged(name).is_some_and(|needs| !needs.global);
        let shared: Vec<(UnitName, BTreeSet<MachineId>)> = self
            .board
            .shared()
            .filter(|(name, _)| single(name))
            .map(|(name, holders)| (name.clone(), holders.clone()))
            .collect();
        for (name, holders) in shared {
            let Some(keeper) = self.board.holder(&name).map(|(id, _)| id.clone()) else { continue };
            for id in holders.iter().filter(|id| **id != keeper) {
                self.board.remove(id, &name);
                let cause = "scheduled on another machine too".to_owned();
                self.decide(&name, Some(id), Some(&keeper), cause, Occasion::Change);
            }
            // Whoever needed it as a peer on the other machines.
            for id in holders.iter().filter(|id| **id != keeper && self.is_alive(id)).cloned().collect::<Vec<_>>() {
                self.settle(&id);
            }
        }
    }

    pub(super) fn is_alive(&self, id: &MachineId) -> bool {
        self.board.seat(id).is_some_and(|seat| seat.standing == Standing::Alive)
    }

    pub(super) fn decide(
        &mut self,
        unit: &UnitName,
        from: Option<&MachineId>,
        to: Option<&MachineId>,
        cause: String,
        occasion: Occasion,
    ) {
        let (from, to) = (from.cloned(), to.cloned());
        self.plan.decisions.push(Decision { unit: unit.clone(), from, to, cause, occasion });
    }
}

/// The entry of a schedule for a unit that can be read.
pub(super) fn ordered(demand: &Demand, cause: String) -> ScheduledUnit {
    let exclusive = demand.requirements.as_ref().is_some_and(|needs| needs.exclusive);
    ScheduledUnit { hash: demand.hash, target: demand.target, cause, exclusive }
}
