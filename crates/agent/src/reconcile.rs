//! From what is wanted and what is known to the next operations.

use std::collections::BTreeSet;

use flota_registry::{Millis, TargetState};
use flota_unit::{UnitHash, UnitKind, UnitName};

use crate::agent::Agent;
use crate::event::{Effect, FileOp};
use crate::local::{Busy, Local, Order, SLOW_JOB, Step};

/// Most jobs handed to systemd at once, of starts and of stops each; the others wait for their turn.
const MAX_JOBS: usize = 64;
/// Most file changes in one batch (and one daemon-reload).
const MAX_FILE_OPS: usize = 512;
/// How long file changes wait for texts under way.
const BATCH_WAIT: Millis = Millis(100);

/// Shadowing a unit of the distribution or the administrator would take their service away.
const FOREIGN: &str =
    "this machine has a unit of this name already that is not Flota's: rename the unit, or remove the other one";
/// The administrator's word stands above the schedule's.
const MASKED: &str = "units of this name are masked on this machine: run `systemctl unmask` there, or rename the unit";

/// What one round of steps gathers up.
struct Round {
    now: Millis,
    starts: usize,
    stops: usize,
    /// File changes that could be made now.
    files: Vec<(UnitName, Step)>,
    ask: Vec<UnitName>,
    /// The sockets that start, by the names of the services they are for, without suffix.
    opening: BTreeSet<String>,
    /// Whether a text is under way.
    text_missing: bool,
    /// Whether the disk must know of a change before anything else happens.
    noted: bool,
}

impl Agent {
    /// Moves every unit one step on.
    pub(crate) fn reconcile(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let recent = |since: &Millis| now.since(*since) < SLOW_JOB;
        let jobs = |stops: bool| {
            let of_kind = self.units.values().filter(|it| matches!(it.busy, Some(Busy::Stopping { .. })) == stops);
            of_kind.filter_map(Local::job_since).filter(recent).count()
        };
        let (starts, stops) = (jobs(false), jobs(true));
        let (files, ask) = (Vec::new(), Vec::new());
        let opening = self.opening(now);
        let mut round = Round { now, starts, stops, files, ask, opening, text_missing: false, noted: false };
        self.crowded = false;
        let mut operations = Vec::new();
        let mut units = std::mem::take(&mut self.units);
        units.retain(|unit, local| self.step(unit, local, &mut round, &mut operations));
        self.units = units;
        let batch = self.plan_files(&mut round);
        if round.noted {
            self.persist(effects);
        }
        effects.append(&mut operations);
        self.observe(round.ask, effects);
        if !batch.is_empty() {
            self.files_in_flight = true;
            effects.push(Effect::ChangeFiles(batch));
        }
    }

    /// The stems of the sockets that are to be started and will not keep their services waiting for long.
    fn opening(&self, now: Millis) -> BTreeSet<String> {
        let sockets = self.units.iter().filter(|(unit, _)| unit.kind() == UnitKind::Socket);
        let starting = sockets.filter(|(unit, local)| {
            let Some(wanted) = self.wanted(unit).filter(|wanted| wanted.target == TargetState::Launched) else {
                return false;
            };
            let started = self.held.started.get(*unit) == Some(&wanted.hash);
            let held_back = local.exclusive && !self.fence.lets_start(now);
            !started && !held_back && local.is_starting(now, wanted, self.texts.contains_key(&wanted.hash))
        });
        starting.map(|(unit, _)| unit.stem().to_owned()).collect()
    }

