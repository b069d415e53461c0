//! One machine as processes and mounts: an overlay of the node image, booted by systemd-nspawn.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::cgroup::Cgroup;
use crate::config::{Base, LabName};
use crate::error::{LabError, Result};
use crate::host::Init;
use crate::process::{self, Processes};
use crate::run;
use crate::{files, overlay};

/// Directories of the machine that must be on a real file system: overlays on overlays are refused
/// by the kernel, and stores want a real fsync. (Host directory, place in the machine.)
const REAL_DIRECTORIES: [(&str, &str); 3] =
    [("docker", "/var/lib/docker"), ("etcd", "/var/lib/etcd"), ("flota", "/var/lib/flota")];

/// Those of a stock machine. The others would be in the way there of packages that are removed again.
const STOCK_DIRECTORIES: usize = 1;

/// How much of a console is told when a boot ended.
const LAST_LINES: usize = 3;

/// How often it is asked whether a machine is gone.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// systemd-nspawn under --keep-unit leaves a reboot to its caller and says so with this exit status.
const REBOOT_STATUS: &str = "133";

/// Without systemd on the host this loop boots a rebooting machine again; it enters the cgroup first.
const SUPERVISE: &str = r#"for entrance in $ENTRANCES; do echo $$ > "$entrance"; done
while :; do "$@"; [ $? = $REBOOT_STATUS ] || exit; done"#;

/// The host's side of one machine.
#[derive(Debug)]
pub(crate) struct Nspawn {
    lab: LabName,
    machine: String,
    dir: PathBuf,
    init: Init,
}

impl Nspawn {
    pub(crate) fn new(lab: &LabName, machine: &str, lab_dir: &Path) -> Self {
        Self { lab: lab.clone(), machine: machine.to_owned(), dir: lab_dir.join(machine), init: Init::of_host() }
    }

    /// The machine's root directory, also while it runs.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The log of its console.
    pub(crate) fn console(&self) -> PathBuf {
        self.dir.join("console.log")
    }

    /// The end of its console in one line.
    pub(crate) fn last_words(&self) -> String {
        let console = std::fs::read(self.console()).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let mut lines: Vec<&str> = console.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines.split_off(lines.len().saturating_sub(LAST_LINES));
        if last.is_empty() { "nothing".to_owned() } else { last.join(" / ") }
    }

    /// Makes the machine's directories and mounts its root over `image`, which has `base` in it.
    pub(crate) fn mount(&self, image: &Path, base: Base) -> Result<()> {
        let [upper, work, root] = ["upper", "work", "root"].map(|name| self.dir.join(name));
        for dir in [&upper, &work, &root] {
            files::make_dir(dir)?;
        }
        let real = match base {
            Base::Node => REAL_DIRECTORIES.len(),
            Base::Stock => STOCK_DIRECTORIES,
        };
        for (name, _) in &REAL_DIRECTORIES[..real] {
            files::make_dir(&self.dir.join(name))?;
        }
        overlay::mount(image, &upper, &work, &root)
    }

    /// Its processes; none when it does not run.
    pub(crate) fn processes(&self) -> Result<Option<Processes>> {
        Ok(process::machines()?.remove(&self.root()))
    }

    /// Boots it, detached from the caller; returns at once.
    pub(crate) fn boot(&self) -> Result<()> {
        match self.init {
            Init::Systemd => Ok(run::run(&mut self.transient_service()).map(drop)?),
            Init::Other => {
                let cgroup = self.cgroup()?;
                cgroup.kill()?;
                cgroup.create()?;
                let console = self.console();
                let log = File::create(&console).map_err(LabError::io("make", &console))?;
                let errors = log.try_clone().map_err(LabError::io("open", &console))?;
                let mut command = self.detached(&cgroup);
                command.stdout(log).stderr(errors);
                run::run(&mut command)?;
                Ok(())
            }
        }
    }

    /// Waits until it does not run, at most `timeout`.
    pub(crate) fn wait_stopped(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while self.processes()?.is_some() && Instant::now() < deadline {
            sleep(ASK_EVERY);
        }
        Ok(())
    }

