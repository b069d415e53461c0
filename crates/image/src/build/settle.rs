//! Times of a tree: nothing in it is newer than the epoch of its build.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::error::{ImageError, Result};

/// How deep a tree may be; Debian's are far below.
const MAX_DEPTH: usize = 128;

/// Gives every file, directory and link of the tree that is newer than `epoch` that time; the bytes of all files.
pub(crate) fn settle(path: &Path, epoch: i64) -> Result<u64> {
    settle_below(path, epoch, 0)
}

fn settle_below(path: &Path, epoch: i64, depth: usize) -> Result<u64> {
    if depth > MAX_DEPTH {
        return Err(ImageError::io("go deeper than", path)(std::io::Error::from(std::io::ErrorKind::InvalidInput)));
    }
    let meta = fs::symlink_metadata(path).map_err(ImageError::io("read", path))?;
    let mut bytes = if meta.is_file() { meta.len() } else { 0 };
    if meta.is_dir() {
        let entries = fs::read_dir(path).map_err(ImageError::io("read", path))?;
        for entry in entries {
            let entry = entry.map_err(ImageError::io("read", path))?;
            bytes += settle_below(&entry.path(), epoch, depth + 1)?;
        }
    }
    // A whole second in any case: archives and file systems keep different fractions of one.
    if meta.mtime() > epoch || meta.mtime_nsec() != 0 {
        let time = Timespec { tv_sec: meta.mtime().min(epoch), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(ImageError::io("set the time of", path))?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_newer_than_the_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("d/old");
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(&old, "12345").unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        fs::File::options().write(true).open(&old).unwrap().set_modified(time).unwrap();
        std::os::unix::fs::symlink("/no/such", dir.path().join("link")).unwrap();
        assert_eq!(settle(dir.path(), 2000).unwrap(), 5);
        let time = |path: &str| fs::symlink_metadata(dir.path().join(path)).unwrap().mtime();
        assert_eq!((time("d/old"), time("d"), time("link"), time("")), (1000, 2000, 2000, 2000));
    }
}
