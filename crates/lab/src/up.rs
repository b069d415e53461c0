//! Making and booting machines, and waiting until they are ready.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{LabError, Result};
use crate::lab::{Lab, Machine};
use crate::network;
use crate::pki::Authority;
use crate::process::Processes;
use crate::progress::Progress;
use crate::provision::Provision;
use crate::ssh::{self, SshKeys};
use crate::state::{LabState, MachineRecord};
use crate::{exec, run};

/// How long a machine may take to boot; a busy host with slow disks needs a minute.
const READY_TIMEOUT: Duration = Duration::from_secs(180);

/// A machine without processes for so long has ended; a reboot leaves none for a moment, too.
const GONE_AFTER: Duration = Duration::from_secs(3);

/// How often a machine is booted before it is given up.
const MAX_BOOTS: u32 = 3;

/// How often booting machines are asked. Each question costs the host a few milliseconds.
const ASK_EVERY: Duration = Duration::from_millis(150);

/// How long a machine that is up may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// The port that tells that a machine's network is up.
const SSH_PORT: u16 = 22;

/// What machines of one lab are made with.
struct Common {
    ssh: SshKeys,
    authority: Authority,
}

impl Lab {
    /// Sees to it that the configured number of machines is there and runs: makes what is missing, boots what is
    /// stopped, refreshes Flota where its program or configuration changed, and waits until all are ready. May be
    /// interrupted and repeated at any point.
    pub fn up(&self, progress: &mut dyn Progress) -> Result<Vec<Machine>> {
        self.preflight()?;
        let _lock = self.lock()?;
        let mut state = self.load()?;
        // A subnet in use shall be told at once, not after a minute of building.
        network::ensure_bridge(&self.config.name, state.subnet)?;
        let image = self.build_image(progress)?;
        state.found(self.config.store, self.config.machines);
        if state.grow(self.config.machines, &image, self.config.base)? {
            // Before anything of them exists: `down` and the next `up` know of them.
            state.save(&self.dir())?;
        }
        let common = self.common()?;
        let mut booted = Vec::new();
        for machine in &state.machines {
            if self.bring_up(&state, machine, &common, progress)? {
                booted.push(machine);
            }
        }
        if booted.is_empty() {
            progress.step(&format!("all {} machines are running already", state.machines.len()));
        } else {
            let names: Vec<String> = booted.iter().map(|machine| machine.name()).collect();
            progress.step(&format!("boot {}", names.join(", ")));
        }
        let all: Vec<_> = state.machines.iter().collect();
        self.wait_ready(&state, &all, progress)?;
        self.list()
    }

    /// Boots a stopped machine again, with its disk as it was, and waits until it is ready.
    pub fn start(&self, machine: &str, progress: &mut dyn Progress) -> Result<()> {
        let _lock = self.lock()?;
        let state = self.load()?;
        let record = state.machine(&self.config.name, machine)?;
        network::ensure_bridge(&self.config.name, state.subnet)?;
        self.bring_up(&state, record, &self.common()?, progress)?;
        self.wait_ready(&state, &[record], progress)
    }

    /// A clean reboot from within; waits until the machine is ready again.
    pub fn reboot(&self, machine: &str, progress: &mut dyn Progress) -> Result<()> {
        let _lock = self.lock()?;
        let state = self.load()?;
        let record = state.machine(&self.config.name, machine)?;
        let nspawn = self.nspawn(machine);
        let before = nspawn.processes()?.and_then(|processes| processes.leader);
        let mut command = self.command(machine, &["systemctl", "--no-block", "reboot"])?;
        run::run(command.stdin(Stdio::null()))?;
        let deadline = Instant::now() + READY_TIMEOUT;
        while nspawn.processes()?.is_some_and(|processes| processes.leader == before) {
            if Instant::now() > deadline {
                return Err(self.not_ready(machine, "it does not shut down"));
            }
            sleep(ASK_EVERY);
        }
        self.wait_ready(&state, &[record], progress)
    }

    fn common(&self) -> Result<Common> {
        let dir = self.dir();
        Ok(Common { ssh: ssh::ensure(&dir)?, authority: Authority::ensure(&dir)? })
    }

    /// Mounts, provisions and, if it does not run, boots one machine; whether it was booted.
    fn bring_up(
        &self,
        state: &LabState,
        machine: &MachineRecord,
        common: &Common,
        progress: &mut dyn Progress,
    ) -> Result<bool> {
        let name = machine.name();
        let nspawn = self.nspawn(&name);
        let running = nspawn.processes()?;
        if running.is_some() && nspawn.cgroup()?.is_frozen() {
            return Err(LabError::Frozen(name));
        }
        nspawn.mount(&machine.image, machine.base)?;
        let changed = self.provision(state, machine, common, &nspawn.root())?;
        match running {
            None => nspawn.boot()?,
            Some(Processes { leader: Some(leader), .. }) if changed => {
                progress.step(&format!("restart Flota on {name}, its files changed"));
                restart_flota(leader)?;
            }
            Some(_) => {}
        }
        Ok(running.is_none())
    }

