//! What is owed after a crash: one small file per group, there from before its files change until all its reloads are done.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use super::disk;
use crate::resource::Reload;

/// Where root keeps it.
const ROOT_STATE: &str = "/var/lib/flota/conf";

/// The journal could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct JournalError {
    /// What was tried.
    pub action: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// The directory of the notes.
#[derive(Debug, Clone)]
pub struct Journal {
    directory: PathBuf,
}

/// One file of a group that was about to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The file.
    pub dest: PathBuf,
    /// A second name of the old one; none: there was no file.
    pub old: Option<PathBuf>,
}

/// What a group owes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The resource file of the group.
    pub resource: PathBuf,
    /// The reloads that its new files need.
    pub reloads: BTreeSet<Reload>,
    /// The old files, if they may have to return.
    pub kept: Vec<Kept>,
}

/// Where the journal is by default; none for a user without a home.
pub fn default_state_dir(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(ROOT_STATE.into());
    }
    let set = |name: &str| variable(name).filter(|value| value.starts_with('/')).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("flota/conf"))
}

impl Journal {
    /// A journal in a directory, which is made when the first note is.
    pub fn new(directory: PathBuf) -> Journal {
        Journal { directory }
    }

    fn path(&self, resource: &Path) -> PathBuf {
        let hash = Sha1::digest(resource.as_os_str().as_encoded_bytes());
        self.directory.join(format!("{hash:x}.json"))
    }

    /// Notes what a group owes; it is on disk when this returns.
    pub fn note(&self, owed: &Owed) -> Result<(), JournalError> {
        let path = self.path(&owed.resource);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.directory)?;
            disk::write_whole(&path, serde_json::to_string(owed)?.as_bytes())
        };
        write().map_err(|source| JournalError { action: "write", path: path.clone(), source })
    }

    /// What a group owes from an earlier life.
    pub fn read(&self, resource: &Path) -> Result<Option<Owed>, JournalError> {
        let path = self.path(resource);
        match fs::read(&path) {
            // A note that cannot be read is one that somebody else wrote: it is owed by nobody.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(JournalError { action: "read", path, source }),
        }
    }

    /// Forgets what a group owed, and the old files that were kept for it.
    pub fn settle(&self, resource: &Path) -> Result<(), JournalError> {
        let Some(owed) = self.read(resource)? else { return Ok(()) };
        for old in owed.kept.iter().filter_map(|kept| kept.old.as_ref()) {
            let _ = fs::remove_file(old);
        }
        let path = self.path(resource);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(JournalError { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_owed_until_it_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path().join("state"));
        let resource = Path::new("/etc/confd/conf.d/a.toml");
        assert_eq!(journal.read(resource).unwrap(), None);
        let old = dir.path().join(".old");
        fs::write(&old, "old").unwrap();
        let owed = Owed {
            resource: resource.to_owned(),
            reloads: BTreeSet::from([Reload::Command("true".to_owned())]),
            kept: vec![Kept { dest: dir.path().join("f"), old: Some(old.clone()) }],
        };
        journal.note(&owed).unwrap();
        assert_eq!(journal.read(resource).unwrap(), Some(owed));
        assert_eq!(journal.read(Path::new("/other")).unwrap(), None);
        journal.settle(resource).unwrap();
        assert_eq!(journal.read(resource).unwrap(), None);
        assert!(!old.exists());
        journal.settle(resource).unwrap();
    }
}
