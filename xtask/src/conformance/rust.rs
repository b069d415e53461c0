//! The Rust client `etcd-client`: its own tests, from the very source that the workspace is built with.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::alone::{Alone, each};
use super::here;
use super::outcome::{Outcome, TestResult};
use crate::shell::{capture, cargo, run};

/// The longest that one test may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Files of tests in the package.
const PROGRAMS: &[&str] = &["client", "namespace"];

/// Builds the package's tests on their own, then runs each with a store of its own.
pub fn etcd_client(alone: &Alone) -> Result<Vec<Outcome>> {
    let source = alone.dir().join("source");
    if !source.exists() {
        copy(Path::new(&packaged()?), &source)?;
        // Else cargo looks for the package in the workspace that the target directory may be part of.
        let manifest = source.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).context("the package has no Cargo.toml")?;
        std::fs::write(&manifest, text + "\n[workspace]\n").context("can't write its Cargo.toml")?;
    }
    let target = alone.dir().join("target");
    let mut build = cargo(["test", "--no-run", "--quiet", "--locked", "--test", "client", "--test", "namespace"]);
    run(build.current_dir(&source).env("CARGO_TARGET_DIR", &target))?;
    let mut outcomes = Vec::new();
    for name in PROGRAMS {
        outcomes.extend(run_program(alone, &program(&target, name)?)?);
    }
    Ok(outcomes)
}

fn run_program(alone: &Alone, program: &Path) -> Result<Vec<Outcome>> {
    let program = program.to_string_lossy();
    let list = capture(&mut crate::shell::command(&*program, ["--list", "--format=terse"]))?;
    let tests: Vec<&str> = list.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let with_store = here().join("bin/with-store");
    each(&tests, |test| {
        // The tests of users take it that root is there, and that tokens end soon.
        let root = "export ETCDCTL_API=3; etcdctl user add root:rootpwd >/dev/null && etcdctl user grant-role root root >/dev/null
            exec \"$0\" --exact \"$1\"";
        let with_store = with_store.to_string_lossy();
        let words = ["env", "ETCD_AUTH_TOKEN_TTL=2", &*with_store, "sh", "-c", root, &*program, test];
        let said = alone.run(test, alone.dir(), LIMIT, &words)?;
        let result = match said.success {
            true if said.text.contains("... ignored") => TestResult::Skipped,
            true => TestResult::Passed,
            false => TestResult::Failed,
        };
        Ok(Outcome::new(*test, result))
    })
}

/// Where cargo has unpacked the version that Cargo.lock names.
fn packaged() -> Result<String> {
    let metadata: Value = serde_json::from_str(&capture(&mut cargo(["metadata", "--format-version=1", "--locked"]))?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package = packages.iter().find(|package| package["name"] == "etcd-client").context("no etcd-client")?;
    let manifest = package["manifest_path"].as_str().context("etcd-client has no manifest")?;
    Ok(manifest.trim_end_matches("/Cargo.toml").to_owned())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    run(&mut crate::shell::command("cp", ["-r".as_ref(), "--".as_ref(), from.as_os_str(), to.as_os_str()]))
}

/// The newest build of a test program.
fn program(target: &Path, name: &str) -> Result<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(target.join("debug/deps"))? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.strip_prefix(name).is_some_and(|rest| rest.starts_with('-') && !rest.contains('.')) {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    match found.into_iter().max() {
        Some((_, path)) => Ok(path),
        None => bail!("cargo built no test program `{name}`"),
    }
}
