//! What can go wrong with the host's programs and files: what, where, and how to mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A result of work on the host.
pub type Result<T> = std::result::Result<T, HostError>;

/// A program that the host lacks, and the Debian package that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The program's name.
    pub tool: &'static str,
    /// The Debian package.
    pub package: &'static str,
}

/// Why work on the host failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
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
    /// Debian's archive does not answer, or has no such release.
    #[error("can't build from {sources}: {said}")]
    Mirror {
        /// Where packages were to come from.
        sources: String,
        /// What apt said.
        said: String,
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
}

impl HostError {
    /// For `map_err`: an IO error with its verb and object.
    pub fn io<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
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
        let error = HostError::MissingTools(vec![
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
