//! What is mounted on the host.

use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use super::error::{HostError, Result};

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub point: PathBuf,
    /// The file system, such as `overlay`.
    pub kind: String,
    /// Its options, with commas between.
    pub options: String,
}

/// All mounts, in the order they were made.
pub fn all() -> Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read_to_string(path).map_err(HostError::io("read", path))?;
    Ok(text.lines().filter_map(parse).collect())
}

/// The mount points at or below `path`.
pub fn under(path: &Path) -> Result<Vec<PathBuf>> {
    let points = all()?.into_iter().map(|mount| mount.point);
    Ok(points.filter(|point| point.starts_with(path)).collect())
}

/// Unmounts everything at or below `path`, the newest first.
pub fn unmount_under(path: &Path) -> Result<()> {
    for point in under(path)?.into_iter().rev() {
        rustix::mount::unmount(&point, UnmountFlags::DETACH).map_err(HostError::io("unmount", &point))?;
    }
    Ok(())
}

fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let kind = after.next()?.to_owned();
    let options = after.nth(1)?.to_owned();
    Some(Mount { point: PathBuf::from(unescape(point)), kind, options })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(byte) => out.push(char::from(byte)),
            None => out.push_str(rest.get(at..at + 4).unwrap_or_default()),
        }
        rest = rest.get(at + 4..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mountinfo_line_is_understood() {
        let line = r"36 35 98:0 /a /mnt/with\040space rw,noatime master:1 - cgroup cgroup rw,memory";
        assert_eq!(
            parse(line),
            Some(Mount { point: "/mnt/with space".into(), kind: "cgroup".into(), options: "rw,memory".into() })
        );
        assert_eq!(parse("torn"), None);
    }
}
