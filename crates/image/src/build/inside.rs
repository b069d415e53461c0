//! Paths inside of a tree: links lead where they would lead if the tree were the root.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{ImageError, Result};

/// How many links a path may lead over, as the kernel has it.
const MAX_LINKS: usize = 40;

/// Where the file is that programs in the tree know as `path`. What is not there yet is taken for a plain name.
pub(crate) fn inside(tree: &Path, path: &Path) -> Result<PathBuf> {
    let mut waiting: Vec<PathBuf> = parts(path);
    let mut found = PathBuf::new();
    let mut links = 0;
    while let Some(part) = waiting.pop() {
        if part == Path::new("..") {
            found.pop();
            continue;
        }
        let next = found.join(&part);
        let Ok(target) = fs::read_link(tree.join(&next)) else {
            found = next;
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(ImageError::io("follow links of", path)(io::Error::from(io::ErrorKind::InvalidInput)));
        }
        if target.is_absolute() {
            found = PathBuf::new();
        }
        waiting.extend(parts(&target));
    }
    Ok(tree.join(found))
}

/// The names of a path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    let name = |part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

/// Writes a file that programs in the tree know as `path`; directories that lack are made.
pub(crate) fn write(tree: &Path, path: &str, content: &[u8], mode: u32) -> Result<PathBuf> {
    let place = inside(tree, Path::new(path))?;
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(ImageError::io("make", parent))?;
    }
    fs::write(&place, content).map_err(ImageError::io("write", &place))?;
    fs::set_permissions(&place, Permissions::from_mode(mode)).map_err(ImageError::io("set the mode of", &place))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_nowhere_outside() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path();
        for path in ["var", "run/lock", "usr/lib"] {
            fs::create_dir_all(tree.join(path)).unwrap();
        }
        symlink("/run", tree.join("var/run")).unwrap();
        symlink("usr/lib", tree.join("lib")).unwrap();
        symlink("../../../../etc", tree.join("var/up")).unwrap();
        symlink("loop", tree.join("loop")).unwrap();
        let at = |path: &str| inside(tree, Path::new(path)).map(|found| found.strip_prefix(tree).unwrap().to_owned());
        assert_eq!(at("/var/run/lock/x").unwrap(), Path::new("run/lock/x"));
        assert_eq!(at("/lib/systemd").unwrap(), Path::new("usr/lib/systemd"));
        assert_eq!(at("/var/up/passwd").unwrap(), Path::new("etc/passwd"));
        assert!(at("/loop/x").is_err());
        write(tree, "/var/run/a/b", b"x", 0o600).unwrap();
        assert_eq!(fs::read(tree.join("run/a/b")).unwrap(), b"x");
    }
}
