//! What can be made to go wrong with a machine: its power, its cable, its disk, its programs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{major, minor, stat};

use crate::delay::Delay;
use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::network::{self, CableFault};
use crate::run;

/// How long systemd-nspawn may take to notice that its machine is dead.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

impl Lab {
    /// A power cut: PID 1 gets SIGKILL, the rest falls with it. [`Lab::start`] boots the machine again.
    pub fn kill(&self, machine: &str) -> Result<()> {
        let (nspawn, processes) = self.running(machine)?;
        processes.kill()?;
        // systemd-nspawn tidies up behind its machine; only if it hangs it is killed, too.
        nspawn.wait_stopped(KILL_TIMEOUT)?;
        nspawn.destroy()
    }

    /// Power off as by its button: systemd shuts the machine down, at most within `timeout`. [`Lab::start`] boots it
    /// again.
    pub fn power_off(&self, machine: &str, timeout: Duration) -> Result<()> {
        let (nspawn, processes) = self.running(machine)?;
        processes.power_off()?;
        nspawn.wait_stopped(timeout)?;
        nspawn.destroy()
    }

    /// All its processes stand still, as on a hung host: its cable is up, nothing answers.
    pub fn freeze(&self, machine: &str) -> Result<()> {
        self.running(machine)?.0.cgroup()?.freeze(true)
    }

    /// Undoes [`Lab::freeze`].
    pub fn thaw(&self, machine: &str) -> Result<()> {
        self.running(machine)?.0.cgroup()?.freeze(false)
    }

    /// The processes of one unit of the machine stand still, such as `etcd.service`; the machine goes on.
    pub fn pause(&self, machine: &str, unit: &str) -> Result<()> {
        self.signal(machine, unit, "SIGSTOP")
    }

    /// Undoes [`Lab::pause`].
    pub fn resume(&self, machine: &str, unit: &str) -> Result<()> {
        self.signal(machine, unit, "SIGCONT")
    }

    /// Pulls the machine's network cable; it stays pulled over reboots.
    pub fn cut(&self, machine: &str) -> Result<()> {
        self.damage(machine, CableFault::Cut)
    }

    /// Gives the machine's cable that fault, in place of any that it has; it stays over reboots.
    pub fn damage(&self, machine: &str, fault: CableFault) -> Result<()> {
        self.load()?.machine(&self.config.name, machine)?;
        network::damage(&self.config.name, machine, fault)
    }

    /// Whether the machine's cable has a fault.
    pub fn is_damaged(&self, machine: &str) -> Result<bool> {
        network::is_faulty(&self.config.name, machine)
    }

    /// The machine's cable is whole again.
    pub fn heal(&self, machine: &str) -> Result<()> {
        self.load()?.machine(&self.config.name, machine)?;
        network::heal(&self.config.name, machine)
    }

    /// Every packet to and from the machine is late by `time`, until the answer is dropped or the machine is off.
    pub fn delay(&self, machine: &str, time: Duration) -> Result<Delay> {
        let processes = self.running(machine)?.1;
        let leader = processes.leader.ok_or_else(|| LabError::Stopped(machine.to_owned()))?;
        Delay::begin(leader, time)
    }

    /// The machine gets so many writes to its disk in a second, all its programs together, until it is off; none: as
    /// many as it likes. Needs a host that throttles (cgroup v1 `blkio`, or v2 with `io` for the machine's group).
    pub fn slow_disk(&self, machine: &str, writes_per_second: Option<u32>) -> Result<()> {
        let cgroup = self.running(machine)?.0.cgroup()?;
        let disk = disk_of(&self.dir())?;
        cgroup.limit_writes(&disk, writes_per_second)
    }

    fn signal(&self, machine: &str, unit: &str, signal: &str) -> Result<()> {
        let signal = format!("--signal={signal}");
        let mut kill = self.command(machine, &["systemctl", "kill", "--kill-whom=all", &signal, unit])?;
        run::run(kill.stdin(Stdio::null()))?;
        Ok(())
    }
}

/// The device below a directory, as cgroups name it.
fn disk_of(dir: &Path) -> Result<String> {
    let device = stat(dir).map_err(LabError::io("examine", dir))?.st_dev;
    Ok(format!("{}:{}", major(device), minor(device)))
}
