//! The engine's state machine: leadership, the cluster it sees, and when it makes a pass.

use std::collections::BTreeSet;

use flota_registry::{
    Change, ClusterSnapshot, Entry, Fence, Key, Leader, LeaseId, MachineId, Millis, Txn, campaign, collect_files,
    commit_schedules,
};
use flota_unit::UnitName;

use crate::demand::Demands;
use crate::event::{Effect, Event, Outcome, Settings, Ticket};
use crate::liveness::{Liveness, Probe, Standing, is_removed};
use crate::schedule::{Decision, plan};

/// How long a candidate waits for the outcome before it campaigns again.
const CAMPAIGN_RETRY: Millis = Millis(1000);
/// How long a pass waits after a commit that failed or was refused.
const COMMIT_RETRY: Millis = Millis(500);
/// Most unused unit file texts removed at once.
const MAX_FILES_COLLECTED: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// No store, so no role.
    Away,
    /// Somebody else leads.
    Follower { lease: LeaseId },
    /// Campaigning; `seen` is what the leader key was.
    Candidate { lease: LeaseId, seen: Option<i64>, since: Millis },
    /// This machine leads.
    Leader { lease: LeaseId, fence: Fence },
}

/// One machine's engine. Every machine runs one; the one that holds the leader key makes passes.
#[derive(Debug)]
pub struct Engine {
    me: MachineId,
    settings: Settings,
    role: Role,
    snapshot: Option<ClusterSnapshot>,
    demands: Demands,
    liveness: Liveness,
    /// Whether machines may have come or gone since [`Liveness::observe`].
    unobserved: bool,
    /// When the next pass is due; none when nothing changed.
    pass_due: Option<Millis>,
    /// The commit whose outcome is not known yet, and the decisions it carries.
    in_flight: Option<(Ticket, Vec<Decision>)>,
    tickets: u64,
    /// The revision of the last own commit: no pass before the snapshot shows it.
    committed: i64,
    unplaced: BTreeSet<UnitName>,
    frozen: Option<String>,
}

impl Engine {
    /// The engine of machine `me`, out of reach of any store.
    pub fn new(me: MachineId, settings: Settings) -> Engine {
        Engine {
            me,
            settings,
            role: Role::Away,
            snapshot: None,
            demands: Demands::default(),
            liveness: Liveness::default(),
            unobserved: false,
            pass_due: None,
            in_flight: None,
            tickets: 0,
            committed: 0,
            unplaced: BTreeSet::new(),
            frozen: None,
        }
    }

    /// Whether this machine leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// When [`Event::Tick`] is wanted, if nothing happens before.
    pub fn deadline(&self) -> Option<Millis> {
        match self.role {
            Role::Candidate { since, .. } => Some(since.plus(CAMPAIGN_RETRY)),
            Role::Leader { .. } => {
                let pass = self.pass_due.filter(|_| self.may_pass());
                [pass, self.liveness.deadline(self.settings.grace)].into_iter().flatten().min()
            }
            Role::Away | Role::Follower { .. } => None,
        }
    }

