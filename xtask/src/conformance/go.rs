//! etcd's own tests, from the Debian package of its source, built by Debian's Go without modules.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::alone::{Alone, each};
use super::here;
use super::outcome::{Outcome, TestResult};
use crate::shell::{capture, command, run};

/// Debian's Go path, and etcd in it.
const GOPATH: &str = "/usr/share/gocode";
const ETCD: &str = "/usr/share/gocode/src/go.etcd.io/etcd";

/// The longest that one test may take.
const LIMIT: Duration = Duration::from_secs(120);

/// tests/e2e: etcdctl and curl against processes.
pub fn etcdctl(alone: &Alone) -> Result<Vec<Outcome>> {
    let program = build(alone, &[], "go.etcd.io/etcd/tests/e2e")?;
    // The tests find programs and certificates two levels above.
    let bin = alone.dir().join("tree/bin");
    std::fs::create_dir_all(&bin).context("can't make its directory")?;
    link(Path::new("/usr/bin/etcdctl"), &bin.join("etcdctl"))?;
    let etcd = if alone.on_etcd() { PathBuf::from("/usr/bin/etcd") } else { here().join("bin/etcd") };
    link(&etcd, &bin.join("etcd"))?;
    run_each(alone, &program)
}

/// clientv3/integration: etcd's Go client.
pub fn clientv3(alone: &Alone) -> Result<Vec<Outcome>> {
    let shadow = here().join("go");
    let program = build(alone, &[&shadow], "go.etcd.io/etcd/clientv3/integration")?;
    run_each(alone, &program)
}

/// integration: the gRPC services without a client between; only the tests of the third API.
pub fn grpc(alone: &Alone) -> Result<Vec<Outcome>> {
    // Those tests are in the package that the stand-in replaces: they are laid beside it.
    let package = alone.dir().join("gopath/src/go.etcd.io/etcd/integration");
    if package.exists() {
        std::fs::remove_dir_all(&package).context("can't clear the package")?;
    }
    std::fs::create_dir_all(&package).context("can't make the package")?;
    let ours = here().join("go/src/go.etcd.io/etcd/integration");
    for dir in [&ours, &Path::new(ETCD).join("integration")] {
        for entry in std::fs::read_dir(dir).with_context(|| format!("can't read {}", dir.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if dir == &ours || (name.starts_with("v3") && name.ends_with("_test.go")) {
                std::fs::copy(&path, package.join(name)).context("can't copy a test")?;
            }
        }
    }
    let program = build(alone, &[&alone.dir().join("gopath")], "go.etcd.io/etcd/integration")?;
    run_each(alone, &program)
}

/// Builds the tests of a package; directories of `shadows` hide packages of the same name in Debian's Go path.
fn build(alone: &Alone, shadows: &[&Path], package: &str) -> Result<PathBuf> {
    let program = alone.dir().join("test-program");
    let mut gopath: Vec<String> = shadows.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    gopath.push(GOPATH.to_owned());
    let mut go = command("go", ["test".as_ref(), "-c".as_ref(), "-o".as_ref(), program.as_os_str(), package.as_ref()]);
    go.env("GOPATH", gopath.join(":")).env("GO111MODULE", "off").env("GOFLAGS", "");
    run(go.env("GOCACHE", alone.dir().join("../go-cache")))?;
    Ok(program)
}

/// Runs each test as a process of its own: one that crashes or hangs takes no other along. Some write into the directory that they run
/// in, so each has its own; what they look for two levels above, as in etcd's tree, is in `tree`.
fn run_each(alone: &Alone, program: &Path) -> Result<Vec<Outcome>> {
    let tree = alone.dir().join("tree");
    let dirs = tree.join("tests");
    std::fs::create_dir_all(&dirs).context("can't make the tests' directory")?;
    link(&Path::new(ETCD).join("integration"), &tree.join("integration"))?;
    let list = capture(command(program, ["-test.list", "^Test"]).current_dir(&tree))?;
    let tests: Vec<&str> = list.lines().filter(|line| line.starts_with("Test")).collect();
    let program = program.to_string_lossy();
    let run = |test: &str, log: &str| {
        let dir = dirs.join(test);
        std::fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
        let only = format!("^{test}$");
        let said = alone.run(log, &dir, LIMIT, &[&*program, "-test.v", "-test.run", &only])?;
        Ok(Outcome::new(test, result(test, &said.text)))
    };
    // Many of them mind a busy machine: what fails and is not known to is tried once more, by itself.
    let again = |outcome: Outcome| {
        if outcome.result != TestResult::Failed || alone.is_known(&outcome.test) {
            return Ok(outcome);
        }
        println!("    {} failed; once more, by itself", outcome.test);
        run(&outcome.test, &format!("{}-again", outcome.test))
    };
    each(&tests, |test| run(test, test))?.into_iter().map(again).collect()
}

fn result(test: &str, said: &str) -> TestResult {
    let told = |result: &str| said.lines().any(|line| line.starts_with(&format!("--- {result}: {test} ")));
    match () {
        () if told("SKIP") => TestResult::Skipped,
        // The exit status also tells of goroutines that the test itself left behind; those are its own affair.
        () if told("PASS") && !said.contains("\npanic: ") => TestResult::Passed,
        () => TestResult::Failed,
    }
}

fn link(to: &Path, at: &Path) -> Result<()> {
    let _ = std::fs::remove_file(at);
    symlink(to, at).with_context(|| format!("can't make the link {}", at.display()))
}
