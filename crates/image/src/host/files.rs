//! Small files written whole, links, and trees removed without walking into mounts.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::error::{HostError, Result};
use super::mounts;

/// Makes a directory and its parents.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(HostError::io("make", path))
}

/// Reads a text file; none when it is not there.
pub fn read_optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HostError::io("read", path)(error)),
    }
}

/// Writes a file whole (the old one or the new one, never a part) unless it already is like that; whether it changed.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let temporary = beside(path, "new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(HostError::io("write", path))?;
    Ok(true)
}

/// Copies a program over another unless size and time say it is the same; whether it changed.
/// The old file stays intact for processes that run it.
pub fn copy_program(from: &Path, to: &Path) -> Result<bool> {
    let source = fs::metadata(from).map_err(HostError::io("read", from))?;
    let modified = source.modified().map_err(HostError::io("read", from))?;
    if let Ok(target) = fs::metadata(to)
        && target.len() == source.len()
        && target.modified().is_ok_and(|time| time == modified)
    {
        return Ok(false);
    }
    let temporary = beside(to, "new");
    let copy = || -> io::Result<()> {
        fs::copy(from, &temporary)?;
        fs::set_permissions(&temporary, Permissions::from_mode(0o755))?;
        File::options().write(true).open(&temporary)?.set_modified(modified)?;
        fs::rename(&temporary, to)
    };
    copy().map_err(HostError::io("write", to))?;
    Ok(true)
}

/// Makes a symbolic link unless something is there.
pub fn link(target: &str, path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    match symlink(target, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(HostError::io("link", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a file, link or directory tree; nothing there is fine. What is mounted in it is unmounted first,
/// so that a removal never reaches into another file system.
pub fn remove(path: &Path) -> Result<()> {
    mounts::unmount_under(path)?;
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(HostError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The names in a directory, sorted; none when it is not there.
pub fn names_in(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(HostError::io("read", path)(error)),
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Waits for the exclusive lock at `path`; it lasts as long as the returned file.
pub fn lock(path: &Path) -> Result<File> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let file = File::create(path).map_err(HostError::io("open", path))?;
    file.lock().map_err(HostError::io("lock", path))?;
    Ok(file)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_tells_whether_it_changed_anything() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(write(&path, b"one", 0o600).unwrap());
        assert!(!write(&path, b"one", 0o600).unwrap());
        assert!(write(&path, b"two", 0o600).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names_in(&dir.path().join("a")).unwrap(), ["b"]);
    }

    #[test]
    fn a_program_is_copied_only_when_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "1").unwrap();
        assert!(copy_program(&from, &to).unwrap());
        assert!(!copy_program(&from, &to).unwrap());
        fs::write(&from, "22").unwrap();
        assert!(copy_program(&from, &to).unwrap());
        assert_eq!(fs::read(&to).unwrap(), b"22");
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn removing_nothing_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        remove(&dir.path().join("absent")).unwrap();
        assert!(names_in(&dir.path().join("absent")).unwrap().is_empty());
    }
}
