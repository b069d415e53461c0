//! What is mounted on the host, and the overlay under each machine.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use crate::error::{LabError, Result};

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: PathBuf,
    pub(crate) kind: String,
    pub(crate) options: String,
}

/// All mounts, in the order they were made.
pub(crate) fn all() -> Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read_to_string(path).map_err(LabError::io("read", path))?;
    Ok(text.lines().filter_map(parse).collect())
}

/// The mount points at or below `path`.
pub(crate) fn under(path: &Path) -> Result<Vec<PathBuf>> {
    let points = all()?.into_iter().map(|mount| mount.point);
    Ok(points.filter(|point| point.starts_with(path)).collect())
}

/// Unmounts everything at or below `path`, the newest first.
pub(crate) fn unmount_under(path: &Path) -> Result<()> {
    for point in under(path)?.into_iter().rev() {
        rustix::mount::unmount(&point, UnmountFlags::DETACH).map_err(LabError::io("unmount", &point))?;
    }
    Ok(())
}

/// Mounts an overlay of `upper` on `lower` at `root`, unless it is mounted.
pub(crate) fn mount_overlay(lower: &Path, upper: &Path, work: &Path, root: &Path) -> Result<()> {
    if under(root)?.iter().any(|point| point == root) {
        return Ok(());
    }
    let mut options = Vec::new();
    for (key, path) in [("lowerdir=", lower), (",upperdir=", upper), (",workdir=", work)] {
        options.extend_from_slice(key.as_bytes());
        escape_into(&mut options, path);
    }
    let options = CString::new(options)
        .map_err(|error| LabError::io("mount an overlay at", root)(std::io::Error::from(error)))?;
    rustix::mount::mount("flota-lab", root, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .map_err(LabError::io("mount an overlay at", root))
}

/// The kernel splits these options at commas and colons.
fn escape_into(options: &mut Vec<u8>, path: &Path) {
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b',' | b':' | b'\\') {
            options.push(b'\\');
        }
        options.push(byte);
    }
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

    #[test]
    fn overlay_options_escape_separators() {
        let mut options = Vec::new();
        escape_into(&mut options, Path::new("/a:b,c"));
        assert_eq!(options, br"/a\:b\,c");
    }
}
