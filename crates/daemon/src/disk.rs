//! What the daemon keeps on its machine: the lock, the agent's memory, the unit files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use flota_agent::{Held, Installed, Leave};
use flota_unit::{UnitFile, UnitHash, UnitName};
use rustix::fs::FlockOperation;

/// Where systemd keeps links that do not outlive a reboot.
const RUNTIME_UNITS: &str = "/run/systemd/system";

/// The note of a machine that leaves. `flota join` removes it.
const LEAVE_NOTE: &str = "left.json";

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

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The embedded store's folder.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Where the note is that this machine leaves its cluster, or has left it.
    pub fn leave_note(&self) -> PathBuf {
        self.root.join(LEAVE_NOTE)
    }

    /// That note, if there is one.
    pub fn read_leave(&self) -> anyhow::Result<Option<Leave>> {
        let path = self.leave_note();
        match fs::read(&path) {
            Ok(bytes) => Leave::decode(&bytes).map(Some).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes that note, durably.
    pub fn write_leave(&self, leave: &Leave) -> anyhow::Result<()> {
        let path = self.leave_note();
        write_whole(&path, &leave.encode()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The agent's part of the folder.
    pub fn agent(&self) -> AgentDir {
        AgentDir::new(&self.root, Path::new(RUNTIME_UNITS))
    }
}

/// The agent's folder: `held.json` and `units/`.
#[derive(Debug, Clone)]
pub struct AgentDir {
    root: PathBuf,
    /// systemd's folder of links that do not outlive a reboot.
    runtime: PathBuf,
}

impl AgentDir {
    /// The agent's part of a data directory, with systemd's folder of links.
    pub(crate) fn new(data: &Path, runtime: &Path) -> AgentDir {
        AgentDir { root: data.join("agent"), runtime: runtime.to_owned() }
    }

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

    /// The texts of the unit files that are here, parsed; one that cannot be read is left out.
    pub fn unit_files(&self) -> io::Result<BTreeMap<UnitName, UnitFile>> {
        let mut files = BTreeMap::new();
        for entry in read_folder(&self.root.join("units"))? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(|name| name.parse::<UnitName>().ok());
            let file = fs::read(entry.path()).ok().and_then(|bytes| UnitFile::parse_bytes(&bytes).ok());
            if let (Some(name), Some(file)) = (name, file) {
                files.insert(name, file);
            }
        }
        Ok(files)
    }

    /// Forgets the agent's memory and its unit files; the links to them must be gone.
    pub fn forget(&self) -> io::Result<()> {
        for unit in self.unit_files()?.keys() {
            self.remove_unit(unit)?;
        }
        self.forget_held()
    }

    /// Forgets the agent's memory alone.
    pub fn forget_held(&self) -> io::Result<()> {
        remove_if_there(&self.held_path())
    }

    /// Unit files that stand in systemd's runtime folder by themselves, as a purged package leaves them.
    pub fn copies(&self) -> io::Result<BTreeMap<UnitName, UnitHash>> {
        let mut copies = BTreeMap::new();
        for entry in read_folder(&self.runtime)? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(|name| name.parse::<UnitName>().ok());
            let file = entry.file_type()?.is_file().then(|| fs::read(entry.path()).ok()).flatten();
            let file = file.and_then(|bytes| UnitFile::parse_bytes(&bytes).ok());
            if let (Some(name), Some(file)) = (name, file) {
                copies.insert(name, file.hash());
            }
        }
        Ok(copies)
    }

    /// The unit files that are here. One that cannot be read counts as absent: it is fetched and written anew.
    pub fn installed(&self) -> anyhow::Result<BTreeMap<UnitName, Installed>> {
        let folder = self.root.join("units");
        let mut found = BTreeMap::new();
        let mut links: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        for (link, target) in self.links().with_context(|| format!("cannot read {}", self.runtime.display()))? {
            links.entry(target).or_default().push(link);
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<UnitName>().ok()) else {
                continue;
            };
            let Some(file) = fs::read(entry.path()).ok().and_then(|bytes| UnitFile::parse_bytes(&bytes).ok()) else {
                continue;
            };
            let links = links.get(&entry.path()).map_or(&[][..], Vec::as_slice);
            let direct = links.contains(&self.runtime.join(name.as_str()));
            // One whose [Install] was not applied is linked again, so that the complaint is heard again.
            let linked = direct && (links.len() > 1 || !file.has_section("Install"));
            found.insert(name, Installed { hash: file.hash(), linked });
        }
        Ok(found)
    }

    /// Where a unit's file is.
    pub fn unit_path(&self, unit: &UnitName) -> PathBuf {
        self.root.join("units").join(unit.as_str())
    }

    /// A unit's file as it is here; none where there is none, or one that cannot be read.
    pub fn unit_file(&self, unit: &UnitName) -> Option<UnitFile> {
        fs::read(self.unit_path(unit)).ok().and_then(|bytes| UnitFile::parse_bytes(&bytes).ok())
    }

    /// Writes a unit's file, durably. A copy of it in systemd's folder makes room for the link: whoever purges the package
    /// leaves one there for each unit that runs.
    pub fn write_unit(&self, unit: &UnitName, text: &str) -> io::Result<()> {
        write_whole(&self.unit_path(unit), text.as_bytes())?;
        let left = self.runtime.join(unit.as_str());
        let is_file = fs::symlink_metadata(&left).is_ok_and(|found| found.is_file());
        if is_file && fs::read(&left)? == text.as_bytes() { remove_if_there(&left) } else { Ok(()) }
    }

    /// Removes a unit's file.
    pub fn remove_unit(&self, unit: &UnitName) -> io::Result<()> {
        remove_if_there(&self.unit_path(unit))
    }

    /// Whether the unit's file has an `[Install]` section.
    pub fn has_install(&self, unit: &UnitName) -> bool {
        self.unit_file(unit).is_some_and(|file| file.has_section("Install"))
    }

    /// Removes every link to these units' files: their own, and those that their `[Install]` sections asked for.
    /// systemd's own way (`DisableUnitFiles`) would take the links of the units in `Also=` along.
    pub fn unlink(&self, units: &[&UnitName]) -> io::Result<()> {
        let files: BTreeSet<PathBuf> = units.iter().map(|unit| self.unit_path(unit)).collect();
        for (link, _) in self.links()?.into_iter().filter(|(_, target)| files.contains(target)) {
            remove_if_there(&link)?;
            if let Some(folder) = link.parent().filter(|folder| *folder != self.runtime) {
                // It holds other links, or is of no use any more.
                let _ = fs::remove_dir(folder);
            }
        }
        Ok(())
    }

    /// The links in systemd's runtime folder and in its `.wants`, `.requires` and `.upholds` folders, each with the
    /// file of ours that it leads to, be it by way of the unit's own link.
    fn links(&self) -> io::Result<Vec<(PathBuf, PathBuf)>> {
        let mut found = Vec::new();
        let mut folders = vec![self.runtime.clone()];
        while let Some(folder) = folders.pop() {
            for entry in read_folder(&folder)? {
                let entry = entry?;
                let (path, kind) = (entry.path(), entry.file_type()?);
                if kind.is_dir() && folder == self.runtime && is_dependency_folder(&path) {
                    folders.push(path);
                } else if kind.is_symlink()
                    && let Some(target) = self.file_behind(&path)
                {
                    found.push((path, target));
                }
            }
        }
        Ok(found)
    }

    /// The file in our folder that a link leads to.
    fn file_behind(&self, link: &Path) -> Option<PathBuf> {
        let units = self.root.join("units");
        let mut target = absolute(link, &fs::read_link(link).ok()?);
        if target.parent() == Some(&*self.runtime) {
            target = absolute(&target, &fs::read_link(&target).ok()?);
        }
        (target.parent() == Some(&*units)).then_some(target)
    }

    /// Where the agent's memory is.
    pub(crate) fn held_path(&self) -> PathBuf {
        self.root.join("held.json")
    }
}

