//! The machine: all groups and all reloads.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Group, Phase};
use super::reloads::ReloadState;
use super::{Effect, Event, GroupId, GroupSpec, Health, Millis, Policy, Rendering};
use crate::resource::Reload;

/// Checks under way at the same time.
const MAX_CHECKS: usize = 8;
/// Reloads under way at the same time.
const MAX_RELOADS: usize = 8;

/// Decides for all groups.
#[derive(Debug)]
pub struct Planner {
    policy: Policy,
    groups: Vec<Group>,
    reloads: BTreeMap<Reload, ReloadState>,
    stopping: bool,
}

impl Planner {
    /// A planner of these groups, in which nothing is to be done before the first event.
    pub fn new(policy: Policy, specs: Vec<GroupSpec>) -> Planner {
        let mut reloads: BTreeMap<Reload, ReloadState> = BTreeMap::new();
        for (reload, min_interval) in specs.iter().flat_map(|spec| &spec.reloads) {
            let state = reloads.entry(reload.clone()).or_default();
            state.min_interval = state.min_interval.max(*min_interval);
        }
        let groups = specs.into_iter().map(Group::new).collect();
        Planner { policy, groups, reloads, stopping: false }
    }

    /// Takes in what happened; says what is to be done.
    #[must_use = "what is not done is lost"]
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Changed(keys) => {
                for group in &mut self.groups {
                    if keys.iter().any(|key| group.reads.affected_by(key)) {
                        group.change(now, &self.policy);
                    }
                }
            }
            Event::Everything => self.groups.iter_mut().for_each(|group| group.change_at_once(now)),
            Event::Rendered(rendered) => self.rendered(now, rendered),
            Event::Checked(id, good) => self.checked(now, id, good, &mut effects),
            Event::Committed(committed) => self.committed(now, &committed, &mut effects),
            Event::Begin(owing) => {
                self.groups.iter_mut().for_each(|group| group.change_at_once(now));
                for id in owing {
                    self.owe(id);
                }
            }
            Event::Reloaded(reload, true) => self.reload_succeeded(now, &reload, &mut effects),
            Event::Reloaded(reload, false) => self.reload_failed(now, &reload, &mut effects),
            // The same reload once more, for the files that are there now.
            Event::RolledBack(reload) => effects.push(Effect::Reload(reload)),
            Event::Tick => {}
            Event::Stop => self.stopping = true,
        }
        self.begin(now, &mut effects);
        effects
    }

    /// When a [`Event::Tick`] is due.
    pub fn wake(&self) -> Option<Millis> {
        if self.stopping {
            return None;
        }
        let groups = self.groups.iter().filter_map(|group| group.due(&self.policy));
        // One that waits for a group begins with that group's next event.
        let reloads =
            self.reloads.iter().filter(|(_, state)| !self.is_held(state)).filter_map(|(_, state)| state.due());
        groups.chain(reloads).min()
    }

    /// Whether nothing is under way, and nothing will be without another event or more time.
    pub fn is_idle(&self) -> bool {
        let works = self.groups.iter().any(Group::is_worked_on) || self.reloads.values().any(|state| state.running);
        !works && (self.stopping || self.wake().is_none())
    }

    /// How a group is.
    pub fn health(&self, id: GroupId) -> Health {
        let group = &self.groups[id.0];
        let waits_for_failed = || group.owes.iter().any(|reload| self.reloads[reload].has_failed());
        if group.has_failed() {
            Health::Failed
        } else if waits_for_failed() {
            Health::ReloadFailed
        } else if group.is_worked_on() || group.is_dirty() || !group.owes.is_empty() {
            Health::Busy
        } else {
            Health::Ok
        }
    }

    fn rendered(&mut self, now: Millis, rendered: Vec<(GroupId, Rendering, crate::keys::Reads)>) {
        for (id, rendering, reads) in rendered {
            let group = &mut self.groups[id.0];
            group.reads = reads.settled();
            match rendering {
                Rendering::Same => group.succeed(now),
                Rendering::Failed => group.fail(now, &self.policy),
                Rendering::Staged if group.spec.has_checks => group.phase = Phase::ToCheck,
                Rendering::Staged => group.phase = Phase::Ready,
            }
        }
    }

    fn checked(&mut self, now: Millis, id: GroupId, good: bool, effects: &mut Vec<Effect>) {
        let group = &mut self.groups[id.0];
        if good {
            group.phase = Phase::Ready;
        } else {
            effects.push(Effect::Discard(id));
            group.fail(now, &self.policy);
        }
    }

    fn committed(&mut self, now: Millis, committed: &[(GroupId, bool)], effects: &mut Vec<Effect>) {
        for (id, good) in committed {
            let group = &mut self.groups[id.0];
            if !good {
                group.fail(now, &self.policy);
                continue;
            }
            group.succeed(now);
            if group.spec.reloads.is_empty() {
                effects.push(Effect::Settle(*id));
            }
            self.owe(*id);
        }
    }

    fn owe(&mut self, id: GroupId) {
        let group = &mut self.groups[id.0];
        for (reload, _) in &group.spec.reloads {
            group.owes.insert(reload.clone());
            if let Some(state) = self.reloads.get_mut(reload) {
                state.owe(id);
            }
        }
    }

    /// A group owes a reload no more, unless it was committed again meanwhile.
    fn paid(&mut self, id: GroupId, reload: &Reload, effects: &mut Vec<Effect>) {
        let owed_again = self.reloads.get(reload).is_some_and(|state| state.owed_by.contains(&id));
        let group = &mut self.groups[id.0];
        if !owed_again && group.owes.remove(reload) && group.owes.is_empty() {
            effects.push(Effect::Settle(id));
        }
    }

    fn reload_succeeded(&mut self, now: Millis, reload: &Reload, effects: &mut Vec<Effect>) {
        let Some(state) = self.reloads.get_mut(reload) else { return };
        let rolled_back = std::mem::take(&mut state.rolled_back);
        for id in state.succeed() {
            self.paid(id, reload, effects);
        }
        self.give_back(now, rolled_back, reload, effects);
    }

    fn reload_failed(&mut self, now: Millis, reload: &Reload, effects: &mut Vec<Effect>) {
        let Some(state) = self.reloads.get_mut(reload) else { return };
        let rolled_back = std::mem::take(&mut state.rolled_back);
        if rolled_back.is_empty() {
            // A group that was committed again meanwhile has newer files than those that failed.
            let undo = |id: &GroupId| self.groups[id.0].spec.rollback && !state.owed_by.contains(id);
            let undone: BTreeSet<GroupId> = state.carried.iter().copied().filter(undo).collect();
            // Files that are being replaced right now are not touched.
            if !undone.is_empty() && undone.iter().all(|id| !self.groups[id.0].is_worked_on()) {
                state.carried.retain(|id| !undone.contains(id));
                state.rolled_back.clone_from(&undone);
                for id in &undone {
                    self.groups[id.0].phase = Phase::Committing;
                }
                effects.push(Effect::RollBack(reload.clone(), undone.into_iter().collect()));
                return;
            }
        }
        state.fail(now, &self.policy);
        self.give_back(now, rolled_back, reload, effects);
    }

    /// Groups whose files went back have failed, and owe nothing for what is not there any more.
    fn give_back(&mut self, now: Millis, groups: BTreeSet<GroupId>, reload: &Reload, effects: &mut Vec<Effect>) {
        for id in groups {
            self.groups[id.0].fail(now, &self.policy);
            self.paid(id, reload, effects);
        }
    }

    /// Begins all that can begin now.
    fn begin(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        self.commit_ready(effects);
        if self.stopping {
            return;
        }
        let mut due = Vec::new();
        for (at, group) in self.groups.iter_mut().enumerate() {
            if group.due(&self.policy).is_some_and(|due| due <= now) {
                group.begin();
                due.push(GroupId(at));
            }
        }
        if !due.is_empty() {
            effects.push(Effect::Render(due));
        }
        let mut checking = self.groups.iter().filter(|group| group.phase == Phase::Checking).count();
        for (at, group) in self.groups.iter_mut().enumerate() {
            if group.phase == Phase::ToCheck && checking < MAX_CHECKS {
                group.phase = Phase::Checking;
                checking += 1;
                effects.push(Effect::Check(GroupId(at)));
            }
        }
        self.begin_reloads(now, effects);
    }

    /// What is staged and good goes into place, all of it together. When stopping, what waits for a check is thrown away.
    fn commit_ready(&mut self, effects: &mut Vec<Effect>) {
        let mut ready = Vec::new();
        for (at, group) in self.groups.iter_mut().enumerate() {
            match group.phase {
                Phase::Ready => {
                    group.phase = Phase::Committing;
                    ready.push(GroupId(at));
                }
                Phase::ToCheck if self.stopping => {
                    group.phase = Phase::Resting;
                    effects.push(Effect::Discard(GroupId(at)));
                }
                _ => {}
            }
        }
        if !ready.is_empty() {
            effects.push(Effect::Commit(ready));
        }
    }

    fn begin_reloads(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let mut running = self.reloads.values().filter(|state| state.running).count();
        let ready: Vec<Reload> = self
            .reloads
            .iter()
            .filter(|(_, state)| state.due().is_some_and(|due| due <= now) && !self.is_held(state))
            .map(|(reload, _)| reload.clone())
            .collect();
        for reload in ready {
            if running == MAX_RELOADS {
                return;
            }
            if let Some(state) = self.reloads.get_mut(&reload) {
                state.begin(now);
                running += 1;
                effects.push(Effect::Reload(reload));
            }
        }
    }

    /// Whether a group that shares the reload is worked on: its files may be next.
    fn is_held(&self, state: &ReloadState) -> bool {
        state.owed_by.iter().next().is_some()
            && self.groups.iter().any(|group| {
                group.is_worked_on()
                    && group
                        .spec
                        .reloads
                        .iter()
                        .any(|(reload, _)| self.reloads.get(reload).is_some_and(|other| std::ptr::eq(other, state)))
            })
    }
}
