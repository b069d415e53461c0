//! What can go wrong in a lab: what, where, and how to mend it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use flota_image::UnknownSuite;
use flota_image::host::HostError;

/// A lab operation's result.
pub type Result<T> = std::result::Result<T, LabError>;

/// Why a lab operation failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Machines need mounts, bridges and namespaces.
    #[error("a lab needs root: run it again with sudo")]
    NotRoot,
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
    /// A program or file of the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A Dockerfile that cannot be followed.
    #[error("{path}: {why}", path = path.display())]
    Dockerfile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The lab's registry did not begin to answer.
    #[error("the registry does not answer at {address}; its log: {log}", log = log.display())]
    NoRegistry {
        /// Where it should be.
        address: SocketAddr,
        /// What it said.
        log: PathBuf,
    },
    /// A certificate or key could not be made.
    #[error("can't make the lab's certificates")]
    Certificate(#[from] flota_pki::PkiError),
}

impl LabError {
    /// For `map_err`: an IO error with its verb and object.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let make = HostError::io(action, path);
        move |source: E| Self::Host(make(source))
    }
}

impl From<UnknownSuite> for LabError {
    fn from(unknown: UnknownSuite) -> Self {
        Self::Config { what: "suite", value: unknown.0, why: "must be bookworm, trixie, forky or sid" }
    }
}
