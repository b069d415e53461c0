//! What a file system promises about a file that is renamed: with some, its bytes are never behind its name.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Advice, fadvise, fsync, statfs, syncfs};

use super::stage::Staged;

/// With more files than this on one disk the whole file system is synced instead of each.
const MAX_SINGLE_SYNCS: usize = 8;

/// tmpfs and ramfs: nothing outlives a crash.
const VOLATILE: [u32; 2] = [0x0102_1994, 0x8584_58f6];
/// ext2, ext3, ext4.
const EXT: u32 = 0xef53;

/// Which steps a file system needs, so that a crash leaves the old file or the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// There is nothing after a crash.
    Nothing,
    /// The directory is synced after the rename: bytes that are on their way to the disk are there before a name that points at them
    /// is (ext4 with its defaults, `auto_da_alloc` and `data=ordered`).
    DirectoryAfter,
    /// The file is synced before the rename, the directory after it.
    FileBefore,
}

/// Has the bytes of a new file in `directory` sent to the disk, and waits for nothing, where that keeps them before its name. ext4 itself
/// does so for a file that replaces another.
pub(super) fn begin_to_write(file: &File, directory: &Path) {
    if needs(directory) == Needs::DirectoryAfter {
        // Advice can be ignored, and so can its failure.
        let _ = fadvise(file, 0, None, Advice::DontNeed);
    }
}

/// What has to be on disk before these files get their names.
pub(super) fn before_rename(staged: &[&Staged]) -> io::Result<()> {
    let explicit: Vec<&&Staged> = staged.iter().filter(|file| needs(&file.path) == Needs::FileBefore).collect();
    if explicit.len() <= MAX_SINGLE_SYNCS {
        for file in explicit {
            fsync(File::open(&file.path)?)?;
        }
        return Ok(());
    }
    let mut synced = BTreeSet::new();
    for file in explicit {
        let open = File::open(&file.path)?;
        if synced.insert(open.metadata()?.dev()) {
            syncfs(open)?;
        }
    }
    Ok(())
}

/// Has the new names on disk; each directory is synced once.
pub(super) fn after_rename<'p>(files: impl IntoIterator<Item = &'p Path>) -> io::Result<()> {
    let directories: BTreeSet<&Path> = files.into_iter().filter_map(Path::parent).collect();
    for directory in directories {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        if needs(directory) != Needs::Nothing {
            fsync(File::open(directory)?)?;
        }
    }
    Ok(())
}

/// Writes a small file of Flota's own so that a crash leaves the old one or the new one.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let file = File::create(&beside)?;
    io::Write::write_all(&mut &file, content)?;
    if needs(&beside) != Needs::Nothing {
        file.sync_data()?;
    }
    fs::rename(&beside, path)?;
    after_rename([path])
}

fn needs(path: &Path) -> Needs {
    let Ok(found) = statfs(path) else { return Needs::FileBefore };
    let kind = found.f_type as u32;
    if VOLATILE.contains(&kind) {
        return Needs::Nothing;
    }
    if kind == EXT && fs::metadata(path).is_ok_and(|meta| keeps_order(meta.dev())) {
        return Needs::DirectoryAfter;
    }
    Needs::FileBefore
}

/// Whether an ext4 has the bytes of a file on disk before its name. In a container this may be hidden; then it counts as no.
fn keeps_order(device: u64) -> bool {
    static KNOWN: std::sync::Mutex<Vec<(u64, bool)>> = std::sync::Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, keeps)) = known.iter().find(|(other, _)| *other == device) {
        return *keeps;
    }
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let name = fs::read_link(format!("/sys/dev/block/{major}:{minor}")).ok();
    let options = name
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| fs::read_to_string(Path::new("/proc/fs/ext4").join(name).join("options")).ok());
    let keeps = options.is_some_and(|options| {
        let has = |wanted: &str| options.lines().any(|option| option == wanted);
        // Without a journal there is no order at all, whatever is flushed at the rename.
        has("auto_da_alloc") && (has("data=ordered") || has("data=journal"))
    });
    known.push((device, keeps));
    keeps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn memory_needs_no_sync() {
        if Path::new("/dev/shm").is_dir() {
            assert_eq!(needs(Path::new("/dev/shm")), Needs::Nothing);
        }
        assert_eq!(needs(Path::new("/proc")), Needs::FileBefore);
    }
}
