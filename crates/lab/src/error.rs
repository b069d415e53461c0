//! What can go wrong in a lab: what, where, and how to mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A lab operation's result.
pub type Result<T> = std::result::Result<T, LabError>;

/// A program that the host lacks, and the Debian package that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The program's name.
    pub tool: &'static str,
    /// The Debian package.
    pub package: &'static str,
}

/// Why a lab operation failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Machines need mounts, bridges and namespaces.
    #[error("a lab needs root: run it again with sudo")]
    NotRoot,
    /// Programs are missing on the host.
    #[error("missing on this host: {}; install: apt-get install {}", Tools(.0), Packages(.0))]
    MissingTools(Vec<Missing>),
    /// A file system is too full.
    #[error("{path}: {free_mib} MiB free, {need_mib} MiB needed; make room or choose another directory", path = path.display())]
    NoSpace {
        /// The directory asked about.
        path: PathBuf,
        /// What is free.
        free_mib: u64,
        /// What is needed.
        need_mib: u64,
    },
    /// An overlay can't have its upper directory on an overlay.
    #[error("{path} is on an overlay file system, which can't hold machines; choose a state directory on a disk", path = .0.display())]
    OverlayOnOverlay(PathBuf),
    /// The host has no cgroup v2 hierarchy.
    #[error("no cgroup v2 hierarchy is mounted on this host; mount one: mount -t cgroup2 none /sys/fs/cgroup/unified")]
    NoCgroup2,
    /// A configuration value that can't be used.
    #[error("{what} `{value}`: {why}")]
    Config {
        /// The option.
        what: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        why: &'static str,
    },
    /// Another interface of the host routes a part of the subnet.
    #[error("subnet {subnet} overlaps {route} on interface {interface}; choose another subnet for this lab")]
    SubnetInUse {
        /// The lab's subnet.
        subnet: String,
        /// The host's route.
        route: String,
        /// The interface of that route.
        interface: String,
    },
    /// `lab.json` can't be understood.
    #[error("{path} is damaged; `flota lab down` removes the lab with what is left of it", path = path.display())]
    StateDamaged {
        /// The state file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// `lab.json` is of a newer Flota.
    #[error("{path} has format {found}, this flota knows {known}; use the newer flota, or remove the lab with `flota lab down`", path = path.display())]
    StateFormat {
        /// The state file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// No such machine.
    #[error("no machine `{name}` in lab `{lab}`; it has: {known}")]
    UnknownMachine {
        /// What was asked for.
        name: String,
        /// The lab.
        lab: String,
        /// The machines there are.
        known: String,
    },
    /// The machine must be running for this.
    #[error("machine {0} is stopped; `flota lab start {0}` boots it")]
    Stopped(String),
    /// The machine must not be frozen for this.
    #[error("machine {0} is frozen; `flota lab thaw {0}` wakes it")]
    Frozen(String),
    /// The machine did not become ready in time.
    #[error("machine {name} is not ready after {seconds} s: {state}; its console: {console}", console = console.display())]
    NotReady {
        /// The machine.
        name: String,
        /// How long was waited.
        seconds: u64,
        /// The last thing known.
        state: String,
        /// The log of its console.
        console: PathBuf,
    },
    /// The machine ended during each of its boots.
    #[error("machine {name} ended {boots} times while it booted; the last thing it said: {said}")]
    BootEnded {
        /// The machine.
        name: String,
        /// How often it was tried.
        boots: u32,
        /// The end of its console.
        said: String,
    },
    /// After `down` something is still there.
    #[error("lab `{lab}` is not wholly gone: {what}")]
    Leftover {
        /// The lab.
        lab: String,
        /// What is left.
        what: String,
    },
    /// A program failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line, shortened.
        command: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of what it wrote.
        output: String,
    },
    /// A file or program could not be used.
    #[error("can't {action} {path}", path = path.display())]
    Io {
        /// The verb.
        action: &'static str,
        /// The object.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A certificate or key could not be made.
    #[error("can't make the lab's certificates")]
    Certificate(#[from] flota_pki::PkiError),
}

impl LabError {
    /// For `map_err`: an IO error with its verb and object.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source: source.into() }
    }
}

struct Tools<'a>(&'a [Missing]);
struct Packages<'a>(&'a [Missing]);

impl fmt::Display for Tools<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|missing| missing.tool).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Display for Packages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.0.iter().map(|missing| missing.package).collect();
        names.sort_unstable();
        names.dedup();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_name_each_package_once() {
        let error = LabError::MissingTools(vec![
            Missing { tool: "ip", package: "iproute2" },
            Missing { tool: "bridge", package: "iproute2" },
            Missing { tool: "systemd-nspawn", package: "systemd-container" },
        ]);
        assert_eq!(
            error.to_string(),
            "missing on this host: ip, bridge, systemd-nspawn; install: apt-get install iproute2 systemd-container"
        );
    }
}
