//! Carries out what the plan decides.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flota_etcd::chain;
use tokio::task::JoinSet;

use super::render::{Differing, Mode, render_all};
use super::status::GroupStatus;
use crate::apply::{self, Journal, Reloader, Staged, run_shell};
use crate::group::{Group, check_line};
use crate::keys::Snapshot;
use crate::plan::{Effect, Event, GroupId, GroupSpec, Health, Millis, Planner, Policy, Rendering};
use crate::resource::Reload;

/// How the work is done.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Nothing is written.
    pub noop: bool,
    /// No checks, no reloads.
    pub sync_only: bool,
    /// Staged files that are not used stay.
    pub keep_stage: bool,
}

/// All groups, the plan, and what is under way.
pub struct Engine {
    groups: Arc<Vec<Group>>,
    planner: Planner,
    told: Told,
    journal: Option<Journal>,
    reloader: Arc<Reloader>,
    staged: BTreeMap<GroupId, Vec<(usize, Staged)>>,
    /// How long each reload may take.
    limits: BTreeMap<Reload, Duration>,
    jobs: JoinSet<Event>,
    begun: Instant,
    snapshot: Arc<Snapshot>,
    /// The revisions that new files were rendered of, and those of the files that are in place.
    revisions: (BTreeMap<GroupId, i64>, BTreeMap<GroupId, i64>),
    /// The last error of each group that has one.
    errors: BTreeMap<GroupId, String>,
    /// How many groups were rendered, and how many reloads were begun, since the start.
    counts: (u64, u64),
}

impl Engine {
    /// An engine for these groups, which begins with the first event.
    pub fn new(
        groups: Vec<Group>,
        policy: Policy,
        told: Told,
        journal: Option<Journal>,
        reloader: Arc<Reloader>,
    ) -> Engine {
        let specs = groups.iter().map(|group| spec(group, &told)).collect();
        let mut limits: BTreeMap<Reload, Duration> = BTreeMap::new();
        for output in groups.iter().flat_map(|group| &group.resource.outputs) {
            if let Some(reload) = &output.reload {
                let limit = limits.entry(reload.clone()).or_default();
                *limit = (*limit).max(output.reload_timeout);
            }
        }
        Engine {
            groups: Arc::new(groups),
            planner: Planner::new(policy, specs),
            told,
            journal,
            reloader,
            staged: BTreeMap::new(),
            limits,
            jobs: JoinSet::new(),
            begun: Instant::now(),
            snapshot: Arc::default(),
            revisions: Default::default(),
            errors: BTreeMap::new(),
            counts: (0, 0),
        }
    }

    /// The groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The newest keys.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Sets all keys. The caller tells the plan with [`Engine::handle`].
    pub fn set_snapshot(&mut self, snapshot: Snapshot) {
        self.snapshot = Arc::new(snapshot);
    }

    /// Sets or removes some keys; which of them really changed.
    pub fn change(&mut self, revision: i64, changes: Vec<(String, Option<flota_gotemplate::Str>)>) -> Vec<String> {
        // Nobody else holds it while nothing is rendered, so nothing is copied.
        let snapshot = Arc::make_mut(&mut self.snapshot);
        snapshot.revision = revision;
        let mut changed = Vec::new();
        for (key, value) in changes {
            let differs = match value {
                Some(value) => snapshot.put(&key, value),
                None => snapshot.delete(&key),
            };
            if differs {
                changed.push(crate::keys::KeyPath::new(&key).to_string());
            }
        }
        changed
    }

    /// What earlier lives left undone.
    pub fn owed(&self) -> Vec<GroupId> {
        let Some(journal) = self.journal.as_ref().filter(|_| !self.told.sync_only && !self.told.noop) else {
            return Vec::new();
        };
        let owes = |group: &Group| {
            !group.reloads().is_empty() && journal.read(&group.resource.file).is_ok_and(|owed| owed.is_some())
        };
        self.groups.iter().enumerate().filter(|(_, group)| owes(group)).map(|(at, _)| GroupId(at)).collect()
    }

    /// Removes what earlier lives left beside the files. What may still be called back stays, and so does all that is left when staged
    /// files are to be kept.
    pub fn sweep(&self) {
        if self.told.noop || self.told.keep_stage {
            return;
        }
        let kept = self.journal.as_ref().map(|journal| {
            let owed = self.groups.iter().filter_map(|group| journal.read(&group.resource.file).ok().flatten());
            owed.flat_map(|owed| owed.kept).filter_map(|kept| kept.old).collect()
        });
        let outputs = self.groups.iter().flat_map(|group| &group.resource.outputs);
        for path in apply::sweep(outputs.map(|output| output.dest.as_path()), kept.as_ref()) {
            tracing::info!("left by an earlier life, and removed: {}", path.display());
        }
    }

