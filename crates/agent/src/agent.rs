//! The agent's state machine.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{Generation, Millis, ObservedUnit, Report, Schedule, ScheduledUnit, UnitStates};
use flota_unit::{UnitHash, UnitKind, UnitName};

use crate::event::{Effect, Event, FileOp, Installed, JobResult, Observation, Token};
use crate::held::Held;
use crate::local::{Busy, Local, Step};

/// Least time between two reports: at most ten a second.
const REPORT_INTERVAL: Millis = Millis(100);
/// Most jobs handed to systemd at once; the others wait for their turn.
const MAX_JOBS: usize = 64;
/// Most file changes in one batch (and one daemon-reload).
const MAX_FILE_OPS: usize = 512;

/// Shadowing a unit of the distribution or the administrator would take their service away.
const FOREIGN: &str =
    "this machine has a unit of this name already that is not Flota's: rename the unit, or remove the other one";

/// One machine's agent.
#[derive(Debug, Default)]
pub struct Agent {
    held: Held,
    units: BTreeMap<UnitName, Local>,
    /// Texts that arrived and are not yet installed.
    texts: BTreeMap<UnitHash, String>,
    asked_for: BTreeSet<UnitHash>,
    tokens: u64,
    files_in_flight: bool,
    refused: Option<String>,
    published: Option<Report>,
    published_at: Option<Millis>,
}

impl Agent {
    /// An agent that knows nothing yet; [`Event::Boot`] comes first.
    pub fn new() -> Agent {
        Agent::default()
    }

    /// The generation of the schedule that it holds.
    pub fn generation(&self) -> Generation {
        self.held.schedule.as_ref().map_or(Generation::default(), |schedule| schedule.generation)
    }