    /// Ends everything that is left of it, whatever state it is in.
    pub(crate) fn destroy(&self) -> Result<()> {
        if self.init == Init::Systemd {
            // The unit may not exist: that is what we want.
            let unit = self.lab.host_unit(&self.machine);
            run::output(&mut run::command("systemctl", ["kill", "--signal=KILL", &unit]))?;
            run::output(&mut run::command("systemctl", ["stop", &unit]))?;
            return Ok(());
        }
        let cgroup = self.cgroup()?;
        cgroup.kill()?;
        cgroup.remove()
    }

    /// The cgroup that holds all of the machine.
    pub(crate) fn cgroup(&self) -> Result<Cgroup> {
        match self.init {
            Init::Other => Cgroup::at(&Path::new(&self.lab.cgroup()).join(&self.machine)),
            Init::Systemd => {
                let unit = self.lab.host_unit(&self.machine);
                let args = ["show", "--property=ControlGroup", "--value", &unit];
                let path = run::run(&mut run::command("systemctl", args))?;
                // A unit that does not run has none; the empty path would mean the whole host.
                match path.trim() {
                    "" | "/" => Err(LabError::Stopped(self.machine.clone())),
                    path => Cgroup::at(Path::new(path)),
                }
            }
        }
    }

    /// As `systemd-nspawn@.service` does it: a delegated cgroup, and a reboot is a restart.
    fn transient_service(&self) -> Command {
        let mut command = run::command("systemd-run", ["--quiet", "--collect"]);
        command.arg(format!("--unit={}", self.lab.host_unit(&self.machine)));
        for property in ["Type=exec", "Delegate=yes", "KillMode=mixed", "TasksMax=infinity"] {
            command.arg(format!("--property={property}"));
        }
        for key in ["RestartForceExitStatus", "SuccessExitStatus"] {
            command.arg(format!("--property={key}={REBOOT_STATUS}"));
        }
        for stream in ["StandardOutput", "StandardError"] {
            command.arg(format!("--property={stream}=append:{}", self.console().display()));
        }
        for (key, value) in Self::environment() {
            command.arg(format!("--setenv={key}={value}"));
        }
        command.args(self.nspawn_line());
        command
    }

    fn detached(&self, cgroup: &Cgroup) -> Command {
        let entrances: Vec<String> = cgroup.entrances().map(|path| path.display().to_string()).collect();
        let mut command = run::command("setsid", ["--fork", "sh", "-c", SUPERVISE, "sh"]);
        command.args(self.nspawn_line());
        command.env("ENTRANCES", entrances.join(" ")).env("REBOOT_STATUS", REBOOT_STATUS);
        command.envs(Self::environment()).current_dir("/");
        command
    }

    /// The machine gets a cgroup v2 tree whatever the host has; and no system call filter, which dockerd would miss.
    fn environment() -> [(&'static str, &'static str); 2] {
        [("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1"), ("SYSTEMD_SECCOMP", "0")]
    }

    fn nspawn_line(&self) -> Vec<String> {
        let mut line: Vec<String> = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--kill-signal=SIGRTMIN+3",
            "--capability=all",
            // A machine that sets its clock or loads modules would do it to the host.
            "--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--console=pipe",
        ]
        .map(str::to_owned)
        .into();
        line.extend(["-D".to_owned(), self.root().display().to_string()]);
        line.push(format!("--machine={}", self.lab.nspawn_machine(&self.machine)));
        line.push(format!("--hostname={}", self.machine));
        line.push(format!("--network-bridge={}", self.lab.bridge()));
        if Path::new("/dev/fuse").exists() {
            line.push("--bind=/dev/fuse".to_owned());
        }
        for (name, place) in REAL_DIRECTORIES {
            let dir = self.dir.join(name);
            if dir.exists() {
                line.push(format!("--bind={}:{place}", dir.display()));
            }
        }
        line
    }
}

impl Processes {
    /// Asks the machine's systemd to power off (SIGTERM makes systemd-nspawn pass its --kill-signal on).
    pub(crate) fn power_off(self) -> Result<()> {
        kill(self.supervisor, Signal::TERM)
    }

    /// A power cut.
    pub(crate) fn kill(self) -> Result<()> {
        // A machine that did not get as far as a PID 1 has only its supervisor.
        kill(self.leader.unwrap_or(self.supervisor), Signal::KILL)
    }
}

/// A process that is gone already is as good as killed.
fn kill(pid: u32, signal: Signal) -> Result<()> {
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    match rustix::process::kill_process(target, signal) {
        Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(LabError::io("signal", format!("/proc/{pid}"))(error)),
    }
}
