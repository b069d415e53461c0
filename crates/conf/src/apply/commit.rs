//! Staged files into their places, all of a group or none, and back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};

use super::disk;
use super::journal::{Journal, JournalError, Kept, Owed};
use super::leftovers::old_name;
use super::stage::Staged;
use crate::resource::Reload;

/// A group's files could not be put in place; they are as they were.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// What is owed cannot be noted, so nothing was done that would owe it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file could not be replaced.
    #[error("cannot replace {}", dest.display())]
    Replace {
        /// Which.
        dest: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Files that are in place.
#[derive(Debug, Default)]
pub struct Committed {
    /// All of them.
    pub dests: Vec<PathBuf>,
    /// Those that were written in place, because they are mount points: a reader may have seen half of one.
    pub in_place: Vec<PathBuf>,
}

/// Puts the staged files of one group in place. What it owes is noted before. The names are on disk only after [`super::disk`] has
/// synced the directories, which [`sync`] does for many groups together.
pub fn commit(
    journal: Option<&Journal>,
    resource: &Path,
    reloads: &BTreeSet<Reload>,
    keep_old: bool,
    staged: Vec<Staged>,
) -> Result<Committed, CommitError> {
    let replaced = |dest: &Path, source| CommitError::Replace { dest: dest.to_owned(), source };
    // With one file there is nothing to take back: its rename is the last thing that can fail.
    let keep = keep_old || staged.len() > 1;
    let mut kept = Vec::new();
    if keep {
        for file in &staged {
            match keep_aside(file) {
                Ok(old) => kept.push(Kept { dest: file.dest.clone(), old }),
                Err(source) => {
                    forget(&kept);
                    return Err(replaced(&file.dest, source));
                }
            }
        }
    }
    if let Some(journal) = journal.filter(|_| !reloads.is_empty()) {
        let owed = merged(journal, resource, reloads, if keep_old { &kept } else { &[] });
        if let Err(error) = owed.and_then(|owed| journal.note(&owed)) {
            forget(&kept);
            return Err(error.into());
        }
    }
    let mut done = Committed::default();
    for file in staged {
        let dest = file.dest.clone();
        match put(file) {
            Ok(in_place) => {
                if in_place {
                    done.in_place.push(dest.clone());
                }
                done.dests.push(dest);
            }
            Err(source) => {
                put_back(&kept, &done.dests);
                return Err(replaced(&dest, source));
            }
        }
    }
    if !keep_old || journal.is_none() || reloads.is_empty() {
        forget(&kept);
    }
    Ok(done)
}

/// What an earlier commit of the group owes stays owed; of two old files the older one is kept, for it is the last that was taken.
fn merged(journal: &Journal, resource: &Path, reloads: &BTreeSet<Reload>, kept: &[Kept]) -> Result<Owed, JournalError> {
    let mut owed = journal.read(resource)?.unwrap_or_default();
    resource.clone_into(&mut owed.resource);
    owed.reloads.extend(reloads.iter().cloned());
    for file in kept {
        if owed.kept.iter().any(|older| older.dest == file.dest) {
            forget(std::slice::from_ref(file));
        } else {
            owed.kept.push(file.clone());
        }
    }
    Ok(owed)
}

/// Puts the files of a group back to what was kept of them.
pub fn roll_back(journal: &Journal, resource: &Path) -> Result<Vec<PathBuf>, CommitError> {
    let Some(owed) = journal.read(resource)? else { return Ok(Vec::new()) };
    let mut back = Vec::new();
    for file in &owed.kept {
        restore(file).map_err(|source| CommitError::Replace { dest: file.dest.clone(), source })?;
        back.push(file.dest.clone());
    }
    sync(back.iter().map(PathBuf::as_path))?;
    // The reload is still owed; the old files are where they belong.
    journal.note(&Owed { kept: Vec::new(), ..owed })?;
    Ok(back)
}

/// Has the names of files on disk.
pub(crate) fn sync<'p>(dests: impl IntoIterator<Item = &'p Path>) -> Result<(), CommitError> {
    disk::after_rename(dests).map_err(|source| CommitError::Replace { dest: PathBuf::new(), source })
}

/// Has the bytes of staged files on disk, as far as the file system needs that before they get their names.
pub(crate) fn sync_staged(staged: &[&Staged]) -> Result<(), CommitError> {
    let first = staged.first().map(|file| file.dest.clone()).unwrap_or_default();
    disk::before_rename(staged).map_err(|source| CommitError::Replace { dest: first, source })
}

/// A second name for a file that is about to be replaced.
fn keep_aside(file: &Staged) -> io::Result<Option<PathBuf>> {
    if file.is_new {
        return Ok(None);
    }
    // The staged file's own name is free for sure with something behind it.
    let old = old_name(&file.path);
    match fs::hard_link(&file.dest, &old) {
        Ok(()) => {}
        // A mount point, or a file system without links: a copy does as well.
        Err(_) => copy(&file.dest, &old)?,
    }
    Ok(Some(old))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let content = fs::read(from)?;
    let meta = fs::metadata(from)?;
    let file = File::create_new(to)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    (&file).write_all(&content)?;
    use std::os::unix::fs::MetadataExt as _;
    let _ = rustix::fs::fchown(&file, Some(Uid::from_raw(meta.uid())), Some(Gid::from_raw(meta.gid())));
    file.set_permissions(meta.permissions())
}

