//! One pass: from the snapshot to the schedules that must change, each change with its cause.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{
    ClusterId, ClusterSnapshot, Generation, Key, MAX_OPS_PER_TXN, MAX_TXN_BYTES, MachineId, Schedule, ScheduleWrite,
    ScheduledUnit,
};
use flota_unit::{Requirements, UnitName};

use super::{Board, Ignoring, reasons};
use crate::demand::{Demand, Demands};
use crate::liveness::Standing;

/// Most schedules written in one pass; the next pass goes on from there. One compare is the leader's.
const MAX_WRITES_PER_PASS: usize = MAX_OPS_PER_TXN - 1;

/// What a schedule's entry takes besides its name and cause: the hash, the target, and JSON around them.
const ENTRY_BYTES: usize = 100;

/// A change of one unit's place, for the log and for `why`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which unit.
    pub unit: UnitName,
    /// Where it was scheduled.
    pub from: Option<MachineId>,
    /// Where it is scheduled now.
    pub to: Option<MachineId>,
    /// Why.
    pub cause: String,
}

/// The result of a pass.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) writes: Vec<ScheduleWrite>,
    pub(crate) decisions: Vec<Decision>,
    /// Wanted units that no machine can take now.
    pub(crate) unplaced: BTreeSet<UnitName>,
}

/// Works out which schedules must change. Machines are tried by fewest units, then lowest id.
pub(crate) fn plan(
    snapshot: &ClusterSnapshot,
    cluster: &ClusterId,
    demands: &Demands,
    standing: impl Fn(&MachineId) -> Standing,
) -> Plan {
    let mut planner = Planner {
        snapshot,
        demands,
        board: Board::new(snapshot, standing),
        plan: Plan::default(),
        homeless: BTreeMap::new(),
    };
    planner.carry_over();
    planner.evict_unfit();
    planner.place_globals();
    planner.place_pending();
    planner.finish(cluster)
}

struct Planner<'a> {
    snapshot: &'a ClusterSnapshot,
    demands: &'a Demands,
    board: Board<'a>,
    plan: Plan,
    /// Units taken off a machine in this pass: from where, and why.
    homeless: BTreeMap<UnitName, (MachineId, String)>,
}

