//! A lab as its users see it: machines by name, and commands in them.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use crate::config::LabConfig;
use crate::error::{LabError, Result};
use crate::image::{self, Recipe};
use crate::nspawn::Nspawn;
use crate::process::{self, Processes};
use crate::progress::Progress;
use crate::state::{LabState, MachineRecord};
use crate::{exec, files, preflight, run, ssh};

/// Handle of one lab; holds nothing open, so that several commands can use a lab at once.
#[derive(Debug)]
pub struct Lab {
    pub(crate) config: LabConfig,
}

/// A machine as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// `m1`, `m2`, ...
    pub name: String,
    /// Its address on the lab's bridge.
    pub address: Ipv4Addr,
    /// The host's process id of its PID 1; none when it is stopped.
    pub leader: Option<u32>,
    /// Whether it runs.
    pub state: MachineState,
    /// Memory of all its processes in bytes, without the page cache; none when stopped or not counted by the host.
    pub memory: Option<u64>,
}

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineState {
    /// It runs (or is booting).
    Running,
    /// It stands still by [`Lab::freeze`].
    Frozen,
    /// It is off; its disk is there.
    Stopped,
}

impl MachineState {
    /// The word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
        }
    }
}

impl Lab {
    /// The lab of that configuration, whether it exists or not. Fails for anyone but root.
    pub fn open(config: LabConfig) -> Result<Self> {
        preflight::root()?;
        Ok(Self { config })
    }

    /// Whether this host can run a lab: programs, space, file systems. [`Lab::up`] asks it first.
    pub fn preflight(&self) -> Result<()> {
        preflight::all(&self.config)
    }

    /// The tree under new machines: the one that was given, or the node image, built at the first call and cached.
    pub fn build_image(&self, progress: &mut dyn Progress) -> Result<PathBuf> {
        if let Some(given) = &self.config.image {
            return image::given(&self.config.cache_dir, given, progress);
        }
        image::ensure(&self.config.cache_dir, &Recipe::of(&self.config), progress)
    }

    /// All machines in the order of their numbers; none when there is no lab.
    pub fn list(&self) -> Result<Vec<Machine>> {
        let Some(state) = LabState::load(&self.dir())? else {
            return Ok(Vec::new());
        };
        let running = process::machines()?;
        let describe = |record: &MachineRecord| {
            let nspawn = self.nspawn(&record.name());
            let processes = running.get(&nspawn.root()).copied();
            describe(&state, record, &nspawn, processes)
        };
        state.machines.iter().map(describe).collect()
    }

    /// A command in a machine, for the caller to run with the standard streams of its choice: as root in `/root`, with
    /// a small clean environment. An empty `argv` is a login shell; the exit status is the command's own.
    pub fn command<S: AsRef<str>>(&self, machine: &str, argv: &[S]) -> Result<Command> {
        let (nspawn, processes) = self.running(machine)?;
        let stopped = || LabError::Stopped(machine.to_owned());
        let leader = processes.leader.ok_or_else(stopped)?;
        // Almost any command would wait for ever for a daemon that stands still.
        if nspawn.cgroup()?.is_frozen() {
            return Err(LabError::Frozen(machine.to_owned()));
        }
        Ok(exec::command_in(leader, argv))
    }

    /// Runs a command in a machine on the caller's own terminal.
    pub fn exec<S: AsRef<str>>(&self, machine: &str, argv: &[S]) -> Result<ExitStatus> {
        let mut command = self.command(machine, argv)?;
        Ok(command.status().map_err(|error| run::not_started(&command, error))?)
    }

    /// Runs a command in a machine without input, and keeps what it writes.
    pub fn exec_captured<S: AsRef<str>>(&self, machine: &str, argv: &[S]) -> Result<Output> {
        Ok(run::output(self.command(machine, argv)?.stdin(Stdio::null()))?)
    }

    /// The same with a file on its standard input.
    pub fn exec_with_input<S: AsRef<str>>(&self, machine: &str, argv: &[S], input: File) -> Result<Output> {
        Ok(run::output(self.command(machine, argv)?.stdin(input))?)
    }

    /// The private key that opens every machine: `ssh -i KEY root@ADDRESS`.
    pub fn ssh_identity(&self) -> PathBuf {
        ssh::identity(&self.dir())
    }

    /// The machine's root directory as the host sees it, also while the machine is off.
    pub fn disk(&self, machine: &str) -> PathBuf {
        self.nspawn(machine).root()
    }

    /// The log of the machine's console since its last boot.
    pub fn console(&self, machine: &str) -> PathBuf {
        self.nspawn(machine).console()
    }

    /// The lab's directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.config.state_dir.join(self.config.name.to_string())
    }

    /// Held by what makes and takes away machines. By the name alone, for bridge and units carry only that.
    pub(crate) fn lock(&self) -> Result<File> {
        Ok(files::lock(Path::new(&format!("/run/lock/flota-lab-{}.lock", self.config.name)))?)
    }

    pub(crate) fn nspawn(&self, machine: &str) -> Nspawn {
        Nspawn::new(&self.config.name, machine, &self.dir())
    }

    /// The lab's state, or that of a lab without machines.
    pub(crate) fn load(&self) -> Result<LabState> {
        let state = LabState::load(&self.dir())?;
        Ok(state.unwrap_or_else(|| LabState::new(self.config.subnet)))
    }

    pub(crate) fn running(&self, machine: &str) -> Result<(Nspawn, Processes)> {
        self.load()?.machine(&self.config.name, machine)?;
        let nspawn = self.nspawn(machine);
        let processes = nspawn.processes()?;
        let processes = processes.ok_or_else(|| LabError::Stopped(machine.to_owned()))?;
        Ok((nspawn, processes))
    }
}

fn describe(lab: &LabState, record: &MachineRecord, nspawn: &Nspawn, processes: Option<Processes>) -> Result<Machine> {
    let mut machine = Machine {
        name: record.name(),
        address: lab.subnet.machine(record.index),
        leader: None,
        state: MachineState::Stopped,
        memory: None,
    };
    if let Some(processes) = processes {
        let cgroup = nspawn.cgroup()?;
        let frozen = cgroup.is_frozen();
        machine.leader = processes.leader;
        machine.state = if frozen { MachineState::Frozen } else { MachineState::Running };
        machine.memory = cgroup.memory();
    }
    Ok(machine)
}