    /// Writes the machine's files; whether anything of Flota changed.
    fn provision(&self, state: &LabState, machine: &MachineRecord, common: &Common, root: &Path) -> Result<bool> {
        let flota = match self.config.binary.as_deref() {
            None => None,
            Some(binary) => {
                let address = state.subnet.machine(machine.index);
                Some((binary, common.authority.identity(&machine.name(), address)?))
            }
        };
        Provision { lab: state, machine, ssh: &common.ssh, flota }.apply(root)
    }

    /// Waits until each machine's systemd has done its boot and its network answers.
    fn wait_ready(&self, state: &LabState, machines: &[&MachineRecord], progress: &mut dyn Progress) -> Result<()> {
        let started = Instant::now();
        let mut waiting: BTreeMap<String, Booting> = machines
            .iter()
            .map(|machine| {
                let address = SocketAddr::from((state.subnet.machine(machine.index), SSH_PORT));
                (machine.name(), Booting { address, gone_since: None, again: MAX_BOOTS - 1 })
            })
            .collect();
        let mut asked = false;
        loop {
            let mut late = None;
            for (name, booting) in std::mem::take(&mut waiting) {
                let Some(missing) = self.readiness(&name, booting.address)? else {
                    // Those that were ready when they were first asked are not worth a word.
                    if asked {
                        let seconds = started.elapsed().as_secs_f32();
                        progress.detail(&format!("{name} is ready after {seconds:.1} s"));
                    }
                    continue;
                };
                let booting = self.watch_boot(&name, booting, progress)?;
                late.get_or_insert_with(|| (name.clone(), missing));
                waiting.insert(name, booting);
            }
            asked = true;
            match late {
                None => return Ok(()),
                Some((name, missing)) if started.elapsed() > READY_TIMEOUT => {
                    return Err(self.not_ready(&name, &missing));
                }
                Some(_) => sleep(ASK_EVERY),
            }
        }
    }

    /// A machine whose processes are gone will never be ready. What it ran into (a lock or a mount that the one before
    /// it had not given up yet) is mostly over a moment later: it is booted again before it is given up.
    fn watch_boot(&self, name: &str, mut booting: Booting, progress: &mut dyn Progress) -> Result<Booting> {
        let nspawn = self.nspawn(name);
        if nspawn.processes()?.is_some() {
            booting.gone_since = None;
            return Ok(booting);
        }
        if booting.gone_since.get_or_insert_with(Instant::now).elapsed() < GONE_AFTER {
            return Ok(booting);
        }
        let said = nspawn.last_words();
        if booting.again == 0 {
            return Err(LabError::BootEnded { name: name.to_owned(), boots: MAX_BOOTS, said });
        }
        progress.detail(&format!("{name} ended while it booted ({said}); booting it again"));
        nspawn.boot()?;
        Ok(Booting { gone_since: None, again: booting.again - 1, ..booting })
    }

    /// What a machine still lacks; none when it is ready.
    fn readiness(&self, machine: &str, address: SocketAddr) -> Result<Option<String>> {
        let nspawn = self.nspawn(machine);
        let Some(processes) = nspawn.processes()? else {
            return Ok(Some("it does not run".to_owned()));
        };
        let Some(leader) = processes.leader else {
            return Ok(Some("its systemd has not begun".to_owned()));
        };
        if nspawn.cgroup()?.is_frozen() {
            return Err(LabError::Frozen(machine.to_owned()));
        }
        let argv = ["systemctl", "is-system-running"];
        let answer = run::output(exec::command_in(leader, &argv).stdin(Stdio::null()))?;
        let answer = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        if !matches!(answer.as_str(), "running" | "degraded") {
            return Ok(Some(format!("its systemd says `{answer}`")));
        }
        // A machine with a faulty cable is as ready as it can be; nobody may wait for its network.
        if network::is_faulty(&self.config.name, machine)? {
            return Ok(None);
        }
        let connected = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
        Ok(connected.err().map(|error| format!("{address} does not answer: {error}")))
    }

    fn not_ready(&self, machine: &str, state: &str) -> LabError {
        LabError::NotReady {
            name: machine.to_owned(),
            seconds: READY_TIMEOUT.as_secs(),
            state: state.to_owned(),
            console: self.console(machine),
        }
    }
}

/// A machine that is waited for.
struct Booting {
    address: SocketAddr,
    /// Since when none of its processes is there.
    gone_since: Option<Instant>,
    /// How often it may be booted again.
    again: u32,
}

fn restart_flota(leader: u32) -> Result<()> {
    let reload = ["systemctl", "daemon-reload"].as_slice();
    for argv in [reload, &["systemctl", "--no-block", "restart", "flota.service"]] {
        run::run(exec::command_in(leader, argv).stdin(Stdio::null()))?;
    }
    Ok(())
}
