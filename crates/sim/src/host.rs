//! A machine without its daemon: a disk that survives reboots, a systemd that does not.

use std::collections::BTreeMap;

use flota_agent::fence::Guarded;
use flota_agent::{Event, FileOp, FileResults, Held, Installed, JobResult, Observation};
use flota_registry::{TargetState, UnitStates};
use flota_unit::{UnitFile, UnitHash, UnitName};

/// A unit that systemd knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) active: bool,
    /// Whether it has processes: from the moment that its start is taken on until its stop has ended, or it is killed.
    pub(crate) up: bool,
    /// Times it was started during this boot.
    pub(crate) starts: u32,
    /// The content it was last started with.
    pub(crate) hash: Option<UnitHash>,
}

/// A start or stop that systemd has taken on and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitJob {
    pub(crate) unit: UnitName,
    pub(crate) number: u64,
    pub(crate) start: bool,
    /// The life of the daemon that asked for it; 0: the guard did.
    pub(crate) asked_by: u64,
}

impl UnitJob {
    pub(crate) fn event(self, result: JobResult) -> Event {
        if self.start { Event::Started(self.unit, result) } else { Event::Stopped(self.unit, result) }
    }
}

/// Something that is being done for the daemon.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Files(Vec<FileOp>),
    Unit(UnitJob),
    /// A later job of the same unit took its place.
    Canceled(UnitJob),
    /// SIGKILL to all of its processes.
    Kill(UnitName),
    Observe {
        token: flota_agent::Token,
        units: Vec<UnitName>,
    },
}

/// Disk and systemd.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) powered: bool,
    pub(crate) boot: u32,
    /// What the agent wrote last, as bytes.
    held: Vec<u8>,
    files: BTreeMap<UnitName, Installed>,
    pub(crate) runs: BTreeMap<UnitName, Run>,
    /// The job of each unit that has not ended.
    jobs: BTreeMap<UnitName, UnitJob>,
    numbers: u64,
    /// The guard's file, and whether a guard runs.
    pub(crate) guarded: Option<Guarded>,
    pub(crate) has_guard: bool,
}

impl Host {
    pub(crate) fn new() -> Host {
        Host { powered: true, boot: 1, ..Host::default() }
    }

    pub(crate) fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    /// What the disk holds for an agent that starts.
    pub(crate) fn held(&self) -> Held {
        Held::decode(&self.held).unwrap_or_default()
    }

    pub(crate) fn persist(&mut self, held: &Held) {
        self.held = held.encode();
    }

    pub(crate) fn installed(&self) -> BTreeMap<UnitName, Installed> {
        self.files.clone()
    }

    /// People have put another disk in.
    pub(crate) fn reinstalled(boot: u32) -> Host {
        Host { boot, ..Host::new() }
    }

    /// The power is gone: links and processes with it.
    pub(crate) fn power_off(&mut self) {
        self.powered = false;
        self.runs.clear();
        self.jobs.clear();
        (self.guarded, self.has_guard) = (None, false);
        self.files.values_mut().for_each(|file| file.linked = false);
    }

    pub(crate) fn power_on(&mut self) {
        self.powered = true;
        self.boot += 1;
    }

    pub(crate) fn is_running(&self, unit: &UnitName) -> bool {
        self.runs.get(unit).is_some_and(|run| run.active)
    }

    /// Whether the unit has processes, with what content, if that is known.
    pub(crate) fn is_up(&self, unit: &UnitName) -> bool {
        self.runs.get(unit).is_some_and(|run| run.up)
    }

    /// Takes on a start or stop; returns it, and the job of the same unit that it cancels.
    pub(crate) fn take_on(&mut self, unit: &UnitName, start: bool, asked_by: u64) -> (UnitJob, Option<UnitJob>) {
        self.numbers += 1;
        let job = UnitJob { unit: unit.clone(), number: self.numbers, start, asked_by };
        if let Some(file) = self.files.get(unit).filter(|file| start && file.linked) {
            let run = self.runs.entry(unit.clone()).or_default();
            if !run.up {
                (run.up, run.hash) = (true, Some(file.hash));
            }
        }
        let canceled = self.jobs.insert(unit.clone(), job.clone());
        (job, canceled)
    }

