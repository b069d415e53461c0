//! Which init rules the host: systemd gives each machine a transient unit, elsewhere a plain cgroup does.

use std::path::Path;

/// The init of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Init {
    /// PID 1 is systemd: it owns the cgroup tree, so machines are transient services of it.
    Systemd,
    /// Anything else, such as a container or a small init: machines are detached processes.
    Other,
}

impl Init {
    /// Looks as `sd_booted(3)` does.
    pub(crate) fn of_host() -> Self {
        if Path::new("/run/systemd/system").is_dir() { Self::Systemd } else { Self::Other }
    }
}
