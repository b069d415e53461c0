//! What the host must have, asked before anything is made.

use std::path::{Path, PathBuf};

use rustix::fs::{statfs, statvfs};

use crate::cgroup::Cgroup;
use crate::config::{LabConfig, MAX_MACHINES};
use crate::error::{LabError, Missing, Result};
use crate::host::Init;
use crate::run::TOOLS;

/// Free space that the disks of a lab's machines need at least, in MiB.
const MACHINES_MIB: u64 = 500;

/// The kernel's OVERLAYFS_SUPER_MAGIC.
const OVERLAY_MAGIC: u64 = 0x794c_7630;

/// Debian's directories of administration programs may be missing from a user's PATH.
const EXTRA_PATH: &str = "/usr/sbin:/sbin";

/// All checks, the cheapest first.
pub(crate) fn all(config: &LabConfig) -> Result<()> {
    root()?;
    if !(1..=MAX_MACHINES).contains(&config.machines) {
        return Err(LabError::Config { what: "machines", value: config.machines.to_string(), why: "must be 1 to 99" });
    }
    tools()?;
    Cgroup::at(Path::new("flota-lab"))?;
    let existing = existing(&config.state_dir);
    let kind = statfs(&existing).map_err(LabError::io("examine", &existing))?.f_type;
    if u64::try_from(kind).is_ok_and(|kind| kind == OVERLAY_MAGIC) {
        return Err(LabError::OverlayOnOverlay(config.state_dir.clone()));
    }
    space(&config.state_dir, MACHINES_MIB)?;
    if let Some(binary) = &config.binary {
        std::fs::metadata(binary).map_err(LabError::io("find", binary))?;
    }
    Ok(())
}

/// Refuses everyone but root.
pub(crate) fn root() -> Result<()> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

/// Refuses a file system with less than `need_mib` free at `path`.
pub(crate) fn space(path: &Path, need_mib: u64) -> Result<()> {
    let existing = existing(path);
    let stat = statvfs(&existing).map_err(LabError::io("examine", &existing))?;
    let free_mib = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    if free_mib >= need_mib {
        return Ok(());
    }
    Err(LabError::NoSpace { path: path.to_owned(), free_mib, need_mib })
}

fn tools() -> Result<()> {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{path}:{EXTRA_PATH}");
    let mut needed = TOOLS.to_vec();
    if Init::of_host() == Init::Systemd {
        needed.push(Missing { tool: "systemd-run", package: "systemd" });
    }
    let missing = missing(&needed, &path);
    if missing.is_empty() { Ok(()) } else { Err(LabError::MissingTools(missing)) }
}

fn missing(needed: &[Missing], path: &str) -> Vec<Missing> {
    let there = |tool: &str| path.split(':').any(|dir| Path::new(dir).join(tool).is_file());
    needed.iter().filter(|missing| !there(missing.tool)).copied().collect()
}

/// The nearest ancestor that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_found_missing() {
        let needed = [Missing { tool: "sh", package: "dash" }, Missing { tool: "no-such-tool", package: "none" }];
        let names: Vec<_> = missing(&needed, "/usr/bin:/bin").iter().map(|m| m.tool).collect();
        assert_eq!(names, ["no-such-tool"]);
    }

    #[test]
    fn space_is_asked_of_the_nearest_directory() {
        space(Path::new("/no/such/directory"), 0).unwrap();
        let error = space(Path::new("/no/such/directory"), u64::MAX).unwrap_err();
        assert!(error.to_string().contains("MiB needed"), "{error}");
    }
}
