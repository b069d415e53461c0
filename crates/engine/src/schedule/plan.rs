//! One pass: from the snapshot to the schedules that must change, each change with its cause.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{
    ClusterId, ClusterSnapshot, Generation, Key, MAX_OPS_PER_TXN, MAX_TXN_BYTES, MachineId, Schedule, ScheduleWrite,
    ScheduledUnit,
};
use flota_unit::{Requirements, UnitName};

use super::group::Group;
use super::{Board, Ignoring, first_reason};
use crate::demand::{Demand, Demands};
use crate::liveness::Standing;

/// Most schedules written in one pass; the next pass goes on from there. One compare is the leader's.
const MAX_WRITES_PER_PASS: usize = MAX_OPS_PER_TXN - 1;

/// Most rounds of placement in one pass; the next pass goes on from there. A chain of `MachineOf=` takes a round per
/// link, at most.
const MAX_ROUNDS: usize = 32;

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
pub(crate) fn plan<'a>(
    snapshot: &'a ClusterSnapshot,
    cluster: &ClusterId,
    demands: &'a Demands,
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
    planner.drop_duplicates();
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
                    Some(_) => ScheduledUnit {
                        hash: demand.hash,
                        target: demand.target,
                        cause: unit.cause.clone(),
                        exclusive: false,
                    },
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
    fn settle(&mut self, id: &MachineId) {
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
                    self.decide(&name, Some(id), None, reason.to_string());
                } else {
                    self.homeless.insert(name, (id.clone(), reason.to_string()));
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
                self.decide(&name, Some(id), Some(&keeper), "scheduled on another machine too".to_owned());
            }
            // Whoever needed it as a peer on the other machines.
            for id in holders.iter().filter(|id| **id != keeper && self.is_alive(id)).cloned().collect::<Vec<_>>() {
                self.settle(&id);
            }
        }
    }

    fn is_alive(&self, id: &MachineId) -> bool {
        self.board.seat(id).is_some_and(|seat| seat.standing == Standing::Alive)
    }

    fn place_globals(&mut self) {
        let demands = self.demands;
        for (name, demand, needs) in demands.readable().filter(|(_, _, needs)| needs.global) {
            let alive = self.board.seats().filter(|(_, seat)| seat.standing == Standing::Alive);
            let missing: Vec<MachineId> =
                alive.filter(|(_, seat)| !seat.units().contains_key(name)).map(|(id, _)| id.clone()).collect();
            for id in missing {
                if first_reason(&self.board, demands, name, needs, &id, Ignoring::Nothing).is_none() {
                    self.put(&id, name, demand, "global unit: every machine that matches runs it".to_owned());
                }
            }
        }
    }

    /// Places what is nowhere, or only on lost machines. Several rounds: a unit may wait for its MachineOf peer,
    /// and one that replaces another sends it on its way.
    fn place_pending(&mut self) {
        let demands = self.demands;
        for _ in 0..MAX_ROUNDS {
            let mut progress = false;
            self.plan.unplaced.clear();
            for (name, demand, needs) in demands.readable().filter(|(_, _, needs)| !needs.global) {
                let holder = self.board.holder(name).map(|(id, standing)| (id.clone(), standing));
                if holder.as_ref().is_some_and(|(_, standing)| *standing != Standing::Lost) {
                    continue;
                }
                let lost = holder.map(|(id, _)| id);
                match self.pick(name, needs) {
                    Some((id, chosen)) => {
                        progress = true;
                        self.place(name, demand, needs, &id, lost, chosen);
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

    /// The eligible machine with the fewest units (then the lowest id), and why it was chosen. Where `MachineOf=`
    /// ties other units that wait for a place to this one, a machine that most of them can be on goes first: they
    /// come as a group.
    fn pick(&self, name: &UnitName, needs: &Requirements) -> Option<(MachineId, String)> {
        let eligible =
            |id: &&MachineId| first_reason(&self.board, self.demands, name, needs, id, Ignoring::Nothing).is_none();
        let mut eligible = self.board.by_load().filter(eligible);
        let group = Group::of(name, self.demands, &self.board);
        if group.is_empty() {
            return eligible.next().map(|id| (id.clone(), "fewest units".to_owned()));
        }
        let (mut best, mut most) = (None, 0);
        for id in eligible {
            let fitting = group.fitting(id, self.demands, &self.board);
            if best.is_none() || fitting > most {
                (best, most) = (Some(id), fitting);
            }
            if fitting == group.len() {
                break;
            }
        }
        best.map(|id| (id.clone(), group.cause(most)))
    }

    fn place(
        &mut self,
        name: &UnitName,
        demand: &Demand,
        needs: &Requirements,
        id: &MachineId,
        lost: Option<MachineId>,
        mut chosen: String,
    ) {
        if !needs.replaces.is_empty()
            && let Some(circle) = self.demands.replaces_circle(name)
        {
            let names = circle.iter().map(UnitName::as_str).collect::<Vec<_>>().join(" -> ");
            chosen = format!("{chosen}; its Replaces goes in a circle and means nothing: {names}");
        }
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
        let unit = ScheduledUnit { hash: demand.hash, target: demand.target, cause: cause.clone(), exclusive: false };
        self.board.add(id, name.clone(), unit, self.demands);
        self.decide(name, from.as_ref(), Some(id), cause);
    }

    fn put(&mut self, id: &MachineId, name: &UnitName, demand: &Demand, cause: String) {
        let unit = ScheduledUnit { hash: demand.hash, target: demand.target, cause: cause.clone(), exclusive: false };
        self.board.add(id, name.clone(), unit, self.demands);
        self.decide(name, None, Some(id), cause);
    }

    /// `Replaces=`: the units that `name` replaces leave the machine it comes to, and look for another one. So do
    /// those that needed one of them as a peer.
    fn send_replaced_away(&mut self, name: &UnitName, needs: &Requirements, id: &MachineId) {
        if needs.replaces.is_empty() {
            return;
        }
        let demands = self.demands;
        let Some(seat) = self.board.seat(id) else { return };
        let replaced = seat
            .units()
            .keys()
            .filter(|other| *other != name && demands.judged(other).is_some() && demands.replaces(name, needs, other));
        for other in replaced.cloned().collect::<Vec<_>>() {
            self.board.remove(id, &other);
            if demands.judged(&other).is_some_and(|theirs| theirs.global) {
                self.decide(&other, Some(id), None, format!("replaced by {name}"));
            } else {
                self.homeless.insert(other, (id.clone(), format!("replaced by {name}")));
            }
        }
        self.settle(id);
    }

    fn decide(&mut self, unit: &UnitName, from: Option<&MachineId>, to: Option<&MachineId>, cause: String) {
        self.plan.decisions.push(Decision { unit: unit.clone(), from: from.cloned(), to: to.cloned(), cause });
    }

    fn finish(mut self, cluster: &ClusterId) -> Plan {
        for (name, (from, cause)) in std::mem::take(&mut self.homeless) {
            self.decide(&name, Some(&from), None, cause);
        }
        let (mut bytes, mut held_back) = (0, false);
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
                held_back = true;
                break;
            }
            let generation = committed.map_or(Generation::default(), |entry| entry.value.generation).next();
            self.plan.writes.push(ScheduleWrite {
                machine: machine.clone(),
                schedule: Schedule { cluster: cluster.clone(), generation, units: seat.units().clone() },
                seen: committed.map(|entry| entry.mod_revision),
            });
        }
        if held_back {
            // What is not written yet is decided, and told, by the next pass.
            let written: BTreeSet<&MachineId> = self.plan.writes.iter().map(|write| &write.machine).collect();
            let told = |id: &Option<MachineId>| id.as_ref().is_some_and(|id| written.contains(id));
            self.plan.decisions.retain(|decision| told(&decision.to) || told(&decision.from));
        }
        self.plan
    }
}