    /// Moves one unit one step on; whether there is more to know of it.
    fn step(&mut self, unit: &UnitName, local: &mut Local, round: &mut Round, effects: &mut Vec<Effect>) -> bool {
        let wanted = self.wanted(unit);
        if local.is_fenced_and_down() {
            let was_up = local.fenced.take().is_some_and(|fenced| fenced.was_up);
            round.noted |= was_up && self.held.started.remove(unit).is_some();
        }
        let started = self.held.started.get(unit).copied();
        let text_here = wanted.is_some_and(|wanted| self.texts.contains_key(&wanted.hash));
        let step = match local.next_step(round.now, wanted, started, text_here) {
            step if local.fenced.is_some() => step,
            // Without any schedule nothing is known to be unwanted (promise P1).
            _ if self.held.schedule.is_none() && local.states.is_some() => Step::Rest,
            _ if self.held.schedule.is_none() => Step::Observe,
            // What runs is what is to run: its file is put in its place, and it is adopted.
            Step::Foreign => match wanted.filter(|wanted| self.copies.get(unit) == Some(&wanted.hash)) {
                Some(wanted) => Step::Install(wanted.hash),
                None => Step::Foreign,
            },
            step => step,
        };
        match step {
            Step::Rest => {}
            Step::Observe => {
                if !local.asked {
                    local.asked = true;
                    round.ask.push(unit.clone());
                }
            }
            Step::Foreign => {
                let masked = local.states.as_ref().is_some_and(|(states, _)| states.load == "masked");
                local.fail(round.now, if masked { MASKED } else { FOREIGN }.to_owned());
                local.recheck = true;
            }
            Step::Start(_) if self.patient_until.is_some_and(|until| round.now < until) => {}
            Step::Start(_) if local.exclusive && !self.fence.lets_start(round.now) => {}
            // systemd refuses to open the socket of a service that runs.
            Step::Start(_) if unit.kind() == UnitKind::Service && round.opening.contains(unit.stem()) => {
                self.crowded = true;
            }
            Step::Start(hash) if round.starts < MAX_JOBS => {
                round.starts += 1;
                local.busy = Some(Busy::Starting { hash, since: round.now });
                local.fence_note = None;
                effects.push(Effect::Start(unit.clone()));
            }
            Step::Stop if round.stops < MAX_JOBS || local.fenced.is_some() => {
                round.stops += 1;
                if let Some(fenced) = &mut local.fenced {
                    fenced.look_first = true;
                    local.fence_note.get_or_insert_with(|| self.fence.reason(round.now));
                }
                local.busy = Some(Busy::Stopping { since: round.now });
                effects.push(Effect::Stop(unit.clone()));
            }
            Step::Start(_) | Step::Stop => self.crowded = true,
            Step::Adopt(hash) => self.note_started(round.now, unit.clone(), hash),
            Step::Release => round.noted |= self.held.started.remove(unit).is_some(),
            Step::Forget => {
                round.noted |= self.held.started.remove(unit).is_some();
                return false;
            }
            Step::Install(_) if !text_here => {}
            Step::Install(_) | Step::Link | Step::Remove => round.files.push((unit.clone(), step)),
        }
        let late = |wanted: &Order| !text_here && local.needs_text(*wanted) && !local.waits(round.now);
        if let Some(wanted) = wanted.filter(late) {
            round.text_missing = true;
            self.fetch(wanted.hash, effects);
        }
        true
    }

    /// Makes a batch of the file changes that are ready, unless one is under way, or texts are that could come
    /// along.
    fn plan_files(&mut self, round: &mut Round) -> Vec<FileOp> {
        if self.files_in_flight || round.files.is_empty() {
            self.batch_due = None;
            return Vec::new();
        }
        if round.text_missing && round.now < *self.batch_due.get_or_insert(round.now.plus(BATCH_WAIT)) {
            return Vec::new();
        }
        self.batch_due = None;
        let ready = std::mem::take(&mut round.files);
        ready.into_iter().take(MAX_FILE_OPS).filter_map(|(unit, step)| self.plan_file(unit, step, round)).collect()
    }

    fn plan_file(&mut self, unit: UnitName, step: Step, round: &mut Round) -> Option<FileOp> {
        let local = self.units.get_mut(&unit)?;
        let (becomes, op) = match step {
            Step::Install(hash) => {
                let text = self.texts.get(&hash)?.clone();
                local.touched = true;
                (Some(hash), FileOp::Install { unit, text })
            }
            Step::Link => (local.installed.map(|installed| installed.hash), FileOp::Link { unit }),
            _ => {
                round.noted |= self.held.started.remove(&unit).is_some();
                (None, FileOp::Remove { unit })
            }
        };
        local.busy = Some(Busy::Files { becomes });
        Some(op)
    }

    fn fetch(&mut self, hash: UnitHash, effects: &mut Vec<Effect>) {
        if self.asked_for.insert(hash) {
            effects.push(Effect::Fetch(hash));
        }
    }
}
