//! One pass of the leader: from what it sees to one transaction.

use std::collections::BTreeSet;

use flota_registry::{
    ClusterSnapshot, CordonMode, Fence, Key, LeaderNotes, Leftovers, MAX_NOTES, Millis, Txn, collect_files,
    commit_schedules, forget_machine, put_leader_notes,
};
use flota_unit::UnitName;

use super::state::{Engine, Role};
use crate::event::{Effect, Ticket};
use crate::memory::Whereabouts;
use crate::schedule::{Decision, Plan, View, plan};
use crate::standstill::standstill;

/// Of a machine that the second opinion saved.
const REACHED: &str = "its lease is gone, but it can be reached: nothing is moved, what it runs runs on";

/// Most unused unit file texts removed at once.
const MAX_FILES_COLLECTED: usize = 50;

impl Engine {
    pub(super) fn may_pass(&self) -> bool {
        let seen = self.snapshot.as_ref().is_some_and(|snapshot| snapshot.revision() >= self.committed);
        seen && self.in_flight.is_none()
    }

    /// Makes a pass when one is due and the outcome of the last one is known and visible.
    pub(super) fn pass(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let Role::Leader { fence, .. } = self.role else { return };
        let due = [self.pass_due, self.wake].into_iter().flatten().any(|at| at <= now);
        if !due || !self.may_pass() {
            return;
        }
        self.pass_due = None;
        self.wake = None;
        let Some(plan) = self.work_out(now, effects) else { return };
        let notes = self.news_for_notes(&plan, now);
        let txn = if !plan.writes.is_empty() {
            // What was worked out is written first; the notes follow with the next pass, which this one brings about.
            Some(commit_schedules(fence, &plan.writes))
        } else if let Some(notes) = notes {
            Some(put_leader_notes(fence, &notes))
        } else {
            self.snapshot.as_ref().and_then(|snapshot| leftover_records(snapshot, &self.whereabouts, fence))
        };
        let decisions = self.take_note(plan, effects);
        if let Some(txn) = txn {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            self.in_flight = Some((ticket, decisions));
            effects.push(Effect::Commit { ticket, txn });
        }
    }

    /// What is to be written; none while nothing can be.
    fn work_out(&mut self, now: Millis, effects: &mut Vec<Effect>) -> Option<Plan> {
        let snapshot = self.snapshot.as_ref()?;
        let cluster = &snapshot.cluster()?.value.id;
        let frozen = standstill(snapshot);
        if let Some(why) = frozen.as_ref().filter(|_| self.frozen != frozen) {
            effects.push(Effect::RecordFrozen(why.clone()));
        }
        self.frozen = frozen;
        if self.frozen.is_some() {
            return None;
        }
        self.demands.refresh(snapshot);
        self.progress.refresh(snapshot, &self.demands, now);
        self.whereabouts.refresh(snapshot, &self.liveness, now, self.settings.lease);
        // Whom people took out of service they bring back, too: then nothing is held against it.
        snapshot.cordons().keys().for_each(|id| self.flapping.forget(id));
        let hold_ends = self.flapping.next_end(now);
        let fenced = self.whereabouts.next_end(&self.liveness, now, self.settings.lease);
        let mut plan = plan(View {
            snapshot,
            cluster,
            demands: &self.demands,
            liveness: &self.liveness,
            flapping: &self.flapping,
            progress: &self.progress,
            whereabouts: &self.whereabouts,
            settings: &self.settings,
            now,
        });
        plan.wake_at(hold_ends);
        plan.wake_at(fenced);
        Some(plan)
    }

    /// The notes for people and for the next leader, if they differ from what is written.
    fn news_for_notes(&self, plan: &Plan, now: Millis) -> Option<LeaderNotes> {
        let snapshot = self.snapshot.as_ref()?;
        if snapshot.is_unreadable(&Key::LeaderNotes) {
            return None; // A later version's leader wrote them, and will again.
        }
        let reached = self.liveness.reached().take(MAX_NOTES);
        let notes = LeaderNotes {
            held_off: self.flapping.notes(now),
            suspects: reached.map(|id| (id.clone(), REACHED.to_owned())).collect(),
            waits: plan.waits.iter().take(MAX_NOTES).map(|(unit, why)| (unit.clone(), why.clone())).collect(),
        };
        (notes != snapshot.notes().cloned().unwrap_or_default()).then_some(notes)
    }

    /// Says what is new in the plan, and waits for what it waits for.
    fn take_note(&mut self, plan: Plan, effects: &mut Vec<Effect>) -> Vec<Decision> {
        let fresh: Vec<UnitName> = plan.unplaced.difference(&self.unplaced).cloned().collect();
        if !fresh.is_empty() {
            effects.push(Effect::RecordUnplaced(fresh));
        }
        effects.extend(plan.notes.difference(&self.notes).cloned().map(Effect::RecordNote));
        self.unplaced = plan.unplaced;
        self.notes = plan.notes;
        self.watching = plan.watching;
        self.wake = plan.wake;
        plan.decisions
    }
}

/// Removes what nobody needs any more: records of a machine that was removed and is gone, else texts.
fn leftover_records(snapshot: &ClusterSnapshot, whereabouts: &Whereabouts, fence: Fence) -> Option<Txn> {
    let left = removed_machine(snapshot, whereabouts).map(|left| forget_machine(fence, &left));
    left.or_else(|| unused_files(snapshot, fence))
}

/// A machine that people removed, that is not there, and of which nothing is left to be moved or to be learned.
fn removed_machine(snapshot: &ClusterSnapshot, whereabouts: &Whereabouts) -> Option<Leftovers> {
    let removed = snapshot.cordons().iter().filter(|(_, entry)| entry.value.mode == CordonMode::Removed);
    let gone = removed.filter(|(id, _)| {
        let there = snapshot.machines().contains_key(*id) || snapshot.is_unreadable(&Key::Machine((*id).clone()));
        let empty = snapshot.schedules().get(*id).is_none_or(|entry| entry.value.units.is_empty());
        let readable = !snapshot.is_unreadable(&Key::Cordon((*id).clone()));
        readable && !there && empty && !whereabouts.mentions(id)
    });
    let left = gone.map(|(id, entry)| Leftovers {
        machine: id.clone(),
        cordon: entry.mod_revision,
        schedule: snapshot.schedules().get(id).map(|entry| entry.mod_revision),
    });
    left.min_by(|one, other| one.machine.cmp(&other.machine))
}

/// Texts that no unit and no schedule refers to. None while a unit cannot be read: it may refer to any.
fn unused_files(snapshot: &ClusterSnapshot, fence: Fence) -> Option<Txn> {
    if snapshot.unreadable().keys().any(|key| matches!(key, Key::Unit(_))) {
        return None;
    }
    let units = snapshot.units().values().map(|entry| entry.value.hash);
    let schedules = snapshot.schedules().values().flat_map(|entry| entry.value.units.values().map(|unit| unit.hash));
    let used: BTreeSet<_> = units.chain(schedules).collect();
    let unused = snapshot.files().iter().filter(|(hash, _)| !used.contains(*hash));
    let unused: Vec<_> = unused.take(MAX_FILES_COLLECTED).map(|(hash, entry)| (*hash, entry.mod_revision)).collect();
    (!unused.is_empty()).then(|| collect_files(fence, &unused))
}
