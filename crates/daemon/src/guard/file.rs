//! The file between daemon and guard, in `/run`: what is exclusive here, and until when it may run.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flota_agent::fence::Guarded;
use rustix::fs::FlockOperation;

const NAME: &str = "fence";
/// Longest wait for a guard that is at work. It asks systemd only for what returns at once.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// The file, and the lock beside it: while the guard acts on what it read, the daemon writes nothing, so that a unit
/// which the daemon starts after it wrote is never stopped for what the file said before.
#[derive(Debug, Clone)]
pub struct GuardFile {
    path: PathBuf,
}

impl GuardFile {
    /// The one in the daemon's runtime folder.
    pub fn in_folder(folder: &Path) -> GuardFile {
        GuardFile { path: folder.join(NAME) }
    }

    /// This one.
    pub fn new(path: PathBuf) -> GuardFile {
        GuardFile { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; none where there is no file.
    pub fn read(&self) -> io::Result<Option<Guarded>> {
        match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) => Guarded::decode(&bytes).map(Some).map_err(io::Error::other),
        }
    }

    /// Replaces it, or removes it. Not durable: it is about processes, which a crash of the machine ends as well.
    pub fn write(&self, guarded: Option<&Guarded>) -> io::Result<()> {
        let _lock = self.lock(Some(MAX_LOCK_WAIT))?;
        let Some(guarded) = guarded else {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let new = self.path.with_extension("new");
        fs::write(&new, guarded.encode())?;
        fs::rename(new, &self.path)
    }

    /// Locks it for as long as the returned file lives. Whoever gives up waiting goes on without the lock: a guard that
    /// hangs must not hold the daemon up.
    pub fn lock(&self, patience: Option<Duration>) -> io::Result<File> {
        let lock = File::options().create(true).truncate(false).write(true).open(self.path.with_extension("lock"))?;
        let Some(patience) = patience else {
            rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
            return Ok(lock);
        };
        let started = Instant::now();
        while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(error.into());
            }
            if started.elapsed() >= patience {
                break;
            }
            std::thread::sleep(LOCK_RETRY);
        }
        Ok(lock)
    }
}

#[cfg(test)]
mod tests {
    use flota_agent::fence::Term;
    use flota_registry::Millis;

    use super::*;

    #[test]
    fn what_was_written_is_read_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = GuardFile::in_folder(folder.path());
        assert_eq!(file.read().unwrap(), None);
        let term = Term::new(Millis(1), Millis(5_000));
        let guarded = Guarded { term, units: ["a.service".parse().unwrap()].into() };
        file.write(Some(&guarded)).unwrap();
        assert_eq!(file.read().unwrap(), Some(guarded));
        file.write(None).unwrap();
        file.write(None).unwrap();
        assert_eq!(file.read().unwrap(), None);
        fs::write(file.path(), "{torn").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_guard_that_hangs_does_not_hold_the_daemon_up_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let file = GuardFile::in_folder(folder.path());
        let _hangs = file.lock(None).unwrap();
        let started = Instant::now();
        file.write(None).unwrap();
        assert!(started.elapsed() >= MAX_LOCK_WAIT);
    }
}
