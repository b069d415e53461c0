//! What systemd does on each machine, for the daemon and for the guard of exclusive units.

use flota_agent::JobResult;
use flota_agent::fence::{Duty, Guarded};
use flota_registry::{MachineId, Millis};
use flota_unit::UnitName;

use crate::host::{Job, UnitJob};
use crate::world::{Action, Machine, Origin, World};

/// Longest time of a systemd job; one in `HANGS` takes longer, as a unit does that does not hear SIGTERM.
const SLOWEST_JOB: u64 = 300;
const HANGS: u32 = 20;
const HANGING_JOB: u64 = 12_000;
/// Longest time of a question to systemd, and of a signal.
const SLOWEST_LOOK: u64 = 5;
/// Longest time until a guard that was asked for runs.
const SLOWEST_GUARD: u64 = 30;

impl World {
    /// systemd takes on a start or stop.
    pub(crate) fn unit_job(&mut self, machine: &MachineId, asked_by: u64, unit: &UnitName, start: bool) {
        let Some(Machine { host, .. }) = self.machine(machine) else { return };
        let (job, canceled) = host.take_on(unit, start, asked_by);
        self.runs_changed = true;
        if let Some(canceled) = canceled {
            let asked_by = canceled.asked_by;
            self.job_on(machine, asked_by, Job::Canceled(canceled), SLOWEST_LOOK);
        }
        let slowest = if self.random.u32(0..HANGS) == 0 { HANGING_JOB } else { SLOWEST_JOB };
        self.job_on(machine, asked_by, Job::Unit(job), slowest);
    }

    pub(crate) fn job(&mut self, to: &Origin, job: Job, slowest: u64) {
        self.job_on(&to.machine, to.epoch, job, slowest);
    }

    fn job_on(&mut self, machine: &MachineId, asked_by: u64, job: Job, slowest: u64) {
        let Some(boot) = self.machine(machine).map(|machine| machine.host.boot) else { return };
        let span = Millis(self.random.u64(1..=slowest));
        self.after(span, Action::JobDone { machine: machine.clone(), boot, asked_by, job });
    }

    pub(crate) fn job_done(&mut self, machine: &MachineId, boot: u32, asked_by: u64, job: Job) {
        let Some(Machine { host, daemon, .. }) = self.machines.get_mut(machine) else { return };
        if !host.powered || host.boot != boot {
            return;
        }
        // Jobs are systemd's and outlive the daemon; files are changed by the daemon itself.
        if matches!(job, Job::Files(_)) && daemon.as_ref().is_none_or(|daemon| daemon.epoch != asked_by) {
            return;
        }
        let to = Origin { machine: machine.clone(), epoch: asked_by };
        let event = match job {
            Job::Files(ops) => match host.change_files(&ops) {
                Ok(results) => flota_agent::Event::FilesChanged(results),
                Err(why) => return self.violate(why),
            },
            Job::Canceled(job) => job.event(JobResult::Failed("job was canceled".to_owned())),
            Job::Unit(job) => {
                let Some(result) = host.finish(&job) else { return };
                return self.unit_done(machine, job, result);
            }
            Job::Kill(unit) => {
                self.runs_changed = true;
                return match host.kill(&unit) {
                    Some((job, result)) => self.unit_done(machine, job, result),
                    None => self.signal(machine, unit),
                };
            }
            Job::Observe { token, units } => flota_agent::Event::Observed { token, units: host.observe(units) },
        };
        self.tell_agent(&to, event);
    }

    fn unit_done(&mut self, machine: &MachineId, job: UnitJob, result: JobResult) {
        self.runs_changed = true;
        self.signal(machine, job.unit.clone());
        let to = Origin { machine: machine.clone(), epoch: job.asked_by };
        self.tell_agent(&to, job.event(result));
    }

    /// systemd tells whoever listens that a unit changed.
    fn signal(&mut self, machine: &MachineId, unit: UnitName) {
        let Some(Machine { host, daemon, .. }) = self.machines.get(machine) else { return };
        let (runs, epoch) = (host.is_running(&unit), daemon.as_ref().map(|daemon| daemon.epoch));
        self.starts += u64::from(runs);
        self.note(format!("{} {} {unit}", machine.short(), if runs { "runs" } else { "has stopped" }));
        if let Some(epoch) = epoch {
            let to = Origin { machine: machine.clone(), epoch };
            self.tell_agent(&to, flota_agent::Event::Changed(Some(vec![unit])));
        }
    }

    // === The guard of exclusive units ===

    /// Writes the guard's file, and has a guard run; it ends by itself when the file is gone.
    pub(crate) fn tell_guard(&mut self, to: &Origin, guarded: Option<Guarded>) {
        let Some(Machine { host, .. }) = self.machine(&to.machine) else { return };
        let (boot, wanted) = (host.boot, guarded.is_some());
        host.guarded = guarded;
        if wanted && !std::mem::replace(&mut host.has_guard, true) {
            let span = Millis(self.random.u64(1..=SLOWEST_GUARD));
            self.after(span, Action::Guard { machine: to.machine.clone(), boot });
        }
        let span = Millis(self.random.u64(1..=SLOWEST_LOOK));
        self.after(span, Action::GuardTold { to: to.clone(), at: self.now });
    }

    /// The guard reads its file, and does what is due.
    pub(crate) fn guard(&mut self, machine: &MachineId, boot: u32) {
        let (now, lag) = (self.now, self.lag(machine));
        let Some(Machine { host, .. }) = self.machine(machine) else { return };
        if !host.powered || host.boot != boot {
            return;
        }
        let Some(guarded) = host.guarded.clone() else {
            host.has_guard = false;
            return;
        };
        let up: Vec<UnitName> = guarded.units.iter().filter(|unit| host.is_up(unit)).cloned().collect();
        let next = match guarded.duty(now) {
            Duty::Wait(until) => until,
            Duty::Stop(until) => {
                self.guard_stops(machine, &up, false);
                until
            }
            Duty::Kill(_, later) if up.is_empty() => later,
            Duty::Kill(soon, _) => {
                self.guard_stops(machine, &up, true);
                soon
            }
        };
        let span = Millis(next.since(now).0.max(1)).plus(lag);
        self.after(span, Action::Guard { machine: machine.clone(), boot });
    }

    fn guard_stops(&mut self, machine: &MachineId, units: &[UnitName], kill: bool) {
        for unit in units {
            let what = if kill { "kills" } else { "stops" };
            self.note(format!("the guard of {} {what} {unit}", machine.short()));
            self.unit_job(machine, 0, unit, false);
            if kill {
                self.job_on(machine, 0, Job::Kill(unit.clone()), SLOWEST_LOOK);
            }
        }
    }

    /// How late what is due happens on this machine.
    pub(crate) fn lag(&mut self, machine: &MachineId) -> Millis {
        let slowest = self.machines.get(machine).map_or(0, |machine| machine.lag.0);
        if slowest == 0 { Millis(0) } else { Millis(self.random.u64(0..=slowest)) }
    }
}
