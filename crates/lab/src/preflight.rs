//! What the host must have, asked before anything is made.

use std::path::Path;

use flota_image::host::{Missing, needs};
use rustix::fs::statfs;

use crate::cgroup::Cgroup;
use crate::config::{LabConfig, MAX_MACHINES};
use crate::error::{LabError, Result};
use crate::host::Init;
use crate::run::TOOLS;

/// Free space that the disks of a lab's machines need at least, in MiB.
const MACHINES_MIB: u64 = 500;

/// The kernel's OVERLAYFS_SUPER_MAGIC.
const OVERLAY_MAGIC: u64 = 0x794c_7630;

/// All checks, the cheapest first.
pub(crate) fn all(config: &LabConfig) -> Result<()> {
    root()?;
    if !(1..=MAX_MACHINES).contains(&config.machines) {
        return Err(LabError::Config { what: "machines", value: config.machines.to_string(), why: "must be 1 to 99" });
    }
    tools()?;
    Cgroup::at(Path::new("flota-lab"))?;
    let existing = needs::existing(&config.state_dir);
    let kind = statfs(&existing).map_err(LabError::io("examine", &existing))?.f_type;
    if u64::try_from(kind).is_ok_and(|kind| kind == OVERLAY_MAGIC) {
        return Err(LabError::OverlayOnOverlay(config.state_dir.clone()));
    }
    needs::space(&config.state_dir, MACHINES_MIB)?;
    if let Some(binary) = &config.binary {
        std::fs::metadata(binary).map_err(LabError::io("find", binary))?;
    }
    Ok(())
}

/// Refuses everyone but root.
pub(crate) fn root() -> Result<()> {
    if needs::is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

fn tools() -> Result<()> {
    let mut needed = TOOLS.to_vec();
    if Init::of_host() == Init::Systemd {
        needed.push(Missing { tool: "systemd-run", package: "systemd" });
    }
    Ok(needs::tools(&needed)?)
}