impl Planner<'_> {
    /// Starts from the committed schedules, with what users changed since. Placement is sticky.
    fn carry_over(&mut self) {
        for (id, schedule) in self.snapshot.schedules() {
            for (name, unit) in &schedule.value.units {
                if self.snapshot.is_unreadable(&Key::Unit(name.clone())) {
                    self.board.add(id, name.clone(), unit.clone(), self.demands);
                    continue; // Unknown is not unwanted.
                }
                let Some(demand) = self.demands.get(name) else {
                    self.decide(name, Some(id), None, "no longer wanted".to_owned());
                    continue;
                };
                let kept = match demand.requirements {
                    // Without its text there is nothing to judge or renew it by: it stays as it is.
                    None => unit.clone(),
                    Some(_) => ScheduledUnit { hash: demand.hash, target: demand.target, cause: unit.cause.clone() },
                };
                self.board.add(id, name.clone(), kept, self.demands);
            }
        }
    }

    /// Takes off living machines what must not be there any more, one unit at a time: each eviction may make
    /// another one needless. Of two that exclude each other the later name goes.
    fn evict_unfit(&mut self) {
        while let Some((id, name, cause)) = self.first_unfit() {
            self.board.remove(&id, &name);
            self.homeless.insert(name, (id, cause));
        }
    }

    fn first_unfit(&self) -> Option<(MachineId, UnitName, String)> {
        for (id, seat) in self.board.seats().filter(|(_, seat)| seat.standing == Standing::Alive) {
            for name in seat.units().keys().rev() {
                let Some(needs) = self.demands.requirements(name) else { continue };
                if let Some(reason) = reasons(&self.board, self.demands, name, needs, id, Ignoring::Fullness).first() {
                    return Some((id.clone(), name.clone(), reason.to_string()));
                }
                let better = |(holder, standing): (&MachineId, Standing)| holder != id && standing == Standing::Alive;
                if !needs.global && self.board.holder(name).is_some_and(better) {
                    return Some((id.clone(), name.clone(), "scheduled on another machine too".to_owned()));
                }
            }
        }
        None
    }

    fn place_globals(&mut self) {
        let demands = self.demands;
        for (name, demand, needs) in demands.readable().filter(|(_, _, needs)| needs.global) {
            let alive = self.board.seats().filter(|(_, seat)| seat.standing == Standing::Alive);
            let missing: Vec<MachineId> =
                alive.filter(|(_, seat)| !seat.units().contains_key(name)).map(|(id, _)| id.clone()).collect();
            for id in missing {
                if reasons(&self.board, demands, name, needs, &id, Ignoring::Nothing).is_empty() {
                    self.put(&id, name, demand, "global unit: every machine that matches runs it".to_owned());
                }
            }
        }
    }

    /// Places what is nowhere, or only on lost machines. Several rounds: a unit may wait for its MachineOf peer,
    /// and one that replaces another sends it on its way.
    fn place_pending(&mut self) {
        let demands = self.demands;
        loop {
            let mut progress = false;
            self.plan.unplaced.clear();
            for (name, demand, needs) in demands.readable().filter(|(_, _, needs)| !needs.global) {
                let holder = self.board.holder(name).map(|(id, standing)| (id.clone(), standing));
                if holder.as_ref().is_some_and(|(_, standing)| *standing != Standing::Lost) {
                    continue;
                }
                let lost = holder.map(|(id, _)| id);
                match self.pick(name, needs) {
                    Some((id, eligible)) => {
                        progress = true;
                        self.place(name, demand, needs, &id, lost, eligible);
                    }
                    // What no other machine can take stays in the lost one's schedule: should that come back,
                    // it runs on.
                    None => drop(self.plan.unplaced.insert(name.clone())),
                }
            }
            if !progress {
                return;
            }
        }
    }

    /// The eligible machine with the fewest units (then the lowest id), and how many were eligible.
    fn pick(&self, name: &UnitName, needs: &Requirements) -> Option<(MachineId, usize)> {
        let alive = self.board.seats().filter(|(_, seat)| seat.standing == Standing::Alive);
        let eligible =
            alive.filter(|(id, _)| reasons(&self.board, self.demands, name, needs, id, Ignoring::Nothing).is_empty());
        let (mut best, mut count) = (None, 0);
        for (id, seat) in eligible {
            count += 1;
            let candidate = (seat.units().len(), id);
            if best.is_none_or(|best| candidate < best) {
                best = Some(candidate);
            }
        }
        best.map(|(_, id)| (id.clone(), count))
    }

    fn place(
        &mut self,
        name: &UnitName,
        demand: &Demand,
        needs: &Requirements,
        id: &MachineId,
        lost: Option<MachineId>,
        eligible: usize,
    ) {
        let chosen = match eligible {
            1 => "the only eligible machine".to_owned(),
            count => format!("fewest units of {count} eligible machines"),
        };
        let origin = match (lost, self.homeless.remove(name)) {
            (Some(from), _) => {
                self.board.remove(&from, name);
                Some((from.clone(), format!("machine {} was lost", from.short())))
            }
            (None, left) => left.map(|(from, why)| {
                let cause = format!("left machine {}: {why}", from.short());
                (from, cause)
            }),
        };
        let cause = match &origin {
            Some((_, why)) => format!("{why}; {chosen}"),
            None => chosen,
        };
        let from = origin.map(|(from, _)| from);
        self.send_replaced_away(name, needs, id);
        let unit = ScheduledUnit { hash: demand.hash, target: demand.target, cause: cause.clone() };
        self.board.add(id, name.clone(), unit, self.demands);
        self.decide(name, from.as_ref(), Some(id), cause);
    }

    fn put(&mut self, id: &MachineId, name: &UnitName, demand: &Demand, cause: String) {
        let unit = ScheduledUnit { hash: demand.hash, target: demand.target, cause: cause.clone() };
        self.board.add(id, name.clone(), unit, self.demands);
        self.decide(name, None, Some(id), cause);
    }

    /// `Replaces=`: the units that `name` replaces leave the machine it comes to, and look for another one.
    fn send_replaced_away(&mut self, name: &UnitName, needs: &Requirements, id: &MachineId) {
        if needs.replaces.is_empty() {
            return;
        }
        let Some(seat) = self.board.seat(id) else { return };
        let mutual =
            |other: &UnitName| self.demands.requirements(other).is_some_and(|theirs| theirs.replaces_unit(name));
        let replaced =
            seat.units().keys().filter(|other| *other != name && needs.replaces_unit(other) && !mutual(other));
        for other in replaced.cloned().collect::<Vec<_>>() {
            self.board.remove(id, &other);
            self.homeless.insert(other, (id.clone(), format!("replaced by {name}")));
        }
    }

    fn decide(&mut self, unit: &UnitName, from: Option<&MachineId>, to: Option<&MachineId>, cause: String) {
        self.plan.decisions.push(Decision { unit: unit.clone(), from: from.cloned(), to: to.cloned(), cause });
    }

    fn finish(mut self, cluster: &ClusterId) -> Plan {
        for (name, (from, cause)) in std::mem::take(&mut self.homeless) {
            self.decide(&name, Some(&from), None, cause);
        }
        let mut bytes = 0;
        for (machine, seat) in self.board.seats() {
            let committed = self.snapshot.schedules().get(machine);
            let unchanged = match committed {
                Some(entry) => entry.value.units == *seat.units(),
                None => seat.units().is_empty(),
            };
            if unchanged {
                continue;
            }
            bytes += seat
                .units()
                .iter()
                .map(|(name, unit)| name.as_str().len() + unit.cause.len() + ENTRY_BYTES)
                .sum::<usize>();
            if self.plan.writes.len() == MAX_WRITES_PER_PASS || (bytes > MAX_TXN_BYTES && !self.plan.writes.is_empty())
            {
                break;
            }
            let generation = committed.map_or(Generation::default(), |entry| entry.value.generation).next();
            self.plan.writes.push(ScheduleWrite {
                machine: machine.clone(),
                schedule: Schedule { cluster: cluster.clone(), generation, units: seat.units().clone() },
                seen: committed.map(|entry| entry.mod_revision),
            });
        }
        self.plan
    }
}
