//! The node image: a Debian tree that all machines of a suite share below their own disks.

use std::path::{Path, PathBuf};
use std::time::Instant;

use flota_image::host::needs;
use flota_image::{Suite, forget_identity, remove_wants};

use crate::config::{Base, LabConfig};
use crate::debian::{self, Tree};
use crate::error::{LabError, Result};
use crate::files;
use crate::progress::Progress;
use crate::run::{command, run};

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
    needs::space(cache_dir, NEEDED_MIB)?;
    let started = Instant::now();
    progress.step(&format!("build the {} node image (once, about a minute)", suite.as_str()));
    let building = nodes(cache_dir).join(format!(".building-{}", suite.as_str()));
    debian::make_tree(Tree::new(suite, "minbase", packages), &building, progress)?;
    prepare(&building)?;
    std::fs::rename(&building, &image).map_err(LabError::io("rename", &building))?;
    progress.detail(&format!("image ready after {} s", started.elapsed().as_secs()));
    Ok(image)
}

/// The tree of an image that was built before: a directory as it is, an archive unpacked once.
pub(crate) fn given(cache_dir: &Path, image: &Path, progress: &mut dyn Progress) -> Result<PathBuf> {
    let image = std::fs::canonicalize(image).map_err(LabError::io("find", image))?;
    let meta = std::fs::metadata(&image).map_err(LabError::io("read", &image))?;
    let tree = if meta.is_dir() {
        image
    } else {
        let which = format!("{} {} {:?}", image.display(), meta.len(), meta.modified().ok());
        let tree = nodes(cache_dir).join(format!("given-{:08x}", crc32c::crc32c(which.as_bytes())));
        unpack(cache_dir, &image, &tree, progress)?;
        tree
    };
    if tree.join("usr/lib/systemd/systemd").exists() {
        return Ok(tree);
    }
    Err(LabError::Config {
        what: "image",
        value: tree.display().to_string(),
        why: "must be a tree with systemd or an archive of one, as `flota image build --format dir` or `tar` makes it",
    })
}

fn unpack(cache_dir: &Path, archive: &Path, tree: &Path, progress: &mut dyn Progress) -> Result<()> {
    let _lock = files::lock(&nodes(cache_dir).join(".lock"))?;
    if tree.exists() {
        return Ok(());
    }
    needs::space(cache_dir, NEEDED_MIB)?;
    progress.step(&format!("unpack {} (once)", archive.display()));
    let building = tree.with_extension("building");
    files::remove(&building)?;
    files::make_dir(&building)?;
    let mut tar = command("tar", ["--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"]);
    let unpacked = run(tar.arg(archive).arg("--directory").arg(&building));
    if let Err(error) = unpacked {
        files::remove(&building)?;
        return Err(error.into());
    }
    std::fs::rename(&building, tree).map_err(LabError::io("rename", &building))
}

fn nodes(cache_dir: &Path) -> PathBuf {
    cache_dir.join("nodes")
}

fn prepare(tree: &Path) -> Result<()> {
    forget_identity(tree)?;
    remove_wants(tree, UNWANTED)?;
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
    fn what_is_no_tree_is_no_image() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let silent = &mut crate::progress::Silent;
        let missing = given(&cache, &dir.path().join("absent"), silent).unwrap_err().to_string();
        assert!(missing.starts_with("can't find "), "{missing}");
        let empty = given(&cache, dir.path(), silent).unwrap_err().to_string();
        assert!(empty.contains("must be a tree with systemd"), "{empty}");
        std::fs::write(dir.path().join("a.tar"), "no archive").unwrap();
        assert!(given(&cache, &dir.path().join("a.tar"), silent).is_err());
        assert!(files::names_in(&nodes(&cache)).unwrap().iter().all(|name| name == ".lock"));
    }

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