    /// Takes in what happened, and does all that can be done at once.
    pub fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.planner.handle(self.now(), event) {
                events.extend(self.carry_out(effect));
            }
        }
    }

    /// Waits for the end of a check or a reload, or for the next moment at which something is due. Nothing is lost if the wait is
    /// dropped.
    pub async fn next(&mut self) -> Event {
        let wake = self.planner.wake().map(|at| self.begun + Duration::from_millis(at.0));
        let due = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = self.jobs.join_next() => ended.unwrap_or(Event::Tick),
            () = due => Event::Tick,
        }
    }

    /// Whether nothing is under way and nothing is planned.
    pub fn is_idle(&self) -> bool {
        self.planner.is_idle() && self.jobs.is_empty()
    }

    /// How each group is, with its last error.
    pub fn health(&self) -> impl Iterator<Item = (&Group, Health, Option<&str>)> {
        self.groups.iter().enumerate().map(|(at, group)| {
            let id = GroupId(at);
            (group, self.planner.health(id), self.errors.get(&id).map(String::as_str))
        })
    }

    /// How each group is, for whoever is not here.
    pub fn status(&self) -> impl Iterator<Item = GroupStatus> {
        self.health().enumerate().map(|(at, (group, health, error))| GroupStatus {
            resource: group.name(),
            health,
            revision: self.revisions.1.get(&GroupId(at)).copied().unwrap_or(0),
            error: error.map(str::to_owned),
            files: group.resource.outputs.iter().map(|output| output.dest.clone()).collect(),
        })
    }

    /// How many groups were rendered, and how many reloads were begun.
    pub fn counts(&self) -> (u64, u64) {
        self.counts
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Render(ids) => Some(self.render(&ids)),
            Effect::Check(id) => {
                self.check(id);
                None
            }
            Effect::Discard(id) => {
                self.discard(id);
                None
            }
            Effect::Commit(ids) => Some(self.commit(&ids)),
            Effect::Reload(reload) => {
                self.reload(reload);
                None
            }
            Effect::RollBack(reload, ids) => {
                self.roll_back(&ids);
                Some(Event::RolledBack(reload))
            }
            Effect::Settle(id) => {
                self.settle(id);
                None
            }
        }
    }

    fn fail(&mut self, id: GroupId, why: String) {
        tracing::error!("{}: {why}", self.groups[id.0].name());
        self.errors.insert(id, why);
    }

    fn render(&mut self, ids: &[GroupId]) -> Event {
        let mode = if self.told.noop { Mode::Tell } else { Mode::Stage };
        self.counts.0 += ids.len() as u64;
        let mut events = Vec::new();
        for rendered in render_all(&self.groups, ids, &self.snapshot, mode) {
            let id = rendered.id;
            let rendering = match rendered.result {
                Ok(Differing { staged, told }) => {
                    self.errors.remove(&id);
                    for difference in told {
                        tracing::warn!(
                            "Noop mode enabled. {} will not be modified\n{}",
                            difference.dest.display(),
                            difference.diff
                        );
                    }
                    if staged.is_empty() {
                        // Files that stay as they are keep the revision that they are of.
                        self.revisions.1.entry(id).or_insert(self.snapshot.revision);
                        Rendering::Same
                    } else {
                        self.revisions.0.insert(id, self.snapshot.revision);
                        self.staged.insert(id, staged);
                        Rendering::Staged
                    }
                }
                Err(error) => {
                    self.fail(id, chain(&error));
                    Rendering::Failed
                }
            };
            events.push((id, rendering, rendered.reads));
        }
        Event::Rendered(events)
    }

    /// Runs the checks of a group's new files one after the other.
    fn check(&mut self, id: GroupId) {
        let mut checks = Vec::new();
        let mut wrong = None;
        for (at, staged) in self.staged.get(&id).into_iter().flatten() {
            let output = &self.groups[id.0].resource.outputs[*at];
            match check_line(output, &staged.path) {
                Ok(line) => checks.extend(line.map(|line| (line, output.check_timeout))),
                Err(error) => wrong = Some(error.to_string()),
            }
        }
        if let Some(why) = wrong {
            self.fail(id, why);
            self.jobs.spawn(async move { Event::Checked(id, false) });
            return;
        }
        let name = self.groups[id.0].name();
        self.jobs.spawn(async move {
            for (line, limit) in checks {
                let ended = run_shell(&line, limit).await;
                if !ended.is_ok() {
                    tracing::error!("{name}: check failed: {line}: {:?}", ended.output);
                    return Event::Checked(id, false);
                }
                tracing::debug!("{name}: {line}: {:?}", ended.output);
            }
            Event::Checked(id, true)
        });
    }

    fn discard(&mut self, id: GroupId) {
        self.errors.entry(id).or_insert_with(|| "a check failed".to_owned());
        for (_, staged) in self.staged.remove(&id).into_iter().flatten() {
            if self.told.keep_stage
                && let Ok(path) = staged.path.keep()
            {
                tracing::info!("staged file kept: {}", path.display());
            }
        }
    }

    /// All groups together: one sync before, one after.
    fn commit(&mut self, ids: &[GroupId]) -> Event {
        let all: Vec<&Staged> =
            ids.iter().filter_map(|id| self.staged.get(id)).flatten().map(|(_, staged)| staged).collect();
        let synced = apply::sync_staged(&all);
        let mut results = Vec::new();
        let mut dests: Vec<PathBuf> = Vec::new();
        if let Err(error) = synced {
            let why = chain(&error);
            for id in ids {
                self.fail(*id, why.clone());
            }
            return Event::Committed(ids.iter().map(|id| (*id, false)).collect());
        }
        for id in ids {
            let group = &self.groups[id.0];
            let reloads = if self.told.sync_only { BTreeSet::new() } else { group.reloads() };
            let staged = self.staged.remove(id).unwrap_or_default().into_iter().map(|(_, staged)| staged).collect();
            let keep = group.rolls_back() && !reloads.is_empty();
            match apply::commit(self.journal.as_ref(), &group.resource.file, &reloads, keep, staged) {
                Ok(done) => {
                    for dest in &done.in_place {
                        tracing::warn!(
                            "{} is a mount point: written in place, a reader may have seen half of it",
                            dest.display()
                        );
                    }
                    for dest in &done.dests {
                        tracing::info!("Target config {} has been updated", dest.display());
                    }
                    dests.extend(done.dests);
                    self.revisions.1.extend(self.revisions.0.remove(id).map(|revision| (*id, revision)));
                    results.push((*id, true));
                }
                Err(error) => {
                    self.fail(*id, chain(&error));
                    results.push((*id, false));
                }
            }
        }
        if let Err(error) = apply::sync(dests.iter().map(PathBuf::as_path)) {
            tracing::error!("files are in place, but may not be after a crash: {}", chain(&error));
        }
        Event::Committed(results)
    }

    fn reload(&mut self, reload: Reload) {
        self.counts.1 += 1;
        let limit = self.limits.get(&reload).copied().unwrap_or(crate::resource::DEFAULT_RELOAD_TIMEOUT);
        let reloader = Arc::clone(&self.reloader);
        self.jobs.spawn(async move {
            let done = reloader.run(&reload, limit).await;
            match &done {
                Ok(()) => tracing::info!("reloaded: {reload}"),
                Err(error) => tracing::error!("reload failed: {}", chain(error)),
            }
            let good = done.is_ok();
            Event::Reloaded(reload, good)
        });
    }

    fn roll_back(&mut self, ids: &[GroupId]) {
        let Some(journal) = self.journal.clone() else { return };
        for id in ids {
            match apply::roll_back(&journal, &self.groups[id.0].resource.file) {
                Ok(back) => {
                    for dest in &back {
                        tracing::warn!("{} is as it was before the reload failed", dest.display());
                    }
                    self.errors.insert(*id, "rolled back: the reload failed".to_owned());
                }
                Err(error) => self.fail(*id, chain(&error)),
            }
        }
    }

    fn settle(&mut self, id: GroupId) {
        let group = &self.groups[id.0];
        if group.reloads().is_empty() {
            return;
        }
        if let Some(journal) = &self.journal
            && let Err(error) = journal.settle(&group.resource.file)
        {
            tracing::warn!("{}", chain(&error));
        }
    }
}

fn spec(group: &Group, told: &Told) -> GroupSpec {
    if told.sync_only {
        return GroupSpec::default();
    }
    let mut reloads: BTreeMap<Reload, u64> = BTreeMap::new();
    for output in &group.resource.outputs {
        if let Some(reload) = &output.reload {
            let interval = u64::try_from(output.min_reload_interval.as_millis()).unwrap_or(u64::MAX);
            let least = reloads.entry(reload.clone()).or_default();
            *least = (*least).max(interval);
        }
    }
    GroupSpec {
        has_checks: group.resource.outputs.iter().any(|output| output.check.is_some()),
        reloads: reloads.into_iter().collect(),
        rollback: group.rolls_back(),
    }
}
