//! A new file beside the one that it will replace.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};
use rustix::process::{getegid, geteuid};
use tempfile::{Builder, TempPath};

use super::disk;
use super::leftovers::staged_prefix;
use super::place::{Rights, followed, has_content};
use crate::resource::Output;

/// Permissions of a new file, where nobody said any.
const DEFAULT_MODE: u32 = 0o644;

/// A file could not be read or staged.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct StageError {
    /// What was tried.
    pub action: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// What differs between a file and what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Find {
    /// It is not there.
    pub is_new: bool,
    /// Its bytes are others.
    pub content: bool,
    /// Its mode or owner is another.
    pub rights: bool,
}

/// A file, and what it should be.
#[derive(Debug)]
pub struct Compared {
    /// Where it is, links followed.
    pub dest: PathBuf,
    /// What differs; none: nothing.
    pub find: Option<Find>,
    wanted: Rights,
}

/// A new file that lies ready. It goes away with this value unless it is put in place.
#[derive(Debug)]
pub struct Staged {
    /// What it will replace.
    pub dest: PathBuf,
    /// Where it lies.
    pub path: TempPath,
    /// Whether there is no file to replace.
    pub is_new: bool,
}

/// Compares a file with what was rendered for it.
pub fn compare(output: &Output, content: &[u8]) -> Result<Compared, StageError> {
    let failed = |source| StageError { action: "read", path: output.dest.clone(), source };
    let dest = followed(&output.dest).map_err(failed)?;
    let there = Rights::of(&dest).map_err(failed)?;
    let wanted = Rights {
        mode: output.mode.or(there.map(|rights| rights.mode)).unwrap_or(DEFAULT_MODE),
        uid: output.uid.unwrap_or_else(|| geteuid().as_raw()),
        gid: output.gid.unwrap_or_else(|| getegid().as_raw()),
    };
    let find = match there {
        None => Some(Find { is_new: true, content: true, rights: true }),
        Some(rights) => {
            let content = !has_content(&dest, content).map_err(failed)?;
            let find = Find { is_new: false, content, rights: rights != wanted };
            (find.content || find.rights).then_some(find)
        }
    };
    Ok(Compared { dest, find, wanted })
}

/// Writes the new file beside the old one; nobody else can read it before its mode and owner are right.
pub fn stage(compared: &Compared, content: &[u8]) -> Result<Staged, StageError> {
    let dest = &compared.dest;
    let directory = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_new = compared.find.is_some_and(|find| find.is_new);
    let write = || -> io::Result<TempPath> {
        if is_new {
            fs::create_dir_all(directory)?;
        }
        let name = dest.file_name().unwrap_or_default().to_string_lossy();
        let mut file = Builder::new()
            .prefix(&staged_prefix(&name))
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(directory)?;
        file.write_all(content)?;
        let Rights { mode, uid, gid } = compared.wanted;
        // First the owner: a change of owner takes the bits for "as its owner" away.
        let own = (geteuid().as_raw(), getegid().as_raw());
        if (uid, gid) != own {
            rustix::fs::fchown(file.as_file(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        if is_new {
            disk::begin_to_write(file.as_file(), directory);
        }
        Ok(file.into_temp_path())
    };
    let path = write().map_err(|source| StageError { action: "stage", path: dest.clone(), source })?;
    Ok(Staged { dest: dest.clone(), path, is_new })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::from_text;
    use std::os::unix::fs::symlink;

    fn output(dest: &Path, rest: &str) -> Output {
        let text = format!("[template]\nsrc = \"a\"\ndest = \"{}\"\n{rest}", dest.display());
        from_text(Path::new("r.toml"), &text, None).unwrap().outputs.remove(0)
    }

    #[test]
    fn bytes_mode_and_owner_are_compared() {
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("f");
        let find = |rest: &str, content: &str| compare(&output(&dest, rest), content.as_bytes()).unwrap().find;
        assert!(find("", "a").unwrap().is_new);
        fs::write(&dest, "a").unwrap();
        fs::set_permissions(&dest, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(find("", "a"), None, "an existing mode is kept");
        assert!(find("", "b").unwrap().content);
        let drift = find("mode = \"0600\"", "a").unwrap();
        assert!(drift.rights && !drift.content);
    }

    #[test]
    fn a_staged_file_has_its_mode_and_goes_away_unless_it_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("new/deeper/f");
        let compared = compare(&output(&dest, "mode = \"0640\""), b"x").unwrap();
        let staged = stage(&compared, b"x").unwrap();
        let meta = fs::metadata(&staged.path).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o640);
        assert_eq!(staged.path.parent(), dest.parent());
        let path = staged.path.to_path_buf();
        drop(staged);
        assert!(!path.exists() && !dest.exists());
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        let compared = compare(&output(&dir.path().join("link"), ""), b"x").unwrap();
        assert_eq!(compared.dest, dir.path().join("real"));
        symlink("round", dir.path().join("round")).unwrap();
        assert!(compare(&output(&dir.path().join("round"), ""), b"x").is_err());
    }
}
