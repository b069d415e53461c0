//! What earlier lives left beside the files: staged ones that never got their names, and old ones that nobody calls back.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

use super::place::followed;

/// Between a file's own name and what makes the name of a staged one.
const MARK: &str = ".flota-";
/// Behind the name of an old file that may have to return.
const OLD: &str = ".old";
/// Letters and digits at the end of the name of a staged file.
const RANDOM_LENGTH: usize = 6;

/// How the names of staged files begin; whoever made one is in it.
pub(super) fn staged_prefix(name: &str) -> String {
    format!(".{name}{MARK}{}-", std::process::id())
}

/// The name of the old file beside a staged one.
pub(super) fn old_name(staged: &Path) -> PathBuf {
    let mut old = OsString::from(staged);
    old.push(OLD);
    old.into()
}

/// Removes what processes that are no more left beside these files, but for the old ones that are kept; without `kept` all old ones stay.
/// Tells what is gone.
pub fn sweep<'p>(dests: impl IntoIterator<Item = &'p Path>, kept: Option<&BTreeSet<PathBuf>>) -> Vec<PathBuf> {
    let mut directories: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
    for dest in dests.into_iter().filter_map(|dest| followed(dest).ok()) {
        if let (Some(directory), Some(name)) = (dest.parent(), dest.file_name()) {
            directories.entry(directory.to_owned()).or_default().insert(name.to_owned());
        }
    }
    let mut gone = Vec::new();
    for (directory, names) in &directories {
        // One that is not there yet has nothing in it; one that cannot be read fails later, where it matters.
        for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name();
            let Some(left) = name.to_str().and_then(Leftover::parse) else { continue };
            let path = directory.join(&name);
            let is_kept = left.is_old && kept.is_none_or(|kept| kept.contains(&path));
            let is_ours = names.contains(&OsString::from(left.of)) && !left.is_in_work();
            if is_ours && !is_kept && fs::remove_file(&path).is_ok() {
                gone.push(path);
            }
        }
    }
    gone
}

/// What the name of a staged or an old file says.
#[derive(Debug, PartialEq, Eq)]
struct Leftover<'n> {
    of: &'n str,
    pid: i32,
    is_old: bool,
}

impl Leftover<'_> {
    fn parse(name: &str) -> Option<Leftover<'_>> {
        let (of, rest) = name.strip_prefix('.')?.rsplit_once(MARK)?;
        let (rest, is_old) = rest.strip_suffix(OLD).map_or((rest, false), |rest| (rest, true));
        let (pid, random) = rest.split_once('-')?;
        let is_random = random.len() == RANDOM_LENGTH && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Some(Leftover { of, pid: pid.parse().ok().filter(|pid| *pid > 0)?, is_old }).filter(|_| is_random)
    }

    /// Whether another process may still want it. This one has nothing staged when it begins.
    fn is_in_work(&self) -> bool {
        let own = std::process::id().cast_signed();
        let alive = |pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
        self.pid != own && Pid::from_raw(self.pid).is_some_and(alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_staged_files_are_taken_for_them() {
        let left = |name| Leftover::parse(name).map(|left| (left.of.to_owned(), left.pid, left.is_old));
        assert_eq!(left(".nginx.conf.flota-12-aB3xyz"), Some(("nginx.conf".to_owned(), 12, false)));
        assert_eq!(left(".a.flota-12-aB3xyz.old"), Some(("a".to_owned(), 12, true)));
        for other in ["a.flota-12-aB3xyz", ".a.backup", ".a.flota-x-aB3xyz", ".a.flota-12-aB3xy", ".a.flota--1-aB3xyz"]
        {
            assert_eq!(left(other), None, "{other}");
        }
    }

    #[test]
    fn what_the_dead_left_goes_and_what_is_kept_or_in_work_or_of_others_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        // Larger than any process id.
        let dead = i32::MAX;
        let (staged, old) = (format!(".a.flota-{dead}-aaaaaa"), format!(".a.flota-{dead}-bbbbbb.old"));
        let kept = format!(".a.flota-{dead}-cccccc.old");
        let stay = [".a.flota-1-aaaaaa".to_owned(), format!(".b.flota-{dead}-aaaaaa"), ".a.backup".to_owned()];
        for name in [&staged, &old, &kept].into_iter().chain(&stay) {
            fs::write(place(name), "").unwrap();
        }
        let dest = place("a");
        let all = BTreeSet::from([place(&kept)]);
        assert_eq!(sweep([dest.as_path()], None), [place(&staged)]);
        assert_eq!(sweep([dest.as_path()], Some(&all)), [place(&old)]);
        assert!(place(&kept).exists() && stay.iter().all(|name| place(name).exists()));
    }
}
