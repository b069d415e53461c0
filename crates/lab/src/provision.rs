//! Puts a machine's files and Flota into its root directory; also while it runs.

use std::path::Path;

use crate::error::Result;
use crate::files;
use crate::pki::Identity;
use crate::render::{self, MachineFile};
use crate::ssh::SshKeys;
use crate::state::{LabState, MachineRecord};

/// Links that the unit files' `[Install]` sections ask for, and fleet's old name of the program.
const FLOTA_LINKS: [(&str, &str); 3] = [
    ("/etc/systemd/system/flota.service", "etc/systemd/system/multi-user.target.wants/flota.service"),
    ("/etc/systemd/system/flota.socket", "etc/systemd/system/sockets.target.wants/flota.socket"),
    ("flota", "usr/bin/fleetctl"),
];

/// The group of those who may use Flota without being root, which flota.socket needs; the package makes it, too.
const GROUP: &str = "flota:x:899:\n";

/// What `systemctl enable etcd` makes.
const ETCD_LINK: (&str, &str) =
    ("/usr/lib/systemd/system/etcd.service", "etc/systemd/system/multi-user.target.wants/etcd.service");

/// What one machine is given.
#[derive(Debug)]
pub(crate) struct Provision<'a> {
    pub(crate) lab: &'a LabState,
    pub(crate) machine: &'a MachineRecord,
    pub(crate) ssh: &'a SshKeys,
    /// Flota's program with the machine's certificate; none for a machine without Flota.
    pub(crate) flota: Option<(&'a Path, Identity)>,
}

impl Provision<'_> {
    /// Writes what differs; whether anything of Flota did, so that a running daemon must be restarted.
    pub(crate) fn apply(&self, root: &Path) -> Result<bool> {
        write_all(root, &render::machine_files(self.lab, self.machine, self.ssh))?;
        let Some((binary, identity)) = &self.flota else {
            return Ok(false);
        };
        add_group(root)?;
        let files = render::flota_files(self.lab, self.machine, identity);
        let files_changed = write_all(root, &files)?;
        if self.machine.index <= self.lab.etcd_members {
            write_all(root, &render::etcd_files(self.lab, self.machine))?;
            let (target, path) = ETCD_LINK;
            files::link(target, &root.join(path))?;
        }
        let binary_changed = files::copy_program(binary, &root.join("usr/bin/flota"))?;
        for (target, path) in FLOTA_LINKS {
            files::link(target, &root.join(path))?;
        }
        Ok(files_changed || binary_changed)
    }
}

fn add_group(root: &Path) -> Result<()> {
    let path = root.join("etc/group");
    let groups = files::read_optional(&path)?.unwrap_or_default();
    if groups.lines().any(|line| line.starts_with("flota:")) {
        return Ok(());
    }
    files::write(&path, format!("{groups}{GROUP}").as_bytes(), 0o644)?;
    Ok(())
}

fn write_all(root: &Path, all: &[MachineFile]) -> Result<bool> {
    let mut changed = false;
    for file in all {
        changed |= files::write(&root.join(file.path), file.content.as_bytes(), file.mode)?;
    }
    Ok(changed)
}
