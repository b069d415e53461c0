//! The engine's state machine: leadership, the cluster it sees, and when it makes a pass.

use std::collections::BTreeSet;

use flota_registry::{
    Change, ClusterSnapshot, Entry, Fence, Key, KeyValue, Leader, LeaseId, MachineId, Millis, Schedule, ScheduledUnit,
    campaign,
};
use flota_unit::UnitName;

use crate::demand::Demands;
use crate::event::{Effect, Event, Outcome, Settings, Ticket};
use crate::liveness::{Liveness, Loss, Probe};
use crate::memory::{Flapping, Progress, Whereabouts};
use crate::schedule::Decision;

/// How long a candidate waits for the outcome before it campaigns again.
const CAMPAIGN_RETRY: Millis = Millis(1000);
/// How long a pass waits after a commit that failed or was refused.
const COMMIT_RETRY: Millis = Millis(500);
/// How long reports that somebody waits for are gathered into one pass.
const REPORT_GATHER: Millis = Millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
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
    pub(super) me: MachineId,
    pub(super) settings: Settings,
    pub(super) role: Role,
    pub(super) snapshot: Option<ClusterSnapshot>,
    pub(super) demands: Demands,
    pub(super) liveness: Liveness,
    pub(super) flapping: Flapping,
    pub(super) progress: Progress,
    pub(super) whereabouts: Whereabouts,
    /// Whether machines may have come or gone since [`Liveness::observe`].
    pub(super) unobserved: bool,
    /// When the next pass is due; none when nothing changed.
    pub(super) pass_due: Option<Millis>,
    /// When a wait of the last pass ends by itself.
    pub(super) wake: Option<Millis>,
    /// The machines whose reports the last pass waits for; others' reports are no reason for a pass.
    pub(super) watching: BTreeSet<MachineId>,
    /// The commit whose outcome is not known yet, and the decisions it carries.
    pub(super) in_flight: Option<(Ticket, Vec<Decision>)>,
    pub(super) tickets: u64,
    /// The revision of the last own commit: no pass before the snapshot shows it.
    pub(super) committed: i64,
    pub(super) unplaced: BTreeSet<UnitName>,
    pub(super) notes: BTreeSet<String>,
    pub(super) frozen: Option<String>,
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
            flapping: Flapping::default(),
            progress: Progress::default(),
            whereabouts: Whereabouts::default(),
            unobserved: false,
            pass_due: None,
            wake: None,
            watching: BTreeSet::new(),
            in_flight: None,
            tickets: 0,
            committed: 0,
            unplaced: BTreeSet::new(),
            notes: BTreeSet::new(),
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
                let [pass, wake] = [self.pass_due, self.wake].map(|due| due.filter(|_| self.may_pass()));
                [pass, wake, self.liveness.deadline(self.settings.grace)].into_iter().flatten().min()
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
                self.liveness.forget();
                self.whereabouts.start(&snapshot);
                if let Some(notes) = snapshot.notes().filter(|_| self.snapshot.is_none()) {
                    self.flapping.go_on(&notes.held_off, now, self.settings.max_hold);
                }
                self.snapshot = Some(*snapshot);
                self.unobserved = true;
                self.pass_due = Some(now);
            }
            Event::Changes { revision, changes } => self.take_changes(now, revision, &changes),
            Event::Finished { ticket, outcome } => self.finish_commit(now, ticket, &outcome, &mut effects),
            Event::Probed { machine, through, found } => {
                if self.liveness.take(&machine, through, found) {
                    self.pass_due = Some(now);
                }
            }
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
        self.wake = None;
        self.watching.clear();
        self.flapping = Flapping::default();
        self.progress.forget();
        self.whereabouts.forget();
        self.in_flight = None;
        // The next snapshot is read after this; and a store that was restored counts its revisions from less.
        self.committed = 0;
        self.unplaced.clear();
        self.notes.clear();
        self.frozen = None;
    }

    fn take_changes(&mut self, now: Millis, revision: i64, changes: &[Change]) {
        let Some(snapshot) = &mut self.snapshot else { return };
        let demands = &self.demands;
        let is_exclusive = |name: &UnitName, unit: &ScheduledUnit| {
            unit.exclusive || demands.judged(name).is_some_and(|needs| needs.exclusive)
        };
        let before = exclusive_schedules(snapshot, changes, &is_exclusive);
        snapshot.apply(revision, changes);
        for (id, before) in before {
            if let Some(after) = snapshot.schedules().get(&id) {
                self.whereabouts.follow(&id, &before, &after.value, &is_exclusive);
            }
        }
        for change in changes {
            let (Change::Put(KeyValue { key, .. }) | Change::Delete { key }) = change;
            let due = match Key::parse(key) {
                None | Some(Key::Leader) => continue,
                Some(Key::LeaderNotes) => now.plus(self.settings.gather),
                // Reports say how things are, not how they should be: they matter only to whoever waits for them.
                Some(Key::Report(id)) if !self.watching.contains(&id) => continue,
                Some(Key::Report(_)) => now.plus(REPORT_GATHER),
                Some(_) => {
                    self.unobserved = true;
                    now.plus(self.settings.gather)
                }
            };
            self.pass_due = self.pass_due.into_iter().chain([due]).min();
        }
    }

    /// Finds out who is missing and who is lost, and asks for second opinions.
    fn look_around(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let Some(snapshot) = self.snapshot.as_ref().filter(|_| matches!(self.role, Role::Leader { .. })) else {
            return;
        };
        if std::mem::take(&mut self.unobserved) {
            for id in self.liveness.observe(snapshot, now) {
                effects.extend(self.flapping.back(&id, now, self.settings.max_hold).map(Effect::RecordNote));
            }
        }
        let news = self.liveness.advance(snapshot, &self.me, now, self.settings.grace);
        for (id, loss) in &news.lost {
            self.pass_due = Some(now);
            if *loss == Loss::Silence {
                self.flapping.lost(id, now);
            }
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
                self.progress.note(&decisions, now);
                // What was not committed was not decided.
                if !decisions.is_empty() {
                    effects.push(Effect::Record(decisions));
                }
            }
            Outcome::Refused => self.pass_due = Some(now.plus(COMMIT_RETRY)),
            Outcome::Unknown => {
                self.progress.note(&decisions, now);
                self.pass_due = Some(now.plus(COMMIT_RETRY));
            }
        }
    }
}

/// Whether no more than one copy of a scheduled unit may run, as it was ordered or as it is wanted by now.
type IsExclusive<'a> = dyn Fn(&UnitName, &ScheduledUnit) -> bool + 'a;

/// The schedules that `changes` replace and that hold exclusive units.
fn exclusive_schedules(
    snapshot: &ClusterSnapshot,
    changes: &[Change],
    is_exclusive: &IsExclusive<'_>,
) -> Vec<(MachineId, Schedule)> {
    let replaced = changes.iter().filter_map(|change| match change {
        Change::Put(pair) => match Key::parse(&pair.key) {
            Some(Key::Schedule(id)) => Some(id),
            _ => None,
        },
        Change::Delete { .. } => None,
    });
    let held = replaced.filter_map(|id| Some((&snapshot.schedules().get(&id)?.value, id)));
    held.filter(|(schedule, _)| schedule.units.iter().any(|(name, unit)| is_exclusive(name, unit)))
        .map(|(schedule, id)| (id, schedule.clone()))
        .collect()
}
