//! Commands in a network of their own: suites use fixed ports, and so can run at the same time.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use super::here;
use crate::packages::is_root;
use crate::shell;

/// Where a suite's commands run, and the store they meet.
pub struct Alone {
    dir: PathBuf,
    /// The words that start the store under test.
    store: String,
    on_etcd: bool,
    /// The tests that are known to fail.
    known: BTreeSet<String>,
    is_root: bool,
    runs: AtomicUsize,
}

impl Alone {
    /// `dir` is the suite's own, below the target directory.
    pub fn new(dir: PathBuf, store: &str, on_etcd: bool, known: BTreeSet<String>) -> Result<Alone> {
        for name in ["logs", "tmp"] {
            let dir = dir.join(name);
            if dir.exists() {
                std::fs::remove_dir_all(&dir).with_context(|| format!("can't clear {}", dir.display()))?;
            }
            std::fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
        }
        Ok(Alone { dir, store: store.to_owned(), on_etcd, known, is_root: is_root()?, runs: AtomicUsize::new(0) })
    }

    /// The suite's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the commands said, a file for each.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Whether Debian's etcd is the store.
    pub fn on_etcd(&self) -> bool {
        self.on_etcd
    }

    /// Whether a test is known to fail.
    pub fn is_known(&self, test: &str) -> bool {
        self.known.contains(test)
    }

    /// Runs a command to its end, at most for `limit`, with `etcd` in its path being the store under test; what it says goes to the log
    /// `name` and is returned. With all that it has started, it is killed when it ends or the time is over.
    pub fn run(&self, name: &str, dir: &Path, limit: Duration, words: &[&str]) -> Result<Said> {
        let tmp = self.dir.join(format!("tmp/{}", self.runs.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&tmp).with_context(|| format!("can't make {}", tmp.display()))?;
        let log = self.logs().join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("can't make {}", log.display()))?;
        let mut command = Command::new("timeout");
        command.arg("--signal=KILL").arg(limit.as_secs().to_string()).args(["unshare", "--net", "--mount", "--pid"]);
        command.args(["--fork", "--kill-child", "--mount-proc"]);
        if !self.is_root {
            command.args(["--user", "--map-root-user"]);
        }
        let path = format!("{}:{}", here().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        command.arg(here().join("bin/alone")).args(words).current_dir(dir);
        command.env("TMPDIR", &tmp).env("PATH", path).env("STORE", &self.store);
        shell::forget_own_package(&mut command);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = command.status().with_context(|| format!("can't start {}", shell::show(&command)))?;
        std::fs::remove_dir_all(&tmp).with_context(|| format!("can't remove {}", tmp.display()))?;
        let text = std::fs::read(&log).with_context(|| format!("can't read {}", log.display()))?;
        Ok(Said { success: status.success(), text: String::from_utf8_lossy(&text).into_owned() })
    }
}

/// What came of a command.
pub struct Said {
    /// Whether it ended well.
    pub success: bool,
    /// All it wrote.
    pub text: String,
}

/// Does `work` with each of the items, several at a time, and gives the results in the items' order.
pub fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    // Tests mostly wait: for time to pass, for a process to start.
    let workers = std::thread::available_parallelism()?.get() * 2;
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?)))
                {
                    let result = work(item);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(each(&items, |item| Ok(item * 2)).unwrap(), (0..100).map(|item| item * 2).collect::<Vec<_>>());
        assert!(each(&items, |item| if *item == 50 { anyhow::bail!("no") } else { Ok(()) }).is_err());
    }
}
