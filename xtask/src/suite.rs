//! The workspace's test programs: built once, found by package, and run as often as needed without another build.
//!
//! `cargo test -p X` would choose features for `X` alone, and with them compile half of the libraries once more.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// All test programs of the workspace.
#[derive(Debug)]
pub struct Suite {
    programs: Vec<TestProgram>,
    /// The program under test, which end-to-end tests put on machines.
    flota: PathBuf,
}

/// One test program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TestProgram {
    /// The package's directory, where its tests run as under cargo.
    dir: PathBuf,
    executable: PathBuf,
}

impl Suite {
    /// Builds all targets of the workspace, the `flota` program too; cargo shows how it goes.
    pub fn build() -> Result<Self> {
        let mut build =
            shell::cargo(["build", "--workspace", "--all-targets", "--message-format=json-render-diagnostics"]);
        build.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = build.spawn().with_context(|| format!("can't start {}", shell::show(&build)))?;
        let output = child.wait_with_output().context("can't read what cargo says")?;
        if !output.status.success() {
            bail!("{} failed: {}", shell::show(&build), output.status);
        }
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// The program under test.
    pub fn flota(&self) -> &Path {
        &self.flota
    }

    fn parse(messages: &str) -> Result<Self> {
        let mut programs = Vec::new();
        let mut flota = None;
        for line in messages.lines().filter(|line| line.starts_with('{')) {
            let message: Value = serde_json::from_str(line).context("cargo wrote a line that is not JSON")?;
            programs.extend(TestProgram::from_message(&message));
            if message["profile"]["test"] == false && message["target"]["name"] == "flota" {
                flota = message["executable"].as_str().map(PathBuf::from).or(flota);
            }
        }
        Ok(Self { programs, flota: flota.context("cargo built no program `flota`")? })
    }

    /// Runs the ignored tests of the package in `dir` (such as `crates/lab`) with that in their environment, one at a
    /// time: each needs the machine for itself.
    pub fn run_ignored(&self, dir: &str, environment: &[(&str, &str)]) -> Result<()> {
        let dir = shell::root().join(dir);
        let programs: Vec<_> = self.programs.iter().filter(|program| program.dir == dir).collect();
        if programs.is_empty() {
            bail!("{} has no test program", dir.display());
        }
        for program in programs {
            let mut command = shell::command(&program.executable, ["--ignored", "--test-threads=1"]);
            shell::forget_own_package(&mut command);
            command.current_dir(&dir).env("FLOTA_BIN", &self.flota).envs(environment.iter().copied());
            shell::run(command.stdin(Stdio::null()))?;
        }
        Ok(())
    }
}

impl TestProgram {
    /// The program that a message of cargo tells of, if it tells of one with tests in it.
    fn from_message(message: &Value) -> Option<Self> {
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            return None;
        }
        let dir = Path::new(message["manifest_path"].as_str()?).parent()?;
        Some(Self { dir: dir.to_owned(), executable: message["executable"].as_str()?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_programs_are_kept() {
        let messages = r#"
{"reason":"compiler-artifact","manifest_path":"/r/crates/a/Cargo.toml","target":{"name":"a"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","manifest_path":"/r/crates/a/Cargo.toml","target":{"name":"flota"},"profile":{"test":false},"executable":"/t/flota"}
{"reason":"compiler-artifact","manifest_path":"/r/crates/a/Cargo.toml","target":{"name":"it"},"profile":{"test":true},"executable":"/t/it-1"}
{"reason":"build-finished","success":true}
"#;
        let suite = Suite::parse(messages).unwrap();
        assert_eq!(suite.programs, [TestProgram { dir: "/r/crates/a".into(), executable: "/t/it-1".into() }]);
        assert_eq!(suite.flota, Path::new("/t/flota"));
        assert!(Suite::parse("").unwrap_err().to_string().contains("no program"));
    }
}
