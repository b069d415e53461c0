//! Python clients of etcd: their packages from PyPI, their tests by their own runner, in a virtual environment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::alone::Alone;
use super::here;
use super::outcome::{Outcome, TestResult};
use crate::shell::{capture, command, run};

/// The longest that one suite may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What runs and what is run: pinned, so that a suite's figures can be compared.
const FOR_V3: &[&str] = &[
    "etcd3==0.12.0",
    "etcd3gw==2.5.0",
    "grpcio==1.85.1",
    "hypothesis==5.16.3",
    "mock==5.2.0",
    "oslotest==6.1.1",
    "pifpaf==3.4.0",
    "protobuf==3.20.3",
    "pytest==7.4.4",
    "pytest-timeout==2.4.0",
    "setuptools==65.5.0",
    "tenacity==6.3.1",
    "testtools==2.9.1",
];

/// The same for the v2 client, whose parts are older.
const FOR_V2: &[&str] = &[
    "dnspython==2.9.2",
    "mock==5.2.0",
    "pynose==1.5.5",
    "pyOpenSSL==24.2.1",
    "pytest==9.2.0",
    "pytest-timeout==2.4.0",
    "python-etcd==0.4.5",
    "setuptools==65.5.0",
    "urllib3==1.26.20",
];

/// The tests of the gRPC client `etcd3`.
pub fn etcd3(alone: &Alone) -> Result<Vec<Outcome>> {
    let python = environment(alone, FOR_V3)?;
    let source = source(alone, &python, "etcd3==0.12.0", "etcd3-0.12.0")?;
    // They find certificates in `tests`.
    with_store(alone, &python, &source, &["PYTHON_ETCD_HTTP_URL=http://localhost:2379", "TEST_ETCD_VERSION=v3.4.23"])
}

/// The tests of `etcd3gw`, a client of the JSON gateway; they are part of the installed package.
pub fn etcd3gw(alone: &Alone) -> Result<Vec<Outcome>> {
    let python = environment(alone, FOR_V3)?;
    let find = "import etcd3gw, os; print(os.path.dirname(etcd3gw.__file__))";
    let package = capture(&mut command(&python, ["-c", find]))?;
    with_store(alone, &python, &Path::new(package.trim()).join("tests"), &[])
}

/// The integration tests of the v2 client `python-etcd`, which start their own clusters.
pub fn etcd_v2(alone: &Alone) -> Result<Vec<Outcome>> {
    let python = environment(alone, FOR_V2)?;
    let tests = source(alone, &python, "python-etcd==0.4.5", "python-etcd-0.4.5")?.join("src/etcd/tests/integration");
    pytest(alone, &["env", "ETCD_ENABLE_V2=true"], &python, &tests)
}

fn with_store(alone: &Alone, python: &Path, tests: &Path, env: &[&str]) -> Result<Vec<Outcome>> {
    let with_store = here().join("bin/with-store");
    let with_store = with_store.to_string_lossy();
    pytest(alone, &[&[&*with_store, "env"], env].concat(), python, tests)
}

/// Runs all tests of a folder with pytest, behind the words of `before`.
fn pytest(alone: &Alone, before: &[&str], python: &Path, tests: &Path) -> Result<Vec<Outcome>> {
    let (python, path) = (python.to_string_lossy(), tests.to_string_lossy());
    let pytest = [&*python, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--color=no", "--timeout=60", &*path];
    let said = alone.run("pytest", tests, LIMIT, &[before, &pytest].concat())?;
    Ok(outcomes(&said.text))
}

/// Reads `path::Class::test PASSED [ 1%]`; what a test says itself may stand between the name and the result.
fn outcomes(text: &str) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut running: Option<String> = None;
    for line in text.lines() {
        if let Some((_, name)) = line.split_once(".py::").filter(|(path, _)| !path.contains(' ')) {
            running = name.split_whitespace().next().map(str::to_owned);
        }
        let words = ["PASSED", "FAILED", "ERROR", "SKIPPED"];
        let result = line.split_whitespace().rev().find(|word| words.contains(word));
        if let (Some(result), true) = (result, line.trim_end().ends_with("%]")) {
            let result = match result {
                "PASSED" => TestResult::Passed,
                "SKIPPED" => TestResult::Skipped,
                _ => TestResult::Failed,
            };
            outcomes.extend(running.take().map(|test| Outcome::new(test, result)));
        }
    }
    outcomes
}

/// The Python of a virtual environment with these packages, made if it is not there.
fn environment(alone: &Alone, packages: &[&str]) -> Result<PathBuf> {
    let dir = alone.dir().join("venv");
    let (python, done) = (dir.join("bin/python"), dir.join("installed"));
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    // Debian's own: the versions above are those that it can run.
    run(&mut command("/usr/bin/python3", ["-m".as_ref(), "venv".as_ref(), "--clear".as_ref(), dir.as_os_str()]))?;
    run(&mut command(&python, [&["-m", "pip", "install", "--quiet"], packages].concat()))?;
    std::fs::write(&done, wanted).with_context(|| format!("can't write {}", done.display()))?;
    Ok(python)
}

/// The unpacked source of a package, which has the tests that an installed one lacks.
fn source(alone: &Alone, python: &Path, package: &str, folder: &str) -> Result<PathBuf> {
    let dir = alone.dir().join("source");
    let source = dir.join(folder);
    if !source.exists() {
        let dir = dir.to_string_lossy();
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", &*dir, package];
        run(&mut command(python, pip))?;
        run(&mut command("tar", ["-xzf", &format!("{dir}/{folder}.tar.gz"), "-C", &*dir]))?;
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_what_pytest_says() {
        let text = "\
tests/test_etcd3.py::TestEtcd3::test_get PASSED [  1%]
../x/test_etcd3.py::TestEtcd3::test_watch etcdctl put a b
PASSED [ 19%]
t.py::test_x[a-b] FAILED                   [ 20%]
t.py::test_y SKIPPED (no cluster) [100%]
FAILED t.py::test_x[a-b] - AssertionError: 3
";
        let expect = [
            ("TestEtcd3::test_get", TestResult::Passed),
            ("TestEtcd3::test_watch", TestResult::Passed),
            ("test_x[a-b]", TestResult::Failed),
            ("test_y", TestResult::Skipped),
        ];
        assert_eq!(outcomes(text), expect.map(|(test, result)| Outcome::new(test, result)));
    }
}