/// Renames a staged file to its place; true if it had to be written in place instead.
fn put(file: Staged) -> io::Result<bool> {
    let (dest, path) = (file.dest, file.path);
    match path.persist(&dest) {
        Ok(()) => Ok(false),
        Err(failed) if failed.error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
            write_in_place(&failed.path, &dest)?;
            Ok(true)
        }
        Err(failed) => Err(failed.error),
    }
}

/// A mount point cannot be renamed over: a single file that is mounted into a container.
fn write_in_place(from: &Path, dest: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let content = fs::read(from)?;
    let meta = fs::metadata(from)?;
    let mut file = File::options().write(true).truncate(true).open(dest)?;
    file.write_all(&content)?;
    let _ = rustix::fs::fchown(&file, Some(Uid::from_raw(meta.uid())), Some(Gid::from_raw(meta.gid())));
    file.set_permissions(meta.permissions())?;
    file.sync_all()
}

/// Undoes what a commit did before it failed.
fn put_back(kept: &[Kept], done: &[PathBuf]) {
    for file in kept {
        if !done.contains(&file.dest) {
            forget(std::slice::from_ref(file));
        } else if let Err(error) = restore(file) {
            tracing::error!("cannot put {} back: {error}", file.dest.display());
        }
    }
}

fn restore(file: &Kept) -> io::Result<()> {
    let Some(old) = &file.old else {
        return match fs::remove_file(&file.dest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    match fs::rename(old, &file.dest) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
            write_in_place(old, &file.dest)?;
            fs::remove_file(old)
        }
        // It was put back already, before a crash.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => {
            // Two names of one file: the rename did nothing, and the second name is still there.
            let _ = fs::remove_file(old);
            other
        }
    }
}

fn forget(kept: &[Kept]) {
    for old in kept.iter().filter_map(|file| file.old.as_ref()) {
        let _ = fs::remove_file(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{compare, stage};
    use crate::resource::from_text;

    fn staged(dest: &Path, content: &str) -> Staged {
        let text = format!("[template]\nsrc = \"a\"\ndest = \"{}\"", dest.display());
        let output = from_text(Path::new("r.toml"), &text, None).unwrap().outputs.remove(0);
        stage(&compare(&output, content.as_bytes()).unwrap(), content.as_bytes()).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn reload() -> BTreeSet<Reload> {
        BTreeSet::from([Reload::Command("true".to_owned())])
    }

    #[test]
    fn all_files_of_a_group_get_into_place_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "old").unwrap();
        let files = vec![staged(&a, "A"), staged(&b, "B")];
        let done = commit(None, Path::new("r"), &BTreeSet::new(), false, files).unwrap();
        assert_eq!(done.dests, [a.clone(), b.clone()]);
        assert_eq!((fs::read(&a).unwrap(), fs::read(&b).unwrap()), (b"A".to_vec(), b"B".to_vec()));
        assert_eq!(names(dir.path()), ["a", "b"]);
    }

    #[test]
    fn if_one_file_cannot_be_replaced_all_are_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        fs::write(&a, "old a").unwrap();
        let files = vec![staged(&a, "A"), staged(&b, "B"), staged(&c, "C")];
        // In the place of the last one there is a directory by now.
        fs::create_dir(&c).unwrap();
        let error = commit(None, Path::new("r"), &BTreeSet::new(), false, files).unwrap_err();
        assert!(error.to_string().ends_with("/c"), "{error}");
        assert_eq!(fs::read(&a).unwrap(), b"old a");
        assert_eq!(names(dir.path()), ["a", "c"]);
    }

    #[test]
    fn old_files_return_when_they_are_called_back() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path().join("state"));
        let place = dir.path().join("etc");
        fs::create_dir(&place).unwrap();
        let (a, b) = (place.join("a"), place.join("b"));
        fs::write(&a, "old a").unwrap();
        let resource = Path::new("r.toml");
        commit(Some(&journal), resource, &reload(), true, vec![staged(&a, "A"), staged(&b, "B")]).unwrap();
        // A second commit before the reload was done: the files of the first one were never taken.
        commit(Some(&journal), resource, &reload(), true, vec![staged(&a, "AA")]).unwrap();
        assert_eq!(fs::read(&a).unwrap(), b"AA");
        assert_eq!(roll_back(&journal, resource).unwrap(), [a.clone(), b.clone()]);
        assert_eq!(fs::read(&a).unwrap(), b"old a");
        assert_eq!(names(&place), ["a"]);
        assert_eq!(journal.read(resource).unwrap().unwrap().reloads, reload());
        journal.settle(resource).unwrap();
    }

    #[test]
    fn without_a_journal_nothing_is_committed_that_would_owe_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let a = dir.path().join("a");
        fs::write(dir.path().join("file"), "").unwrap();
        let journal = Journal::new(dir.path().join("file/state"));
        let error = commit(Some(&journal), Path::new("r"), &reload(), true, vec![staged(&a, "A")]).unwrap_err();
        assert!(matches!(error, CommitError::Journal(_)));
        assert_eq!(names(dir.path()), ["file"]);
    }
}
