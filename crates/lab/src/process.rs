//! Finds the processes of machines in `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{LabError, Result};

/// The processes that are a running machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Processes {
    /// The systemd-nspawn process.
    pub(crate) supervisor: u32,
    /// PID 1 of the machine; none until systemd-nspawn has started it.
    pub(crate) leader: Option<u32>,
}

/// A process as `/proc/PID/status` tells of it.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    name: String,
    parent: u32,
    /// It is number 1 in a namespace of its own.
    is_init: bool,
}

/// Every systemd-nspawn process with its root directory, by that directory.
pub(crate) fn machines() -> Result<BTreeMap<PathBuf, Processes>> {
    let all = statuses()?;
    let is_nspawn = |pid: &u32| all.get(pid).is_some_and(|s| s.name == "systemd-nspawn");
    let mut found = BTreeMap::new();
    for (&pid, status) in &all {
        // systemd-nspawn forks helpers of the same name; the supervisor is the one above them.
        if status.name != "systemd-nspawn" || is_nspawn(&status.parent) {
            continue;
        }
        if let Some(root) = root_directory(pid) {
            let leader =
                all.iter().find(|(_, child)| child.parent == pid && child.is_init && child.name != "systemd-nspawn");
            let leader = leader.map(|(&pid, _)| pid);
            found.insert(root, Processes { supervisor: pid, leader });
        }
    }
    Ok(found)
}

fn statuses() -> Result<BTreeMap<u32, Status>> {
    let entries = fs::read_dir("/proc").map_err(LabError::io("read", "/proc"))?;
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    // A process may end while we look: it is just not there then.
    Ok(pids
        .filter_map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            Some((pid, parse(&text)?))
        })
        .collect())
}

fn parse(text: &str) -> Option<Status> {
    let field = |key: &str| text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim()));
    let pids: Vec<&str> = field("NSpid")?.split_whitespace().collect();
    Some(Status {
        name: field("Name")?.to_owned(),
        parent: field("PPid")?.parse().ok()?,
        is_init: pids.len() > 1 && pids.last() == Some(&"1"),
    })
}

fn root_directory(pid: u32) -> Option<PathBuf> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut args = line.split(|&byte| byte == 0);
    args.find(|arg| *arg == b"-D")?;
    let root = std::str::from_utf8(args.next()?).ok()?;
    Some(Path::new(root).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_a_machine_init_from_others() {
        let text = "Name:\tsystemd\nUmask:\t0022\nPPid:\t41\nNSpid:\t42\t1\n";
        let init = parse(text).unwrap();
        assert_eq!(init, Status { name: "systemd".into(), parent: 41, is_init: true });
        assert!(!parse("Name:\tsystemd\nPPid:\t0\nNSpid:\t1\n").unwrap().is_init);
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_is_seen() {
        assert!(statuses().unwrap().contains_key(&std::process::id()));
    }
}