    /// Does a job, unless another has taken its place.
    pub(crate) fn finish(&mut self, job: &UnitJob) -> Option<JobResult> {
        if self.jobs.get(&job.unit) != Some(job) {
            return None;
        }
        self.jobs.remove(&job.unit);
        Some(if job.start { self.start(&job.unit) } else { self.stop(&job.unit) })
    }

    /// Kills all processes of a unit; returns the job that ends with them.
    pub(crate) fn kill(&mut self, unit: &UnitName) -> Option<(UnitJob, JobResult)> {
        if let Some(run) = self.runs.get_mut(unit) {
            (run.active, run.up) = (false, false);
        }
        let job = self.jobs.remove(unit)?;
        let result = if job.start { JobResult::Failed("killed".to_owned()) } else { JobResult::Done };
        Some((job, result))
    }

    /// Why the order on this machine's disk says that `unit` is to run on, if it does: a stop would break promise P1.
    pub(crate) fn wants_on(&self, unit: &UnitName) -> Option<String> {
        let held = self.held();
        let schedule = held.schedule.as_ref()?;
        // Exclusive units ask for it: they end with their machine's lease.
        let order =
            schedule.units.get(unit).filter(|order| order.target == TargetState::Launched && !order.exclusive)?;
        let as_wanted = self.runs.get(unit).is_some_and(|run| run.active && run.hash == Some(order.hash));
        as_wanted.then(|| format!("{unit} runs as generation {} on the disk wants it", schedule.generation.0))
    }

    pub(crate) fn change_files(&mut self, ops: &[FileOp]) -> Result<FileResults, String> {
        for op in ops {
            let unit = op.unit().clone();
            match op {
                FileOp::Install { .. } | FileOp::Remove { .. } if self.is_running(&unit) => {
                    return Err(format!("{unit}: its file changed under it"));
                }
                FileOp::Install { text, .. } => {
                    let file = UnitFile::parse(text).map_err(|_| format!("{unit}: a text that is no unit file"))?;
                    self.files.insert(unit, Installed { hash: file.hash(), linked: true });
                }
                FileOp::Link { .. } => {
                    let file = self.files.get_mut(&unit).ok_or_else(|| format!("{unit}: a link to no file"))?;
                    file.linked = true;
                }
                FileOp::Remove { .. } => drop(self.files.remove(&unit)),
            }
        }
        Ok(FileResults::default())
    }

    fn start(&mut self, unit: &UnitName) -> JobResult {
        let Some(file) = self.files.get(unit).filter(|file| file.linked) else {
            return JobResult::Failed("unit not found".to_owned());
        };
        let run = self.runs.entry(unit.clone()).or_default();
        if !run.active {
            *run = Run { active: true, up: true, starts: run.starts + 1, hash: Some(file.hash) };
        }
        JobResult::Done
    }

    fn stop(&mut self, unit: &UnitName) -> JobResult {
        if let Some(run) = self.runs.get_mut(unit) {
            (run.active, run.up) = (false, false);
        }
        JobResult::Done
    }

    pub(crate) fn observe(&self, units: Vec<UnitName>) -> Vec<Observation> {
        let observe = |unit: UnitName| {
            let linked = self.files.get(&unit).is_some_and(|file| file.linked);
            let states = UnitStates {
                load: if linked { "loaded" } else { "not-found" }.to_owned(),
                active: self.active(&unit).to_owned(),
                sub: String::new(),
            };
            Observation { unit, states, since_unix_ms: None }
        };
        units.into_iter().map(observe).collect()
    }

    fn active(&self, unit: &UnitName) -> &'static str {
        match self.jobs.get(unit).map(|job| job.start) {
            Some(true) if !self.is_running(unit) => "activating",
            Some(false) if self.is_running(unit) => "deactivating",
            _ if self.is_running(unit) => "active",
            _ => "inactive",
        }
    }
}
