//! The agent's state machine: what each event changes in what it knows.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{Generation, Millis, Report, Schedule, TargetState};
use flota_unit::{UnitHash, UnitKind, UnitName};

use crate::event::{Effect, Event, FileResults, Installed, JobResult, Observation, Token};
use crate::fence::{Fence, Guarded};
use crate::held::Held;
use crate::local::{Busy, Local, Order, SLOW_JOB};
use crate::report::ReportRate;
use crate::trust::Known;

/// How long the note that a unit was started may wait to be written together with others. Should the daemon end
/// before, it finds the unit running and takes it over.
const NOTE_WAIT: Millis = Millis(100);

/// How long the disk may not know of the store's newest revision. Older ones do: a store that is older than the last
/// few seconds is told by them.
const REVISION_WAIT: Millis = Millis(5_000);

/// How long a machine that has just booted waits for the store's word before it starts its last schedule alone: what
/// was moved to another machine meanwhile is then not started twice.
const BOOT_PATIENCE: Millis = Millis(3_000);

/// One machine's agent.
#[derive(Debug, Default)]
pub struct Agent {
    pub(crate) held: Held,
    pub(crate) units: BTreeMap<UnitName, Local>,
    /// Unit files beside Flota's folder that give way to a unit with the same content.
    pub(crate) copies: BTreeMap<UnitName, UnitHash>,
    /// Texts that arrived and are not yet installed.
    pub(crate) texts: BTreeMap<UnitHash, String>,
    pub(crate) asked_for: BTreeSet<UnitHash>,
    pub(crate) tokens: u64,
    pub(crate) files_in_flight: bool,
    /// Until when file changes wait for texts under way, to share their daemon-reload.
    pub(crate) batch_due: Option<Millis>,
    /// Whether a job waits for others to end.
    pub(crate) crowded: bool,
    /// Until when starts wait for the store's word.
    pub(crate) patient_until: Option<Millis>,
    /// When what is noted in `held` is to be on the disk, if it is not.
    unsaved: Option<Millis>,
    pub(crate) fence: Fence,
    pub(crate) refused: Option<String>,
    pub(crate) published: Option<Report>,
    pub(crate) report_rate: ReportRate,
    /// Whether the store is to be told even what it was told before.
    pub(crate) republish: bool,
}

impl Agent {
    /// An agent that knows nothing yet; [`Event::Boot`] comes first.
    pub fn new() -> Agent {
        Agent::default()
    }

    /// An agent whose machine's leases are of this length; `found` is what an earlier daemon told the guard.
    pub fn fencing(lease: Millis, found: Option<Guarded>) -> Agent {
        Agent { fence: Fence::new(lease, found), ..Agent::default() }
    }

    /// The generation of the schedule that it holds.
    pub fn generation(&self) -> Generation {
        self.held.schedule.as_ref().map_or(Generation::default(), |schedule| schedule.generation)
    }

