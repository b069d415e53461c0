//! The node image: a Debian tree that all machines of a suite share below their own disks.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::{Base, LabConfig, Suite};
use crate::debian::{self, Tree};
use crate::error::{LabError, Result};
use crate::progress::Progress;
use crate::run::{command, run};
use crate::{files, preflight};

/// What every node has.
const NODE: &[&str] = &[
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

/// The part of Debian's cloud images that somebody needs who comes by ssh; Python and its view of apt are Ansible's.
const STOCK: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "udev",
    "iproute2",
    "openssh-server",
    "sudo",
    "ca-certificates",
    "procps",
    "libnss-myhostname",
    "python3",
    "python3-apt",
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

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe<'a> {
    suite: Suite,
    packages: Vec<&'a str>,
}

impl<'a> Recipe<'a> {
    /// The image that new machines of that configuration get.
    pub(crate) fn of(config: &'a LabConfig) -> Self {
        let base = match config.base {
            Base::Node => NODE,
            Base::Stock => STOCK,
        };
        // Since trixie Docker's client is a package of its own.
        let client = (config.base == Base::Node && config.suite != Suite::Bookworm).then_some("docker-cli");
        let more = config.packages.iter().map(String::as_str);
        Self { suite: config.suite, packages: base.iter().copied().chain(client).chain(more).collect() }
    }

    /// Where it is, or will be.
    pub(crate) fn path(&self, cache_dir: &Path) -> PathBuf {
        let recipe = format!("{PREPARATION} {}", self.packages.join(" "));
        let hash = crc32c::crc32c(recipe.as_bytes());
        nodes(cache_dir).join(format!("{}-{hash:08x}", self.suite.as_str()))
    }
}

/// The image, made at the first call. Two callers make one; an interrupted one leaves nothing that is taken for an image.
pub(crate) fn ensure(cache_dir: &Path, recipe: &Recipe<'_>, progress: &mut dyn Progress) -> Result<PathBuf> {
    let Recipe { suite, packages } = recipe;
    let suite = *suite;
    let image = recipe.path(cache_dir);
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
    debian::make_tree(Tree { suite, variant: "minbase", packages }, &building, progress)?;
    prepare(&building)?;
    std::fs::rename(&building, &image).map_err(LabError::io("rename", &building))?;
    progress.detail(&format!("image ready after {} s", started.elapsed().as_secs()));
    Ok(image)
}

fn nodes(cache_dir: &Path) -> PathBuf {
    cache_dir.join("nodes")
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
        let node = LabConfig::default();
        let trixie = Recipe::of(&node);
        let path = trixie.path(Path::new("/cache"));
        assert!(path.starts_with("/cache/nodes"));
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("trixie-"));
        assert!(trixie.packages.contains(&"docker-cli"));
        assert!(!Recipe::of(&LabConfig { suite: Suite::Bookworm, ..node.clone() }).packages.contains(&"docker-cli"));
        let more = LabConfig { packages: vec!["ansible-core".to_owned()], ..node };
        assert_ne!(Recipe::of(&more).path(Path::new("/cache")), path);
    }

    #[test]
    fn a_stock_machine_has_nothing_of_a_node() {
        let stock = LabConfig { base: Base::Stock, ..LabConfig::default() };
        let packages = Recipe::of(&stock).packages;
        assert!(packages.contains(&"python3"));
        assert!(packages.iter().all(|name| !name.contains("docker") && !name.contains("etcd")), "{packages:?}");
    }
}
