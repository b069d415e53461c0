//! Machines that are to end empty: drained ones step by step, removed ones at once.

use std::collections::BTreeSet;

use flota_registry::{CordonMode, Key, MachineId, ScheduledUnit};
use flota_unit::UnitName;

use super::group::Group;
use super::plan::{Occasion, Origin};
use super::planner::Planner;
use crate::liveness::Standing;

/// How many of the units that hold up a drain are named.
const MAX_NAMED: usize = 3;

impl Planner<'_> {
    /// Takes the next unit off each machine that is drained, with those that `MachineOf=` ties to it; and off removed
    /// ones that live what may not run twice.
    pub(super) fn drain(&mut self) {
        for (id, mode) in self.taken_out_of_service() {
            match mode {
                CordonMode::Draining if self.is_alive(&id) && !self.view.progress.is_in_step(&id) => {
                    self.drain_step(&id);
                }
                CordonMode::Removed if self.view.snapshot.machines().contains_key(&id) => self.give_up_exclusive(&id),
                _ => {}
            }
        }
    }

    fn taken_out_of_service(&self) -> Vec<(MachineId, CordonMode)> {
        self.view.snapshot.cordons().iter().map(|(id, entry)| (id.clone(), entry.value.mode)).collect()
    }

    fn drain_step(&mut self, id: &MachineId) {
        let demands = self.demands;
        let Some(seat) = self.board.seat(id) else { return };
        let is_global = |name: &UnitName| demands.judged(name).map(|needs| needs.global);
        let (globals, others): (Vec<UnitName>, Vec<UnitName>) =
            seat.units().keys().cloned().partition(|name| is_global(name) == Some(true));
        let mut tried: BTreeSet<UnitName> = BTreeSet::new();
        for name in &others {
            if is_global(name).is_some() && !tried.contains(name) {
                let group = self.tied_on(id, name);
                if self.move_group(id, name, &group) {
                    return;
                }
                tried.extend(group);
            }
        }
        if others.is_empty() {
            let why = format!("machine {} is drained", id.short());
            for name in globals {
                self.board.remove(id, &name);
                self.decide(&name, Some(id), None, why.clone(), Occasion::Change);
            }
            return;
        }
        let mut names = others.iter().take(MAX_NAMED).map(UnitName::as_str).collect::<Vec<_>>().join(", ");
        if others.len() > MAX_NAMED {
            names = format!("{names} and {} more", others.len() - MAX_NAMED);
        }
        self.plan.notes.insert(format!("machine {} is not drained yet: no other machine can take {names}", id.short()));
    }

    /// The units on the machine that `MachineOf=` ties to `first`, directly or through others, and `first`.
    fn tied_on(&self, id: &MachineId, first: &UnitName) -> BTreeSet<UnitName> {
        let mut group = BTreeSet::from([first.clone()]);
        let Some(seat) = self.board.seat(id) else { return group };
        let mut open = vec![first.clone()];
        while let Some(at) = open.pop() {
            let moves = |unit: &&UnitName| self.demands.judged(unit).is_some_and(|needs| !needs.global);
            for unit in self.demands.tied(&at).filter(|unit| seat.units().contains_key(*unit)).filter(moves) {
                if group.insert(unit.clone()) {
                    open.push(unit.clone());
                }
            }
        }
        group
    }

    /// Moves the group to a machine that all of it can be on; false if there is none.
    fn move_group(&mut self, id: &MachineId, first: &UnitName, units: &BTreeSet<UnitName>) -> bool {
        let demands = self.demands;
        let taken: Vec<(UnitName, Option<ScheduledUnit>)> =
            units.iter().map(|unit| (unit.clone(), self.board.remove(id, unit))).collect();
        let group = Group::together(first, units.iter().filter(|unit| *unit != first).collect());
        let target =
            self.board.by_load().find(|other| *other != id && group.fits(other, demands, &self.board)).cloned();
        let Some(target) = target else {
            for (unit, entry) in taken {
                if let Some(entry) = entry {
                    self.board.add(id, unit, entry, demands);
                }
            }
            return false;
        };
        let mut why = format!("machine {} is drained", id.short());
        if let Some(impatience) = self.view.progress.impatience(id) {
            why = format!("{why} ({impatience})");
        }
        for unit in units {
            let origin = Origin { from: id.clone(), occasion: Occasion::Drain, why: why.clone() };
            self.homeless.insert(unit.clone(), origin);
        }
        // What may not run twice must be off first; then the group is placed like any other.
        if units.iter().any(|unit| demands.judged(unit).is_some_and(|needs| needs.exclusive)) {
            return true;
        }
        for unit in units {
            if let (Some(demand), Some(needs)) = (demands.get(unit), demands.judged(unit)) {
                let chosen = if units.len() == 1 { "fewest units" } else { "fewest units, with its MachineOf group" };
                self.place(unit, demand, needs, &target, None, chosen.to_owned());
            }
        }
        true
    }

    /// A removed machine that lives is to stop what may not run twice before another one may have it.
    fn give_up_exclusive(&mut self, id: &MachineId) {
        let demands = self.demands;
        let Some(seat) = self.board.seat(id) else { return };
        let exclusive = |name: &&UnitName| demands.judged(name).is_some_and(|needs| needs.exclusive);
        for name in seat.units().keys().filter(exclusive).cloned().collect::<Vec<_>>() {
            self.board.remove(id, &name);
            let why = format!("machine {} is removed", id.short());
            self.homeless.insert(name, Origin { from: id.clone(), occasion: Occasion::Loss, why });
        }
    }

    /// Takes off removed machines what no other machine can take: nothing is left to them but what must wait.
    pub(super) fn evacuate(&mut self) {
        for (id, _) in self.taken_out_of_service().into_iter().filter(|(_, mode)| *mode == CordonMode::Removed) {
            let Some(seat) = self.board.seat(&id) else { continue };
            let leaves = |name: &&UnitName| {
                !self.held_up.contains(*name) && !self.view.snapshot.is_unreadable(&Key::Unit((*name).clone()))
            };
            for name in seat.units().keys().filter(leaves).cloned().collect::<Vec<_>>() {
                self.board.remove(&id, &name);
                let cause = format!("machine {} is removed", id.short());
                self.decide(&name, Some(&id), None, cause, Occasion::Loss);
            }
        }
    }

    /// Notes whose reports may end a wait, and when it ends by itself.
    pub(super) fn wait_for_reports(&mut self) {
        let (progress, board) = (self.view.progress, &self.board);
        let on_lost = |name: &UnitName| board.holder(name).is_some_and(|(_, standing)| standing == Standing::Lost);
        let backlog = self.moves_left == 0 && self.held_up.iter().any(on_lost);
        if backlog {
            let most = self.view.settings.max_moves;
            self.plan
                .notes
                .insert(format!("units of lost machines wait: {most} others are on their way, the most at once"));
        }
        let holders = progress.waited_for(backlog).filter_map(|unit| Some(board.holder(unit)?.0.clone()));
        self.plan.watching.extend(holders);
        self.plan.wake_at(progress.deadline(backlog));
    }
}