/// Whether systemd looks there for the units that another one wants.
fn is_dependency_folder(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "wants" || kind == "requires" || kind == "upholds")
}

/// Where a link leads; `..` is taken by its name, as systemd writes such links.
fn absolute(link: &Path, target: &Path) -> PathBuf {
    let mut path = link.parent().unwrap_or(Path::new("/")).to_owned();
    for part in target.components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path
}

/// The entries of a folder; none when it is not there.
fn read_folder(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Replaces a file so that a crash at any moment leaves the old content or the new.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, 0o666)
}

/// The same for a file that is only root's.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, 0o600)
}

/// The mode is less what the process masks.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    // Not a name that a unit can have: a leftover is never taken for one.
    let mut name = std::ffi::OsString::from(".new ");
    name.push(path.file_name().unwrap_or_default());
    let temporary = folder.join(name);
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
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
    fn a_copy_that_a_purge_left_makes_room_and_a_file_of_others_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = folder.path().join("run");
        fs::create_dir_all(&runtime).unwrap();
        let data = folder.path().join("data");
        let _data = DataDir::open(&data).unwrap();
        let agent = AgentDir::new(&data, &runtime);
        let (unit, text): (UnitName, _) = ("a.service".parse().unwrap(), "[Service]\nExecStart=/bin/true\n");
        fs::write(runtime.join("a.service"), text).unwrap();
        assert_eq!(agent.copies().unwrap(), [(unit.clone(), UnitFile::parse(text).unwrap().hash())].into());
        agent.write_unit(&unit, "[Service]\nExecStart=/bin/false\n").unwrap();
        assert!(runtime.join("a.service").exists());
        agent.write_unit(&unit, text).unwrap();
        assert!(!runtime.join("a.service").exists());
    }

    #[test]
    fn every_link_to_a_units_file_is_found_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let _data = DataDir::open(folder.path()).unwrap();
        let runtime = folder.path().join("run");
        let agent = AgentDir::new(folder.path(), &runtime);
        let names: [UnitName; 3] = ["a.service", "b.service", "c.service"].map(|name| name.parse().unwrap());
        for name in &names {
            agent.write_unit(name, "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=x.target\n").unwrap();
        }
        assert!(agent.installed().unwrap().values().all(|installed| !installed.linked), "there is no such folder");
        let wants = runtime.join("x.target.wants");
        fs::create_dir_all(&wants).unwrap();
        fs::create_dir_all(runtime.join("a.service.d")).unwrap();
        let link = |from: PathBuf, to: &Path| std::os::unix::fs::symlink(to, from).unwrap();
        for name in &names {
            link(runtime.join(name.as_str()), &agent.unit_path(name));
        }
        link(wants.join("a.service"), &agent.unit_path(&names[0]));
        link(wants.join("b.service"), Path::new("../b.service"));
        link(runtime.join("alias.service"), &agent.unit_path(&names[1]));
        link(runtime.join("foreign.service"), Path::new("/usr/lib/systemd/system/foreign.service"));

        let installed = agent.installed().unwrap();
        let linked: Vec<bool> = names.iter().map(|name| installed[name].linked).collect();
        assert_eq!(linked, [true, true, false], "the [Install] of the last one was not applied");

        agent.unlink(&[&names[1]]).unwrap();
        assert_eq!(list(&runtime), ["a.service", "a.service.d", "c.service", "foreign.service", "x.target.wants"]);
        assert_eq!(list(&wants), ["a.service"]);
        agent.unlink(&[&names[0], &names[2]]).unwrap();
        assert_eq!(list(&runtime), ["a.service.d", "foreign.service"]);
    }

    fn list(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
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
