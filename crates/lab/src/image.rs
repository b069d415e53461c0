//! The node image: a Debian tree that all machines of a suite share below their own disks.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::Suite;
use crate::debian::{self, Tree};
use crate::error::{LabError, Result};
use crate::progress::Progress;
use crate::run::{command, run};
use crate::{files, preflight};

/// What every node has.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "udev",
    "iproute2",
    "iputils-ping",
    "nftables",
    "iptables",
    "openssh-server",
    "sudo",
    "ca-certificates",
    "curl",
    "docker.io",
    "etcd-client",
    "etcd-server",
    "procps",
    "less",
    "libnss-myhostname",
];

/// Raised when the preparation below changes, so that cached images are made anew.
const PREPARATION: u32 = 1;

/// Free space that making an image needs, in MiB.
const NEEDED_MIB: u64 = 1500;

/// What would be the same on all machines, or is state of the build.
const REMOVED: &[&str] = &["etc/machine-id", "var/lib/dbus/machine-id", "etc/resolv.conf", "etc/hostname"];

/// Units that only cost a lab machine time.
const UNWANTED: &[&str] =
    &["etcd.service", "apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer", "dpkg-db-backup.timer"];

/// Where the image of the present recipe is, or will be.
pub(crate) fn path(cache_dir: &Path, suite: Suite) -> PathBuf {
    let recipe = format!("{PREPARATION} {}", packages(suite).join(" "));
    let hash = crc32c::crc32c(recipe.as_bytes());
    nodes(cache_dir).join(format!("{}-{hash:08x}", suite.as_str()))
}

/// The image, made at the first call. Two callers make one; an interrupted one leaves nothing that is taken for an image.
pub(crate) fn ensure(cache_dir: &Path, suite: Suite, progress: &mut dyn Progress) -> Result<PathBuf> {
    let image = path(cache_dir, suite);
    if image.exists() {
        return Ok(image);
    }
    let _lock = files::lock(&nodes(cache_dir).join(".lock"))?;
    if image.exists() {
        return Ok(image);
    }
    preflight::space(cache_dir, NEEDED_MIB)?;
    let started = Instant::now();
    progress.step(&format!("build the {} node image (once, about a minute)", suite.as_str()));
    let building = nodes(cache_dir).join(format!(".building-{}", suite.as_str()));
    let packages = packages(suite);
    debian::make_tree(Tree { suite, variant: "minbase", packages: &packages }, &building, progress)?;
    prepare(&building)?;
    std::fs::rename(&building, &image).map_err(LabError::io("rename", &building))?;
    progress.detail(&format!("image ready after {} s", started.elapsed().as_secs()));
    Ok(image)
}

fn nodes(cache_dir: &Path) -> PathBuf {
    cache_dir.join("nodes")
}

fn packages(suite: Suite) -> Vec<&'static str> {
    // Since trixie Docker's client is a package of its own.
    let client = (suite != Suite::Bookworm).then_some("docker-cli");
    PACKAGES.iter().copied().chain(client).collect()
}

fn prepare(tree: &Path) -> Result<()> {
    for path in REMOVED {
        files::remove(&tree.join(path))?;
    }
    // Host keys made by the package would be the same in every lab of this host.
    for name in files::names_in(&tree.join("etc/ssh"))? {
        if name.starts_with("ssh_host_") {
            files::remove(&tree.join("etc/ssh").join(name))?;
        }
    }
    let units = tree.join("etc/systemd/system");
    let wants = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "wants");
    for target in files::names_in(&units)?.into_iter().filter(wants) {
        for unit in UNWANTED {
            files::remove(&units.join(&target).join(unit))?;
        }
    }
    for (verb, unit) in [
        ("enable", "systemd-networkd.service"),
        // Machines have one static address; waiting for it would only delay the boot.
        ("mask", "systemd-networkd-wait-online.service"),
    ] {
        let root = format!("--root={}", tree.display());
        run(&mut command("systemctl", ["--quiet", &root, verb, unit]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_names_the_image() {
        let trixie = path(Path::new("/cache"), Suite::Trixie);
        assert!(trixie.starts_with("/cache/nodes"));
        assert!(trixie.file_name().unwrap().to_str().unwrap().starts_with("trixie-"));
        assert!(packages(Suite::Trixie).contains(&"docker-cli"));
        assert!(!packages(Suite::Bookworm).contains(&"docker-cli"));
    }
}
