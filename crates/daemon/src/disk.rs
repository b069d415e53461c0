//! What the daemon keeps on its machine: the lock, the agent's memory, the unit files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flota_agent::{Held, Installed};
use flota_unit::{UnitFile, UnitName};
use rustix::fs::FlockOperation;

/// Where systemd keeps links that do not outlive a reboot.
const RUNTIME_UNITS: &str = "/run/systemd/system";

/// The daemon's folder, locked for as long as this lives.
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the folder (making it if need be) and locks it against a second daemon.
    pub fn open(root: &Path) -> anyhow::Result<DataDir> {
        fs::create_dir_all(root.join("agent/units"))
            .with_context(|| format!("cannot make data directory {}", root.display()))?;
        let path = root.join("lock");
        let mut lock = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = lock.as_mut().map_err(|error| anyhow::anyhow!("cannot open {}: {error}", path.display()))?;
        match rustix::fs::flock(&*file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                bail!(
                    "data directory {} is in use by another flota daemon (process {}): stop it, or name another directory with --data-dir",
                    root.display(),
                    holder.trim()
                );
            }
            Err(error) => bail!("cannot lock {}: {error}", path.display()),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(DataDir { root: root.to_owned(), _lock: lock? })
    }

    /// The embedded store's folder.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The agent's part of the folder.
    pub fn agent(&self) -> AgentDir {
        AgentDir { root: self.root.join("agent") }
    }
}

/// The agent's folder: `held.json` and `units/`.
#[derive(Debug, Clone)]
pub struct AgentDir {
    root: PathBuf,
}

impl AgentDir {
    /// Reads the agent's memory; an empty one where there is none yet.
    pub fn read_held(&self) -> anyhow::Result<Held> {
        let path = self.held_path();
        match fs::read(&path) {
            Ok(bytes) => Held::decode(&bytes).with_context(|| {
                format!("{} (move it away to start without it: running units are then adopted)", path.display())
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Held::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the agent's memory, durably.
    pub fn write_held(&self, held: &Held) -> io::Result<()> {
        write_whole(&self.held_path(), &held.encode())
    }

    /// The unit files that are here. One that cannot be read counts as absent: it is fetched and written anew.
    pub fn installed(&self) -> anyhow::Result<BTreeMap<UnitName, Installed>> {
        let folder = self.root.join("units");
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<UnitName>().ok()) else {
                continue;
            };
            let Some(file) = fs::read(entry.path()).ok().and_then(|bytes| UnitFile::parse_bytes(&bytes).ok()) else {
                continue;
            };
            let linked = fs::read_link(link_path(&name)).is_ok_and(|target| target == entry.path());
            found.insert(name, Installed { hash: file.hash(), linked });
        }
        Ok(found)
    }

    /// Where a unit's file is.
    pub fn unit_path(&self, unit: &UnitName) -> PathBuf {
        self.root.join("units").join(unit.as_str())
    }

    /// Writes a unit's file, durably.
    pub fn write_unit(&self, unit: &UnitName, text: &str) -> io::Result<()> {
        write_whole(&self.unit_path(unit), text.as_bytes())
    }

    /// Removes a unit's file and, should systemd have left it, the link to it.
    pub fn remove_unit(&self, unit: &UnitName) -> io::Result<()> {
        let (link, path) = (link_path(unit), self.unit_path(unit));
        if fs::read_link(&link).is_ok_and(|target| target == path) {
            remove_if_there(&link)?;
        }
        remove_if_there(&path)
    }

    fn held_path(&self) -> PathBuf {
        self.root.join("held.json")
    }
}

fn link_path(unit: &UnitName) -> PathBuf {
    Path::new(RUNTIME_UNITS).join(unit.as_str())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Replaces a file so that a crash at any moment leaves the old content or the new.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    // Not a name that a unit can have: a leftover is never taken for one.
    let mut name = std::ffi::OsString::from(".new ");
    name.push(path.file_name().unwrap_or_default());
    let temporary = folder.join(name);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).err().unwrap().to_string();
        assert!(
            error.contains("in use by another flota daemon") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn memory_and_unit_files_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let agent = DataDir::open(folder.path()).unwrap().agent();
        assert_eq!(agent.read_held().unwrap(), Held::default());
        let held = Held { boot_id: "b".into(), ..Held::default() };
        agent.write_held(&held).unwrap();
        assert_eq!(agent.read_held().unwrap(), held);

        let unit: UnitName = "a@1.service".parse().unwrap();
        agent.write_unit(&unit, "[Service]\nExecStart=/bin/sleep 100\n").unwrap();
        let installed = agent.installed().unwrap();
        assert_eq!(installed[&unit].hash.to_string(), "1c6fb6f3684bafb0c173d8b8b957ceff031180c1");
        assert!(!installed[&unit].linked);
        agent.remove_unit(&unit).unwrap();
        assert!(agent.installed().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_memory_is_an_error_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let agent = DataDir::open(folder.path()).unwrap().agent();
        fs::write(folder.path().join("agent/held.json"), "{torn").unwrap();
        let error = format!("{:#}", agent.read_held().unwrap_err());
        assert!(error.contains("held.json") && error.contains("damaged"), "{error}");
    }
}
