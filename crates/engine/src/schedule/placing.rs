//! Finding a machine for each unit that needs one.

use std::collections::BTreeMap;

use flota_registry::MachineId;
use flota_unit::{Requirements, UnitName};

use super::group::Group;
use super::plan::{Occasion, Origin};
use super::planner::{Planner, ordered};
use super::{Ignoring, first_reason};
use crate::demand::Demand;
use crate::liveness::{Loss, Standing, is_removed};
use crate::memory::Doubt;

/// Most rounds of placement in one pass; the next pass goes on from there. A chain of `MachineOf=` takes a round per
/// link, at most.
const MAX_ROUNDS: usize = 32;

/// What is to be done with a unit that needs a machine.
enum Choice {
    /// It goes there, for this reason.
    Take(MachineId, String),
    /// It must wait.
    Wait,
    /// No machine can take it.
    Nowhere,
}

impl Planner<'_> {
    pub(super) fn place_globals(&mut self) {
        let demands = self.demands;
        for (name, demand, needs) in demands.readable().filter(|(_, _, needs)| needs.global) {
            let alive = self.board.seats().filter(|(_, seat)| seat.standing == Standing::Alive);
            let missing: Vec<MachineId> =
                alive.filter(|(_, seat)| !seat.units().contains_key(name)).map(|(id, _)| id.clone()).collect();
            for id in missing {
                if first_reason(&self.board, demands, name, needs, &id, Ignoring::Nothing).is_none() {
                    let cause = "global unit: every machine that matches runs it".to_owned();
                    self.board.add(&id, name.clone(), ordered(demand, cause.clone()), demands);
                    self.decide(name, None, Some(&id), cause, Occasion::Change);
                }
            }
        }
    }

    /// Places what is nowhere, or only on lost machines. Several rounds: a unit may wait for its MachineOf peer,
    /// and one that replaces another sends it on its way.
    pub(super) fn place_pending(&mut self) {
        let demands = self.demands;
        for _ in 0..MAX_ROUNDS {
            let mut progress = false;
            self.plan.unplaced.clear();
            self.held_up.clear();
            for (name, demand, needs) in demands.readable().filter(|(_, _, needs)| !needs.global) {
                let holder = self.board.holder(name).map(|(id, standing)| (id.clone(), standing));
                if holder.as_ref().is_some_and(|(_, standing)| *standing != Standing::Lost) {
                    continue;
                }
                let lost = holder.map(|(id, _)| id);
                if lost.is_some() && self.moves_left == 0 {
                    self.held_up.insert(name.clone());
                    continue;
                }
                match self.choose(name, needs) {
                    Choice::Take(id, chosen) => {
                        progress = true;
                        self.moves_left -= usize::from(lost.is_some());
                        self.place(name, demand, needs, &id, lost, chosen);
                    }
                    Choice::Wait => drop(self.held_up.insert(name.clone())),
                    // What no other machine can take stays in the lost one's schedule: should that come back,
                    // it runs on.
                    Choice::Nowhere => drop(self.plan.unplaced.insert(name.clone())),
                }
            }
            if !progress {
                return;
            }
        }
    }

    fn choose(&mut self, name: &UnitName, needs: &Requirements) -> Choice {
        if needs.exclusive && !self.doubts_of(name).is_empty() {
            return self.choose_in_doubt(name, needs);
        }
        self.pick(name, needs).map_or(Choice::Nowhere, |(id, chosen)| Choice::Take(id, chosen))
    }

    /// The machines that may run the exclusive unit.
    fn doubts_of(&mut self, name: &UnitName) -> &BTreeMap<MachineId, Doubt> {
        let (view, doubts) = (self.view, &mut self.doubts);
        doubts.entry(name.clone()).or_insert_with(|| {
            view.whereabouts.doubts(name, view.snapshot, view.liveness, view.now, view.settings.lease)
        })
    }

    /// A unit that has become exclusive goes on as it was where it is, until it runs nowhere else.
    pub(super) fn await_exclusivity(&mut self) {
        let demands = self.demands;
        for (name, ..) in demands.readable().filter(|(_, _, needs)| needs.exclusive && !needs.global) {
            let Some((id, _)) = self.board.holder(name).map(|(id, standing)| (id.clone(), standing)) else { continue };
            let before = self.view.snapshot.schedules().get(&id).and_then(|entry| entry.value.units.get(name));
            let Some(before) = before.filter(|unit| !unit.exclusive) else { continue };
            let mut doubts = self.doubts_of(name).clone();
            doubts.remove(&id);
            if !doubts.is_empty() {
                self.board.remove(&id, name);
                self.board.add(&id, name.clone(), before.clone(), demands);
                self.note_doubts(name, doubts);
            }
        }
    }

    /// An exclusive unit goes nowhere while a machine may run it, unless to that very machine.
    fn choose_in_doubt(&mut self, name: &UnitName, needs: &Requirements) -> Choice {
        let doubts = self.doubts.get(name).cloned().unwrap_or_default();
        if let Some((id, _)) = doubts.first_key_value().filter(|_| doubts.len() == 1)
            && first_reason(&self.board, self.demands, name, needs, id, Ignoring::Nothing).is_none()
        {
            return Choice::Take(id.clone(), "where it may still run".to_owned());
        }
        self.note_doubts(name, doubts);
        Choice::Wait
    }

    /// Says what the unit waits for, and waits for it.
    fn note_doubts(&mut self, name: &UnitName, doubts: BTreeMap<MachineId, Doubt>) {
        for (id, doubt) in doubts {
            let id_short = id.short();
            match doubt {
                Doubt::Unsaid => {
                    let note =
                        format!("{name} is exclusive and waits until machine {id_short} says that it is stopped there");
                    self.plan.waits.insert(name.clone(), note.clone());
                    self.plan.notes.insert(note);
                    self.plan.watching.insert(id);
                }
                Doubt::Unfenced(at) => {
                    let note =
                        format!("{name} is exclusive and waits until lost machine {id_short} must have stopped it");
                    self.plan.waits.insert(name.clone(), note.clone());
                    self.plan.notes.insert(note);
                    self.plan.wake_at(Some(at));
                }
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

    pub(super) fn place(
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
        let left = self.homeless.remove(name);
        let origin = match lost {
            Some(from) => {
                self.board.remove(&from, name);
                let why = self.loss_of(&from);
                Some(Origin { from, occasion: Occasion::Loss, why })
            }
            None => left.or_else(|| self.view.progress.origin(name).cloned()),
        };
        let cause = match &origin {
            Some(origin) => format!("{}; {chosen}", origin.cause()),
            None => chosen,
        };
        let occasion = origin.as_ref().map_or(Occasion::Change, |origin| origin.occasion);
        let from = origin.map(|origin| origin.from);
        self.send_replaced_away(name, needs, id);
        self.board.add(id, name.clone(), ordered(demand, cause.clone()), self.demands);
        self.decide(name, from.as_ref(), Some(id), cause, occasion);
    }

    fn loss_of(&self, id: &MachineId) -> String {
        let how = match self.view.liveness.loss(id) {
            _ if is_removed(self.view.snapshot, id) => "is removed",
            Some(Loss::Goodbye) => "went down",
            Some(Loss::Removed) => "is removed",
            Some(Loss::Silence) | None => "was lost",
        };
        format!("machine {} {how}", id.short())
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
                self.decide(&other, Some(id), None, format!("replaced by {name}"), Occasion::Change);
            } else {
                let why = format!("replaced by {name}");
                self.homeless.insert(other, Origin { from: id.clone(), occasion: Occasion::Change, why });
            }
        }
        self.settle(id);
    }
}
