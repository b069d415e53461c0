//! What every tree needs before its first boot, in a lab or on a disk: no identity, and no units that nobody wants.

use std::path::Path;

use crate::host::{Result, files};

/// What would be the same on all machines, or is state of the build.
const IDENTITY: &[&str] = &["etc/machine-id", "var/lib/dbus/machine-id", "etc/resolv.conf", "etc/hostname"];

/// Removes what would be the same on all machines made from the tree: ids, names, ssh's host keys.
pub fn forget_identity(tree: &Path) -> Result<()> {
    for path in IDENTITY {
        files::remove(&tree.join(path))?;
    }
    for name in files::names_in(&tree.join("etc/ssh"))? {
        if name.starts_with("ssh_host_") {
            files::remove(&tree.join("etc/ssh").join(name))?;
        }
    }
    Ok(())
}

/// Removes the links by which targets and other units want these units at boot.
pub fn remove_wants(tree: &Path, unwanted: &[&str]) -> Result<()> {
    let units = tree.join("etc/systemd/system");
    let wants = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "wants");
    for target in files::names_in(&units)?.into_iter().filter(wants) {
        for unit in unwanted {
            files::remove(&units.join(&target).join(unit))?;
        }
    }
    Ok(())
}