    /// When [`Event::Tick`] is wanted, if nothing happens before.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let retries = self.units.values().filter_map(|local| local.trouble.as_ref().map(|trouble| trouble.retry_at));
        let report = self.published_at.map(|at| at.plus(REPORT_INTERVAL));
        retries.chain(report).filter(|at| *at > now).min()
    }

    /// Takes in one event.
    #[must_use]
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Boot { held, boot_id, installed } => self.boot(held, boot_id, installed),
            Event::Schedule(schedule) => self.take_schedule(schedule, &mut effects),
            Event::Text { hash, text } => {
                self.asked_for.remove(&hash);
                self.texts.insert(hash, text);
            }
            Event::Connected => {
                self.asked_for.clear();
                self.published = None;
            }
            Event::Changed(names) => self.observe_again(names, &mut effects),
            Event::Observed { token, units } => self.take_observations(token, units),
            Event::FilesChanged(failed) => self.finish_files(now, &failed),
            Event::Started(unit, result) => self.finish_start(now, &unit, result, &mut effects),
            Event::Stopped(unit, result) => self.finish_stop(now, &unit, result, &mut effects),
            Event::Tick => {}
        }
        self.reconcile(now, &mut effects);
        self.publish(now, &mut effects);
        effects
    }

    fn boot(&mut self, held: Held, boot_id: String, installed: BTreeMap<UnitName, Installed>) {
        let same_boot = held.boot_id == boot_id;
        self.held = held;
        self.held.boot_id = boot_id;
        if !same_boot {
            self.held.started.clear();
        }
        for (unit, installed) in installed {
            self.units.entry(unit).or_default().installed = Some(installed);
        }
    }

    /// Accepts a schedule, or refuses it: another cluster's, or an older one, is not an order (P1, P3).
    fn take_schedule(&mut self, schedule: Schedule, effects: &mut Vec<Effect>) {
        let refusal = match &self.held.schedule {
            Some(held) if held.cluster != schedule.cluster => Some(format!(
                "refused a schedule of cluster {}: this machine holds one of cluster {}; its units run on unchanged",
                schedule.cluster, held.cluster
            )),
            Some(held) if held.generation > schedule.generation => Some(format!(
                "refused schedule generation {}: this machine holds generation {}; its units run on unchanged",
                schedule.generation.0, held.generation.0
            )),
            Some(held) if held.generation == schedule.generation && held.units != schedule.units => Some(format!(
                "refused schedule generation {}: it differs from the one of the same generation that this machine \
                 holds; its units run on unchanged",
                schedule.generation.0
            )),
            _ => None,
        };
        if let Some(why) = refusal {
            if self.refused.as_ref() != Some(&why) {
                effects.push(Effect::Refused(why.clone()));
            }
            self.refused = Some(why);
            return;
        }
        self.refused = None;
        if self.held.schedule.as_ref() != Some(&schedule) {
            self.held.schedule = Some(schedule);
            effects.push(Effect::Persist(self.held.clone()));
        }
    }

    fn wanted(&self, unit: &UnitName) -> Option<&ScheduledUnit> {
        self.held.schedule.as_ref()?.units.get(unit)
    }

    fn observe_again(&mut self, names: Option<Vec<UnitName>>, effects: &mut Vec<Effect>) {
        let names: Vec<UnitName> = match names {
            Some(names) => names.into_iter().filter(|name| self.units.contains_key(name)).collect(),
            None => self.units.keys().cloned().collect(),
        };
        self.observe(names, effects);
    }

    fn observe(&mut self, units: Vec<UnitName>, effects: &mut Vec<Effect>) {
        if !units.is_empty() {
            self.tokens += 1;
            effects.push(Effect::Observe { token: Token(self.tokens), units });
        }
    }

    fn take_observations(&mut self, token: Token, units: Vec<Observation>) {
        for Observation { unit, states, since_unix_ms } in units {
            if let Some(local) = self.units.get_mut(&unit) {
                local.see(token, states, since_unix_ms);
            }
        }
    }

    fn finish_files(&mut self, now: Millis, failed: &BTreeMap<UnitName, String>) {
        self.files_in_flight = false;
        let asked = Token(self.tokens);
        let mut gone = Vec::new();
        for (unit, local) in &mut self.units {
            let Some(Busy::Files { becomes }) = local.busy else { continue };
            local.forget_states(asked);
            match failed.get(unit) {
                Some(why) => local.fail(now, why.clone()),
                None => {
                    local.trouble = None;
                    local.installed = becomes.map(|hash| Installed { hash, linked: true });
                    if becomes.is_none() {
                        gone.push(unit.clone());
                    }
                }
            }
        }
        for unit in gone {
            self.units.remove(&unit);
        }
        let needed: BTreeSet<UnitHash> =
            self.held.schedule.iter().flat_map(|it| it.units.values()).map(|it| it.hash).collect();
        self.texts.retain(|hash, _| needed.contains(hash));
    }

    fn finish_start(&mut self, now: Millis, unit: &UnitName, result: JobResult, effects: &mut Vec<Effect>) {
        let asked = Token(self.tokens);
        let Some(local) = self.units.get_mut(unit) else { return };
        let Some(Busy::Starting { hash }) = local.busy else { return };
        local.forget_states(asked);
        match result {
            JobResult::Done => local.trouble = None,
            // systemd has spoken: the unit was started and failed. Trying again is for `Restart=` or the user.
            JobResult::Failed(why) => {
                local.fail(now, why);
                if let Some(trouble) = &mut local.trouble {
                    trouble.retry_at = now;
                }
            }
            JobResult::Lost => return,
        }
        self.held.started.insert(unit.clone(), hash);
        effects.push(Effect::Persist(self.held.clone()));
    }

    fn finish_stop(&mut self, now: Millis, unit: &UnitName, result: JobResult, effects: &mut Vec<Effect>) {
        let asked = Token(self.tokens);
        let Some(local) = self.units.get_mut(unit) else { return };
        local.forget_states(asked);
        match result {
            JobResult::Done => {
                local.trouble = None;
                if self.held.started.remove(unit).is_some() {
                    effects.push(Effect::Persist(self.held.clone()));
                }
            }
            JobResult::Failed(why) => local.fail(now, why),
            JobResult::Lost => {}
        }
    }

    /// Moves every unit one step on.
    fn reconcile(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let scheduled: Vec<UnitName> = self.held.schedule.iter().flat_map(|it| it.units.keys().cloned()).collect();
        for unit in scheduled {
            let synthetic = unit.kind() == UnitKind::Slice;
            self.units.entry(unit).or_default().synthetic = synthetic;
        }
        let names: Vec<UnitName> = self.units.keys().cloned().collect();
        let mut jobs =
            self.units.values().filter(|it| matches!(it.busy, Some(Busy::Starting { .. } | Busy::Stopping))).count();
        let (mut ask, mut files, mut noted) = (Vec::new(), Vec::new(), false);
        for unit in names {
            let wanted = self.wanted(&unit).cloned();
            let started = self.held.started.get(&unit).copied();
            let text_here = wanted.as_ref().is_some_and(|wanted| self.texts.contains_key(&wanted.hash));
            let Some(local) = self.units.get_mut(&unit) else { continue };
            match local.next_step(now, wanted.as_ref(), started, text_here) {
                Step::Rest => {}
                Step::Observe => {
                    if !local.asked {
                        local.asked = true;
                        ask.push(unit);
                    }
                }
                Step::Foreign => local.fail(now, FOREIGN.to_owned()),
                Step::Start(hash) if jobs < MAX_JOBS => {
                    jobs += 1;
                    local.busy = Some(Busy::Starting { hash });
                    effects.push(Effect::Start(unit));
                }
                Step::Stop if jobs < MAX_JOBS => {
                    jobs += 1;
                    local.busy = Some(Busy::Stopping);
                    effects.push(Effect::Stop(unit));
                }
                Step::Start(_) | Step::Stop => {}
                Step::Adopt(hash) => {
                    self.held.started.insert(unit, hash);
                    noted = true;
                }
                Step::Release => {
                    self.held.started.remove(&unit);
                    noted = true;
                }
                step @ (Step::Install(_) | Step::Link | Step::Remove) => {
                    if !self.files_in_flight && files.len() < MAX_FILE_OPS {
                        noted |= self.plan_file(unit, step, &mut files, effects);
                    } else if let Step::Install(hash) = step {
                        self.fetch(hash, effects);
                    }
                }
            }
        }
        if noted {
            effects.push(Effect::Persist(self.held.clone()));
        }
        self.observe(ask, effects);
        if !files.is_empty() {
            self.files_in_flight = true;
            effects.push(Effect::ChangeFiles(files));
        }
    }

    /// Adds one file change to the batch; whether the held state changed with it.
    fn plan_file(&mut self, unit: UnitName, step: Step, files: &mut Vec<FileOp>, effects: &mut Vec<Effect>) -> bool {
        let Some(local) = self.units.get_mut(&unit) else { return false };
        match step {
            Step::Install(hash) => {
                let Some(text) = self.texts.get(&hash).cloned() else {
                    self.fetch(hash, effects);
                    return false;
                };
                local.busy = Some(Busy::Files { becomes: Some(hash) });
                files.push(FileOp::Install { unit, text });
                false
            }
            Step::Link => {
                local.busy = Some(Busy::Files { becomes: local.installed.map(|installed| installed.hash) });
                files.push(FileOp::Link { unit });
                false
            }
            _ => {
                local.busy = Some(Busy::Files { becomes: None });
                let noted = self.held.started.remove(&unit).is_some();
                files.push(FileOp::Remove { unit });
                noted
            }
        }
    }

    fn fetch(&mut self, hash: UnitHash, effects: &mut Vec<Effect>) {
        if !self.texts.contains_key(&hash) && self.asked_for.insert(hash) {
            effects.push(Effect::Fetch(hash));
        }
    }

    fn report(&self) -> Report {
        let unit = |name: &UnitName, local: &Local| {
            let (states, since_unix_ms) = local.states.clone().unwrap_or_default();
            let problem = local.trouble.as_ref().map(|trouble| trouble.text.clone());
            let hash = local.installed.filter(|installed| installed.linked).map(|installed| installed.hash);
            let started = hash.is_some() && self.held.started.get(name).copied() == hash;
            ObservedUnit { hash, started, states, since_unix_ms, problem }
        };
        let units = self.units.iter().map(|(name, local)| (name.clone(), unit(name, local))).collect();
        Report { generation: self.generation(), units, problem: self.refused.clone() }
    }

    /// Publishes the report when it says something new, no more often than [`REPORT_INTERVAL`]. Units whose states
    /// are being asked for keep the last published word: "unknown for a moment" is no news.
    fn publish(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if self.published.is_some() && self.published_at.is_some_and(|at| now < at.plus(REPORT_INTERVAL)) {
            return;
        }
        let mut report = self.report();
        for (name, unit) in &mut report.units {
            if unit.states == UnitStates::default()
                && let Some(last) = self.published.as_ref().and_then(|report| report.units.get(name))
            {
                unit.states = last.states.clone();
                unit.since_unix_ms = last.since_unix_ms;
            }
        }
        if self.published.as_ref() != Some(&report) {
            self.published = Some(report.clone());
            self.published_at = Some(now);
            effects.push(Effect::Publish(report));
        }
    }
}
