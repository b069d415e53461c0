//! Taking a lab away, with whatever an interrupted command left of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::error::{LabError, Result};
use crate::host::Init;
use crate::lab::Lab;
use crate::nspawn::Nspawn;
use crate::progress::Progress;
use crate::{files, mounts, network, process, registry};

/// How long machines may take to shut down cleanly before they are killed.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(10);

impl Lab {
    /// Stops all machines and removes everything of the lab but the cache. Does not need a readable `lab.json`: it
    /// finds processes, mounts and the rest by the lab's directory and name. Repeating it is harmless.
    pub fn down(&self, progress: &mut dyn Progress) -> Result<()> {
        let _lock = self.lock()?;
        let dir = self.dir();
        let machines = self.traces()?;
        if machines.is_empty() && !dir.exists() && !network::is_there(&self.config.name)? {
            progress.step(&format!("there is no lab `{}`", self.config.name));
            return Ok(());
        }
        let machines: Vec<Nspawn> = machines.iter().map(|name| self.nspawn(name)).collect();
        progress.step(&format!("stop {} machines", machines.len()));
        stop(&machines)?;
        registry::stop(&dir)?;
        progress.step("remove disks, network and state");
        for machine in &machines {
            machine.destroy()?;
        }
        let group = self.parent_group()?;
        if let Some(group) = &group {
            group.remove()?;
        }
        network::remove(&self.config.name)?;
        files::remove(&dir)?;
        // The directory above is the lab's own making too, unless another lab is in it.
        let _ = std::fs::remove_dir(&self.config.state_dir);
        self.check_gone(&dir, group.as_ref())
    }

    /// Every machine of which there is a directory, a process or a cgroup.
    fn traces(&self) -> Result<BTreeSet<String>> {
        let dir = self.dir();
        let mut names: BTreeSet<String> = files::names_in(&dir)?.into_iter().collect();
        for root in process::machines()?.keys() {
            names.extend(machine_of(&dir, root));
        }
        if let Some(group) = self.parent_group()? {
            names.extend(group.children()?);
        }
        names.retain(|name| is_machine_name(name));
        Ok(names)
    }

    /// The cgroup above those of the machines, where we made it ourselves.
    fn parent_group(&self) -> Result<Option<Cgroup>> {
        match Init::of_host() {
            Init::Systemd => Ok(None),
            Init::Other => Cgroup::at(Path::new(&self.config.name.cgroup())).map(Some),
        }
    }

    fn check_gone(&self, dir: &Path, group: Option<&Cgroup>) -> Result<()> {
        let mut left = Vec::new();
        for point in mounts::under(dir)? {
            left.push(format!("mount {}", point.display()));
        }
        for root in process::machines()?.keys().filter(|root| root.starts_with(dir)) {
            left.push(format!("machine in {}", root.display()));
        }
        if group.is_some_and(Cgroup::exists) {
            left.push(format!("cgroup {}", self.config.name.cgroup()));
        }
        if network::is_there(&self.config.name)? {
            left.push(format!("bridge {}", self.config.name.bridge()));
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(LabError::Leftover { lab: self.config.name.to_string(), what: left.join(", ") })
    }
}

/// Clean shutdowns, all at once; those that are too slow are left for [`Nspawn::destroy`].
fn stop(machines: &[Nspawn]) -> Result<()> {
    for machine in machines {
        if let Some(processes) = machine.processes()? {
            machine.cgroup()?.freeze(false)?;
            processes.power_off()?;
        }
    }
    let deadline = Instant::now() + CLEAN_TIMEOUT;
    machines.iter().try_for_each(|machine| machine.wait_stopped(deadline.saturating_duration_since(Instant::now())))
}

fn machine_of(dir: &Path, root: &Path) -> Option<String> {
    let name = root.strip_prefix(dir).ok()?.iter().next()?;
    Some(name.to_string_lossy().into_owned())
}

fn is_machine_name(name: &str) -> bool {
    name.strip_prefix('m').is_some_and(|number| number.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_known_by_their_directories() {
        let dir = Path::new("/var/lib/flota-lab/t");
        assert_eq!(machine_of(dir, &dir.join("m12/root")).as_deref(), Some("m12"));
        assert_eq!(machine_of(dir, Path::new("/var/lib/flota-lab/other/m1/root")), None);
        assert!(is_machine_name("m12"));
        for other in ["lab.json", "keys", "m", "mx", "m1234"] {
            assert!(!is_machine_name(other), "{other}");
        }
    }
}
