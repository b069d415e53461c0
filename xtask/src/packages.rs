//! The Debian packages that the project needs, and their installation.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::shell::{capture, command, output, run};

/// A Debian package and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    name: &'static str,
    why: &'static str,
}

/// What building takes beside Rust.
pub const BUILD: &[Package] = &[
    Package { name: "gcc", why: "links, and compiles the C parts of ring" },
    Package { name: "libc6-dev", why: "headers and start files for gcc" },
    Package { name: "protobuf-compiler", why: "generates etcd's wire types" },
    Package { name: "libprotobuf-dev", why: "protobuf's own message definitions" },
];

/// What the Debian package takes beside that.
pub const DEB: &[Package] = &[
    Package { name: "dpkg-dev", why: "builds the Debian package" },
    Package { name: "debhelper", why: "does what all packages have in common" },
    Package { name: "lintian", why: "looks for mistakes in the package" },
];

/// What lab machines take of their host (crates/lab checks the same by program).
pub const LAB: &[Package] = &[
    Package { name: "systemd", why: "prepares the lab's node image" },
    Package { name: "systemd-container", why: "runs the lab's machines" },
    Package { name: "mmdebstrap", why: "builds the lab's node image" },
    Package { name: "nftables", why: "cuts the lab's cables" },
    Package { name: "iproute2", why: "makes the lab's network" },
    Package { name: "openssh-client", why: "makes the lab's keys" },
    Package { name: "util-linux", why: "enters the lab's machines" },
    Package { name: "binutils", why: "makes programs smaller before they go into images" },
    Package { name: "docker-registry", why: "serves images to the lab's machines" },
    Package { name: "skopeo", why: "brings images to the registry" },
];

/// What tests run against.
pub const TEST: &[Package] = &[
    Package { name: "etcd-client", why: "Debian's etcdctl must work with the embedded store" },
    Package { name: "etcd-server", why: "Debian's etcd must start from the embedded store's backups" },
    Package { name: "curl", why: "Debian's etcd and the embedded store are asked the same with it" },
    Package { name: "golang-go", why: "says what Go's templates give" },
    Package { name: "nginx-light", why: "follows keys while requests run; only ours is started" },
    Package { name: "ansible-core", why: "reads the playbooks of deploy/ansible" },
    Package { name: "ansible-lint", why: "judges them" },
    Package { name: "apt-cacher-ng", why: "brings Debian's packages to stock machines; only ours is started" },
];

/// What images of disks and the machines that boot from them take beside that, in the full run.
pub const IMAGE: &[Package] = &[
    Package { name: "dosfstools", why: "makes the disks' file systems for UEFI and for user-data" },
    Package { name: "fdisk", why: "partitions disks" },
    Package { name: "grub-common", why: "makes the disks' boot loaders" },
    Package { name: "grub-efi-amd64-bin", why: "the boot loader for UEFI" },
    Package { name: "grub-pc-bin", why: "the boot loader for BIOS" },
    Package { name: "mtools", why: "fills the file systems for UEFI" },
    Package { name: "qemu-utils", why: "packs disks" },
];

/// What benches beside other programs take beside that.
pub const BENCH: &[Package] = &[
    Package { name: "etcd-server", why: "holds the keys" },
    Package { name: "time", why: "tells the peak memory of a program" },
];

/// What the suites that others wrote for etcd take beside that (`cargo xtask conformance`).
pub const CONFORMANCE: &[Package] = &[
    Package { name: "golang-go", why: "builds etcd's own tests" },
    Package { name: "golang-etcd-server-dev", why: "etcd's own tests" },
    Package { name: "python3-venv", why: "runs the tests of Python clients" },
    Package { name: "socat", why: "stands in for further members of a cluster" },
    Package { name: "iproute2", why: "gives each test a loopback of its own" },
];

/// Installs those of the packages that are missing, and says which and why first. Does nothing, and asks nobody,
/// when all are there; needs root otherwise.
pub fn ensure(wanted: &[&[Package]]) -> Result<()> {
    let mut wanted = wanted.concat();
    wanted.sort_by_key(|package| package.name);
    wanted.dedup_by_key(|package| package.name);
    let missing = missing(&wanted)?;
    if missing.is_empty() {
        eprintln!("    all {} Debian packages are there", wanted.len());
        return Ok(());
    }
    for package in &missing {
        eprintln!("    missing: {:20} {}", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !is_root()? {
        bail!("not root; run: sudo apt-get install --no-install-recommends {}", names.join(" "));
    }
    // Lists may be missing or too old to fetch by, as on a new machine.
    apt(&["update", "--quiet"])?;
    let _quiet = NoServices::begin()?;
    apt(&[&["install", "--quiet", "--yes", "--no-install-recommends"], names.as_slice()].concat())
}

/// What Debian's packages ask before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Answers every question with "forbidden by policy".
const REFUSE: &str = "#!/bin/sh\nexit 101\n";

/// While it lives, packages that are installed start none of their services: tests run their own etcd and nginx. Where the
/// machine has a policy already, that one counts.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<NoServices> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        match file {
            Ok(mut file) => {
                file.write_all(REFUSE.as_bytes()).with_context(|| format!("can't write {POLICY}"))?;
                Ok(NoServices { ours: true })
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(NoServices { ours: false }),
            Err(error) => Err(error).with_context(|| format!("can't create {POLICY}")),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = std::fs::remove_file(POLICY)
        {
            eprintln!("    remove {POLICY} by hand: {error}");
        }
    }
}

/// Whether we may change the system.
pub fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self").context("can't read /proc/self")?.uid() == 0)
}

fn apt(args: &[&str]) -> Result<()> {
    let mut apt = command("apt-get", args);
    run(apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(std::io::stderr()))
}

fn missing(wanted: &[Package]) -> Result<Vec<Package>> {
    let mut query = command("dpkg-query", ["--show", "--showformat=${Package} ${db:Status-Status}\n"]);
    query.args(wanted.iter().map(|package| package.name));
    // Its exit status only tells that some are unknown to it.
    let answer =
        output(&mut query).context("this is no Debian system; see xtask/src/packages.rs for what is needed")?;
    Ok(not_installed(wanted, &String::from_utf8_lossy(&answer.stdout)))
}

fn not_installed(wanted: &[Package], answer: &str) -> Vec<Package> {
    let installed = |name: &str| answer.lines().any(|line| line.split_once(' ') == Some((name, "installed")));
    wanted.iter().filter(|package| !installed(package.name)).copied().collect()
}

/// The installed version of a package, for build logs.
pub fn version(name: &str) -> Option<String> {
    capture(&mut command("dpkg-query", ["--show", "--showformat=${Version}", name])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_and_unknown_packages_are_missing() {
        let answer = "gcc installed\nlibc6-dev installed\nprotobuf-compiler config-files\n";
        let names: Vec<_> = not_installed(BUILD, answer).iter().map(|package| package.name).collect();
        assert_eq!(names, ["protobuf-compiler", "libprotobuf-dev"]);
    }

    #[test]
    fn a_package_is_not_mistaken_for_one_with_a_longer_name() {
        let wanted = [Package { name: "gcc", why: "" }];
        assert_eq!(not_installed(&wanted, "gcc-12 installed\n").len(), 1);
        assert!(not_installed(&wanted, "gcc-12 installed\ngcc installed\n").is_empty());
    }
}
