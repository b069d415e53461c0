//! A machine's control group on the host: freezing, killing and measuring a machine as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{LabError, Result};
use crate::{files, mounts};

/// How long killed processes may take to leave their cgroup.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(10);

/// One group: in the v2 hierarchy, and where the host still has v1 beside it in v1's `memory` and `blkio`, which count
/// and throttle there, and in `name=systemd`, to which systemd-nspawn copies the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroup {
    unified: PathBuf,
    memory_v1: Option<PathBuf>,
    systemd_v1: Option<PathBuf>,
    blkio_v1: Option<PathBuf>,
}

impl Cgroup {
    /// The group at `path` (relative to each hierarchy), whether or not it exists.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        let mounts = mounts::all()?;
        let v2 = mounts.iter().find(|mount| mount.kind == "cgroup2").ok_or(LabError::NoCgroup2)?;
        let path = path.strip_prefix("/").unwrap_or(path);
        let v1 = |wanted: &str| {
            let has = |options: &str| options.split(',').any(|option| option == wanted);
            let mut mounts = mounts.iter();
            let found = mounts.find(|mount| mount.kind == "cgroup" && has(&mount.options))?;
            Some(found.point.join(path))
        };
        Ok(Self {
            unified: v2.point.join(path),
            memory_v1: v1("memory"),
            systemd_v1: v1("name=systemd"),
            blkio_v1: v1("blkio"),
        })
    }

    /// Makes it anew, without what an earlier boot left in it.
    pub(crate) fn create(&self) -> Result<()> {
        self.remove()?;
        Ok(self.directories().try_for_each(files::make_dir)?)
    }

    /// The files that take a process id to move that process here.
    pub(crate) fn entrances(&self) -> impl Iterator<Item = PathBuf> {
        self.directories().map(|dir| dir.join("cgroup.procs"))
    }

    /// Stops all its processes where they are, or lets them go on.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        let file = self.unified.join("cgroup.freeze");
        fs::write(&file, if frozen { "1" } else { "0" }).map_err(LabError::io("write", file))
    }

    /// Whether it was frozen.
    pub(crate) fn is_frozen(&self) -> bool {
        fs::read_to_string(self.unified.join("cgroup.freeze")).is_ok_and(|text| text.trim() == "1")
    }

    /// SIGKILL to everything in it (frozen or not), and waits until all are gone.
    pub(crate) fn kill(&self) -> Result<()> {
        let file = self.unified.join("cgroup.kill");
        match fs::write(&file, "1") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(LabError::io("write", file)(error)),
            Ok(()) => {}
        }
        let deadline = Instant::now() + EMPTY_TIMEOUT;
        while self.is_populated() && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Removes it with all groups in it; they must hold no process.
    pub(crate) fn remove(&self) -> Result<()> {
        self.directories().try_for_each(remove_tree)
    }

    /// Whether it is there at all.
    pub(crate) fn exists(&self) -> bool {
        self.directories().any(Path::exists)
    }

    /// The names of the groups in it.
    pub(crate) fn children(&self) -> Result<Vec<String>> {
        let names = files::names_in(&self.unified)?;
        Ok(names.into_iter().filter(|name| self.unified.join(name).is_dir()).collect())
    }

    /// Memory of its processes in bytes, without the page cache; none where the host does not count it.
    pub(crate) fn memory(&self) -> Option<u64> {
        let (dir, field) = match &self.memory_v1 {
            Some(dir) => (dir, "total_rss"),
            None => (&self.unified, "anon"),
        };
        let text = fs::read_to_string(dir.join("memory.stat")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    /// Allows it so many writes to that disk (`MAJOR:MINOR`) in a second; none: as many as it likes.
    pub(crate) fn limit_writes(&self, disk: &str, per_second: Option<u32>) -> Result<()> {
        let (file, value) = if let Some(dir) = &self.blkio_v1 {
            (dir.join("blkio.throttle.write_iops_device"), per_second.unwrap_or(0).to_string())
        } else {
            let value = per_second.map_or_else(|| "max".to_owned(), |number| number.to_string());
            (self.unified.join("io.max"), format!("wiops={value}"))
        };
        fs::write(&file, format!("{disk} {value}")).map_err(LabError::io("write", file))
    }

    fn is_populated(&self) -> bool {
        fs::read_to_string(self.unified.join("cgroup.events"))
            .is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        let v1 = [&self.memory_v1, &self.systemd_v1, &self.blkio_v1].into_iter().flatten();
        std::iter::once(&self.unified).chain(v1).map(PathBuf::as_path)
    }
}

/// Cgroups are removed from the leaves up with `rmdir`; their files go by themselves.
fn remove_tree(dir: &Path) -> Result<()> {
    for name in files::names_in(dir)? {
        let child = dir.join(name);
        if child.is_dir() {
            remove_tree(&child)?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LabError::io("remove", dir)(error)),
        _ => Ok(()),
    }
}