    /// Takes in one event.
    #[must_use]
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Connected { lease, leader } => self.follow(now, lease, leader.as_ref(), &mut effects),
            Event::Disconnected => self.step_down(Role::Away, &mut effects),
            Event::LeaderChanged(leader) => {
                if let Some(lease) = self.lease() {
                    self.follow(now, lease, leader.as_ref(), &mut effects);
                }
            }
            // A late answer, of an earlier leadership, is nobody's business.
            Event::Snapshot(_) if !self.is_leader() => {}
            Event::Snapshot(snapshot) => {
                self.snapshot = Some(*snapshot);
                self.liveness.forget();
                self.unobserved = true;
                self.pass_due = Some(now);
            }
            Event::Changes { revision, changes } => self.take_changes(now, revision, &changes),
            Event::Finished { ticket, outcome } => self.finish_commit(now, ticket, &outcome, &mut effects),
            Event::Probed { machine, through, found } => self.liveness.take(&machine, through, found),
            Event::Tick => {
                if let Role::Candidate { lease, seen, since } = self.role
                    && now.since(since) >= CAMPAIGN_RETRY
                {
                    self.campaign(now, lease, seen, &mut effects);
                }
            }
        }
        self.look_around(now, &mut effects);
        self.pass(now, &mut effects);
        effects
    }

    fn lease(&self) -> Option<LeaseId> {
        match self.role {
            Role::Away => None,
            Role::Follower { lease } | Role::Candidate { lease, .. } | Role::Leader { lease, .. } => Some(lease),
        }
    }

    /// Draws the consequence of the leader key as it is now.
    fn follow(&mut self, now: Millis, lease: LeaseId, leader: Option<&Entry<Leader>>, effects: &mut Vec<Effect>) {
        match leader {
            Some(entry) if entry.value.machine != self.me => self.step_down(Role::Follower { lease }, effects),
            Some(entry) if entry.lease == Some(lease) => {
                let role = Role::Leader { lease, fence: Fence { mod_revision: entry.mod_revision } };
                if self.role != role {
                    self.step_down(role, effects);
                    effects.push(Effect::LoadCluster);
                }
            }
            // The key of this machine's daemon before it restarted: it would only die with its old lease.
            Some(entry) => self.campaign(now, lease, Some(entry.mod_revision), effects),
            None => self.campaign(now, lease, None, effects),
        }
    }

    fn campaign(&mut self, now: Millis, lease: LeaseId, seen: Option<i64>, effects: &mut Vec<Effect>) {
        self.step_down(Role::Candidate { lease, seen, since: now }, effects);
        effects.push(Effect::Campaign(campaign(&self.me, lease, seen)));
    }

    /// Enters `role` with nothing left over from the one before.
    fn step_down(&mut self, role: Role, effects: &mut Vec<Effect>) {
        if self.is_leader() {
            effects.push(Effect::DropCluster);
        }
        self.role = role;
        self.snapshot = None;
        self.pass_due = None;
        self.in_flight = None;
        // The next snapshot is read after this; and a store that was restored counts its revisions from less.
        self.committed = 0;
        self.unplaced.clear();
        self.frozen = None;
    }

    fn take_changes(&mut self, now: Millis, revision: i64, changes: &[Change]) {
        let Some(snapshot) = &mut self.snapshot else { return };
        snapshot.apply(revision, changes);
        // Reports say how things are, not how they should be: they are no reason for a pass.
        let matters = |change: &Change| {
            let (Change::Put(flota_registry::KeyValue { key, .. }) | Change::Delete { key }) = change;
            !matches!(Key::parse(key), None | Some(Key::Report(_) | Key::Leader))
        };
        if changes.iter().any(matters) {
            self.unobserved = true;
            self.pass_due.get_or_insert(now.plus(self.settings.gather));
        }
    }

    /// Finds out who is missing and who is lost, and asks for second opinions.
    fn look_around(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let Some(snapshot) = self.snapshot.as_ref().filter(|_| matches!(self.role, Role::Leader { .. })) else {
            return;
        };
        if std::mem::take(&mut self.unobserved) {
            self.liveness.observe(snapshot, now);
        }
        let news = self.liveness.advance(snapshot, &self.me, now, self.settings.grace);
        if !news.lost.is_empty() {
            self.pass_due = Some(now);
        }
        let probe = |Probe { machine, peer, through }| Effect::Probe { machine, peer, through };
        effects.extend(news.probes.into_iter().map(probe));
    }

    fn finish_commit(&mut self, now: Millis, ticket: Ticket, outcome: &Outcome, effects: &mut Vec<Effect>) {
        let Some((_, decisions)) = self.in_flight.take_if(|(expected, _)| *expected == ticket) else {
            return; // Of an earlier leadership.
        };
        match outcome {
            Outcome::Committed(revision) => {
                self.committed = *revision;
                // What was not committed was not decided.
                if !decisions.is_empty() {
                    effects.push(Effect::Record(decisions));
                }
            }
            Outcome::Refused | Outcome::Unknown => self.pass_due = Some(now.plus(COMMIT_RETRY)),
        }
    }

    fn may_pass(&self) -> bool {
        let seen = self.snapshot.as_ref().is_some_and(|snapshot| snapshot.revision() >= self.committed);
        seen && self.in_flight.is_none()
    }

    /// Makes a pass when one is due and the outcome of the last one is known and visible.
    fn pass(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let Role::Leader { fence, .. } = self.role else { return };
        if !self.may_pass() {
            return;
        }
        let Some(snapshot) = &self.snapshot else { return };
        if self.pass_due.is_none_or(|due| due > now) {
            return;
        }
        self.pass_due = None;
        let Some(cluster) = snapshot.cluster().map(|entry| entry.value.id.clone()) else { return };
        if let Some(why) = unreadable_schedule(snapshot) {
            if self.frozen.as_ref() != Some(&why) {
                self.frozen = Some(why.clone());
                effects.push(Effect::RecordFrozen(why));
            }
            return;
        }
        self.frozen = None;
        self.demands.refresh(snapshot);
        let liveness = &self.liveness;
        let standing = |id: &MachineId| {
            if is_removed(snapshot, id) { Standing::Lost } else { liveness.standing(id) }
        };
        let plan = plan(snapshot, &cluster, &self.demands, standing);
        let txn = if plan.writes.is_empty() {
            unused_files(snapshot, fence)
        } else {
            Some(commit_schedules(fence, &plan.writes))
        };
        let fresh: Vec<UnitName> = plan.unplaced.difference(&self.unplaced).cloned().collect();
        if !fresh.is_empty() {
            effects.push(Effect::RecordUnplaced(fresh));
        }
        self.unplaced = plan.unplaced;
        if let Some(txn) = txn {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            self.in_flight = Some((ticket, plan.decisions));
            effects.push(Effect::Commit { ticket, txn });
        }
    }
}

/// A schedule that a later version wrote: what its machine runs is unknown, so nothing may be placed.
fn unreadable_schedule(snapshot: &ClusterSnapshot) -> Option<String> {
    let mut found = snapshot.unreadable().iter().filter(|(key, _)| matches!(key, Key::Schedule(_) | Key::Cluster));
    found.next().map(|(key, why)| format!("{key}: {why}"))
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
