//! What the host must have, asked before anything is made.

use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::error::{HostError, Missing, Result};

/// Debian's directories of administration programs may be missing from a user's PATH.
const EXTRA_PATH: &str = "/usr/sbin:/sbin";

/// Whether we are root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Refuses a host that lacks one of these programs, and names all that it lacks.
pub fn tools(needed: &[Missing]) -> Result<()> {
    let path = std::env::var("PATH").unwrap_or_default();
    let missing = missing(needed, &format!("{path}:{EXTRA_PATH}"));
    if missing.is_empty() { Ok(()) } else { Err(HostError::MissingTools(missing)) }
}

/// Refuses a file system with less than `need_mib` free at `path`.
pub fn space(path: &Path, need_mib: u64) -> Result<()> {
    let existing = existing(path);
    let stat = statvfs(&existing).map_err(HostError::io("examine", &existing))?;
    let free_mib = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    if free_mib >= need_mib {
        return Ok(());
    }
    Err(HostError::NoSpace { path: path.to_owned(), free_mib, need_mib })
}

fn missing(needed: &[Missing], path: &str) -> Vec<Missing> {
    let there = |tool: &str| path.split(':').any(|dir| Path::new(dir).join(tool).is_file());
    needed.iter().filter(|missing| !there(missing.tool)).copied().collect()
}

/// The nearest ancestor that is there.
pub fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_found_missing() {
        let needed = [Missing { tool: "sh", package: "dash" }, Missing { tool: "no-such-tool", package: "none" }];
        let names: Vec<_> = missing(&needed, "/usr/bin:/bin").iter().map(|m| m.tool).collect();
        assert_eq!(names, ["no-such-tool"]);
    }

    #[test]
    fn space_is_asked_of_the_nearest_directory() {
        space(Path::new("/no/such/directory"), 0).unwrap();
        let error = space(Path::new("/no/such/directory"), u64::MAX).unwrap_err();
        assert!(error.to_string().contains("MiB needed"), "{error}");
    }
}
