//! The lock that keeps a second process away from the data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::StoreError;

/// Held as long as the store lives; the kernel releases it with the process.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub(crate) fn take(dir: &Path) -> Result<DirectoryLock, StoreError> {
        let path = dir.join("lock");
        let io = |action| {
            let path = path.clone();
            move |source| StoreError::Io { action, path, source }
        };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io("open"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // The number is only for the message; without it the message still says what is wrong.
                let _ = file.read_to_string(&mut pid);
                let pid = if pid.is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
                return Err(StoreError::InUse { dir: dir.to_owned(), pid });
            }
            Err(errno) => return Err(io("lock")(errno.into())),
        }
        // Best effort, for the other process's message: on a full disk the lock must still work.
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "cannot note the process id in the lock file");
        }
        Ok(DirectoryLock { _file: file })
    }
}