    /// When [`Event::Tick`] is wanted, if nothing happens before.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let retries = self.units.values().filter_map(|local| local.trouble.as_ref()?.retry_at);
        let jobs = self.units.values().filter_map(Local::job_since).filter(|_| self.crowded);
        let report = Some(self.report_rate.next());
        let others = [report, self.batch_due, self.unsaved, self.patient_until, self.fence_deadline(now)];
        let all = retries.chain(jobs.map(|since| since.plus(SLOW_JOB))).chain(others.into_iter().flatten());
        all.filter(|at| *at > now).min()
    }

    /// Takes in one event.
    #[must_use]
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        // Before the event: a renewal that comes too late does not undo that the deadline passed.
        self.keep_fence(now, &mut effects);
        match event {
            Event::Boot { held, boot_id, installed, copies } => {
                self.copies = copies;
                self.boot(now, held, boot_id, installed);
            }
            Event::Believed(known) => self.believe(now, known, &mut effects),
            Event::Schedule(schedule) => self.take_schedule(now, schedule, &mut effects),
            Event::Text { hash, text } => self.take_text(hash, text),
            Event::NoText { hash, why } => self.miss_text(now, hash, &why),
            Event::Connected => {
                self.asked_for.clear();
                // This store may have what another one had not.
                self.each_without_text(|_, local| local.trouble = None);
                self.republish = true;
            }
            Event::Changed(names) => self.observe_again(names, &mut effects),
            Event::Observed { token, units } => self.take_observations(token, units),
            Event::FilesChanged(results) => self.finish_files(now, results),
            Event::Started(unit, result) => self.finish_start(now, &unit, result),
            Event::Stopped(unit, result) => self.finish_stop(now, &unit, result, &mut effects),
            Event::LeaseRenewed { sent } => self.renew_lease(now, sent),
            Event::GuardTold { at } => self.guard_told(now, at, &mut effects),
            Event::Tick => {}
        }
        self.keep_fence(now, &mut effects);
        self.tell_guard(now, &mut effects);
        if self.has_settled(now) {
            self.save_by(now.plus(NOTE_WAIT));
        }
        self.reconcile(now, &mut effects);
        self.kill_overdue(now, &mut effects);
        if self.unsaved.is_some_and(|due| due <= now) {
            self.persist(&mut effects);
        }
        self.publish(now, &mut effects);
        effects
    }

    pub(crate) fn persist(&mut self, effects: &mut Vec<Effect>) {
        self.unsaved = None;
        effects.push(Effect::Persist(self.held.clone()));
    }

    /// Notes what runs. The disk may learn of it a little later, together with other such notes.
    pub(crate) fn note_started(&mut self, now: Millis, unit: UnitName, hash: UnitHash) {
        self.held.started.insert(unit, hash);
        self.save_by(now.plus(NOTE_WAIT));
    }

    fn save_by(&mut self, due: Millis) {
        self.unsaved = Some(self.unsaved.map_or(due, |earlier| earlier.min(due)));
    }

    /// Remembers how far the store is. Which store it is must be on the disk before anything of it is acted on.
    fn believe(&mut self, now: Millis, known: Known, effects: &mut Vec<Effect>) {
        let before = self.held.known.replace(known.clone());
        if before.as_ref() == Some(&known) {
            return;
        }
        if known.incarnation != before.as_ref().map_or(0, |before| before.incarnation) {
            self.settle(now);
        }
        let only_further = before.is_some_and(|before| Known { revision: known.revision, ..before } == known);
        if only_further { self.save_by(now.plus(REVISION_WAIT)) } else { self.persist(effects) }
    }

    fn boot(&mut self, now: Millis, held: Held, boot_id: String, installed: BTreeMap<UnitName, Installed>) {
        let same_boot = held.boot_id == boot_id;
        self.patient_until = (!same_boot).then(|| now.plus(BOOT_PATIENCE));
        self.held = held;
        self.held.boot_id = boot_id;
        // A unit whose file is gone is not one that was started with it.
        self.held.started.retain(|unit, _| same_boot && installed.contains_key(unit));
        for (unit, installed) in installed {
            let fresh = Local::of(&unit);
            self.units.entry(unit).or_insert(fresh).installed = Some(installed);
        }
        self.enrol();
        self.fence_at_boot(now);
        if self.held.settling {
            self.settle(now);
            self.forsake_unwanted(now);
        }
    }

    /// The lease counts while the store's word is one that this machine follows: in a store that holds an older schedule
    /// than this machine does, others may have been given its exclusive units.
    fn renew_lease(&mut self, now: Millis, sent: Millis) {
        if self.refused.is_none() {
            self.fence.renew(now, sent);
        }
    }

    /// Accepts a schedule, or refuses it: another cluster's, or an older one, is not an order (P1, P3). The first one of
    /// a store that people accepted counts whatever its generation: they know that the store is older.
    fn take_schedule(&mut self, now: Millis, schedule: Schedule, effects: &mut Vec<Effect>) {
        self.patient_until = None;
        let incarnation = self.held.known.as_ref().map_or(0, |known| known.incarnation);
        let anew = incarnation > self.held.schedule_incarnation;
        let refusal = match &self.held.schedule {
            Some(held) if held.cluster != schedule.cluster => Some(format!(
                "refused a schedule of cluster {}: this machine holds one of cluster {}; its units run on unchanged",
                schedule.cluster, held.cluster
            )),
            Some(_) if anew => None,
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
        if anew || self.held.schedule.as_ref() != Some(&schedule) {
            self.held.schedule_incarnation = incarnation;
            self.note_new_orders(&schedule);
            self.held.schedule = Some(schedule);
            self.enrol();
            if anew {
                self.forsake_unwanted(now);
            }
            self.persist(effects);
        }
    }

    /// A unit with new orders is tried at once, whatever went wrong under the old ones. One that goes from launched
    /// to loaded is to stop if it runs, even where its start was never noted. One that is to be launched by new
    /// orders is to start unless it is found running: what was started under older orders may have been stopped since.
    fn note_new_orders(&mut self, schedule: &Schedule) {
        for (name, local) in &mut self.units {
            let before = self.held.schedule.as_ref().and_then(|held| held.units.get(name)).map(Order::from);
            let after = schedule.units.get(name).map(Order::from);
            if before == after {
                continue;
            }
            local.trouble = None;
            local.fence_note = local.fence_note.take().filter(|_| local.fenced.is_some());
            let is = |order: Option<Order>, target| order.is_some_and(|order| order.target == target);
            if is(after, TargetState::Launched) {
                self.held.started.remove(name);
            }
            if is(before, TargetState::Launched)
                && is(after, TargetState::Loaded)
                && let Some(installed) = local.installed
            {
                self.held.started.entry(name.clone()).or_insert(installed.hash);
            }
        }
    }

    /// Every scheduled unit is one that the agent cares for. One that was exclusive and is not scheduled any more stays
    /// so until it is gone.
    fn enrol(&mut self) {
        for (name, unit) in self.held.schedule.iter().flat_map(|schedule| &schedule.units) {
            if !self.units.contains_key(name) {
                self.units.insert(name.clone(), Local::of(name));
            }
            if let Some(local) = self.units.get_mut(name) {
                local.exclusive = unit.exclusive;
                local.forsaken = None;
            }
        }
    }

    fn take_text(&mut self, hash: UnitHash, text: String) {
        self.asked_for.remove(&hash);
        self.each_without_text(|wanted, local| {
            if wanted == hash {
                local.trouble = None;
            }
        });
        self.texts.insert(hash, text);
    }

    /// The text is asked for again later: whoever wrote the schedule saw it, so it may only be late.
    fn miss_text(&mut self, now: Millis, hash: UnitHash, why: &str) {
        self.asked_for.remove(&hash);
        self.each_without_text(|wanted, local| {
            if wanted == hash {
                local.fail(now, format!("its unit file {} {why}", hash.short()));
            }
        });
    }

    /// Visits the units whose text must come from the store and has not.
    fn each_without_text(&mut self, mut visit: impl FnMut(UnitHash, &mut Local)) {
        let scheduled = self.held.schedule.iter().flat_map(|schedule| &schedule.units);
        for (name, unit) in scheduled.filter(|(_, unit)| !self.texts.contains_key(&unit.hash)) {
            if let Some(local) = self.units.get_mut(name).filter(|local| local.needs_text(Order::from(unit))) {
                visit(unit.hash, local);
            }
        }
    }

    pub(crate) fn wanted(&self, unit: &UnitName) -> Option<Order> {
        self.held.schedule.as_ref()?.units.get(unit).map(Order::from)
    }

    fn observe_again(&mut self, names: Option<Vec<UnitName>>, effects: &mut Vec<Effect>) {
        let names: Vec<UnitName> = match names {
            Some(names) => names.into_iter().filter(|name| self.units.contains_key(name)).collect(),
            None => self.units.keys().cloned().collect(),
        };
        self.observe(names, effects);
    }

    pub(crate) fn observe(&mut self, units: Vec<UnitName>, effects: &mut Vec<Effect>) {
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

    fn finish_files(&mut self, now: Millis, mut results: FileResults) {
        self.files_in_flight = false;
        let asked = Token(self.tokens);
        let mut gone = Vec::new();
        let mut arrived = BTreeSet::new();
        for (unit, local) in &mut self.units {
            let Some(Busy::Files { becomes }) = local.busy else { continue };
            local.forget_states(asked);
            if let Some(why) = results.failed.remove(unit) {
                local.fail(now, why);
                continue;
            }
            local.trouble = None;
            local.not_enabled = results.not_enabled.remove(unit);
            local.installed = becomes.map(|hash| Installed { hash, linked: true });
            match becomes {
                None => gone.push(unit.clone()),
                Some(_) if unit.kind() == UnitKind::Service => drop(arrived.insert(unit.stem().to_owned())),
                Some(_) => {}
            }
        }
        self.retry_activators(&arrived);
        for unit in gone {
            self.units.remove(&unit);
        }
        self.enrol(); // A unit that was removed may be wanted again.
        let schedule = self.held.schedule.iter().flat_map(|schedule| &schedule.units);
        let uninstalled =
            schedule.filter(|(name, unit)| self.units.get(*name).is_none_or(|it| it.needs_text(Order::from(*unit))));
        let needed: BTreeSet<UnitHash> = uninstalled.map(|(_, unit)| unit.hash).collect();
        self.texts.retain(|hash, _| needed.contains(hash));
    }

    /// systemd starts no socket, timer or path whose service it does not know. Now that these services are here, those
    /// that failed are started again.
    fn retry_activators(&mut self, services: &BTreeSet<String>) {
        for (unit, local) in &mut self.units {
            let activates = matches!(unit.kind(), UnitKind::Socket | UnitKind::Timer | UnitKind::Path);
            let failed = local.trouble.as_ref().is_some_and(|trouble| trouble.retry_at.is_none());
            if activates && failed && services.contains(unit.stem()) {
                local.trouble = None;
                local.recheck = true;
                self.held.started.remove(unit);
            }
        }
    }

    fn finish_start(&mut self, now: Millis, unit: &UnitName, result: JobResult) {
        let asked = Token(self.tokens);
        let Some(local) = self.units.get_mut(unit) else { return };
        let Some(Busy::Starting { hash, .. }) = local.busy else { return };
        local.forget_states(asked);
        match result {
            JobResult::Done => local.trouble = None,
            // systemd has spoken: the unit was started and failed. Trying again is for `Restart=` or the user.
            JobResult::Failed(why) => local.blame(why),
            JobResult::Lost => return,
        }
        self.note_started(now, unit.clone(), hash);
    }

    fn finish_stop(&mut self, now: Millis, unit: &UnitName, result: JobResult, effects: &mut Vec<Effect>) {
        let asked = Token(self.tokens);
        let Some(local) = self.units.get_mut(unit) else { return };
        let Some(Busy::Stopping { .. }) = local.busy else { return };
        local.forget_states(asked);
        match result {
            JobResult::Done => {
                local.trouble = None;
                if self.held.started.remove(unit).is_some() {
                    self.persist(effects);
                }
            }
            JobResult::Failed(why) => local.fail(now, why),
            JobResult::Lost => {}
        }
    }
}
