//! `cargo xtask test`: every check that the project has, the quick ones first.

use anyhow::Result;

use crate::steps::Steps;
use crate::suite::Suite;
use crate::{conformance, packages, shell, tidy};

/// Packages whose ignored tests need root or Debian packages.
pub const ON_THE_HOST: &[&str] = &["crates/conf", "crates/gotemplate", "crates/store", "tests/conformance"];

/// Packages whose ignored tests boot lab machines.
pub const ON_MACHINES: &[&str] = &["crates/lab", END_TO_END];

/// The package with the end-to-end tests.
const END_TO_END: &str = "tests/e2e";

/// Tells the end-to-end tests that there is time for minutes of every fault.
const FULL_LENGTH: (&str, &str) = ("FLOTA_E2E_FULL", "1");

/// Which part of the tests to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything, and the suites that others wrote for etcd.
    Ci,
    /// Everything of our own.
    All,
    /// What any machine can run, without root and lab machines.
    NoLab,
    /// Only what needs lab machines.
    LabOnly,
    /// Only the end-to-end tests, with every fault in its full length.
    FullLength,
}

/// Runs them; the first failure ends the run.
pub fn run(scope: Scope) -> Result<()> {
    let mut steps = Steps::new();
    let result = all(scope, &mut steps);
    let title = if result.is_ok() { "all tests passed" } else { "tests FAILED" };
    steps.summary(title);
    if scope == Scope::NoLab {
        println!("\n!!! NOT TESTED: everything on real machines (--no-lab); `cargo xtask test` tests it !!!");
    }
    result
}

fn all(scope: Scope, steps: &mut Steps) -> Result<()> {
    steps.run("Debian packages", || match scope {
        Scope::NoLab => packages::ensure(&[packages::BUILD, packages::TEST]),
        Scope::All | Scope::LabOnly => {
            packages::ensure(&[packages::BUILD, packages::LAB, packages::TEST, packages::DEB])
        }
        Scope::FullLength => {
            packages::ensure(&[packages::BUILD, packages::LAB, packages::TEST, packages::DEB, packages::IMAGE])
        }
        Scope::Ci => packages::ensure(&[conformance::PACKAGES, &[packages::LAB, packages::DEB]].concat()),
    })?;
    let only_machines = matches!(scope, Scope::LabOnly | Scope::FullLength);
    if !only_machines {
        steps.run("house rules", tidy::run)?;
        cargo(steps, "format", &["fmt", "--all", "--check"])?;
        cargo(steps, "lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    }
    let suite = steps.run("build", Suite::build)?;
    if !only_machines {
        cargo(steps, "unit tests", &["test", "--workspace"])?;
    }
    if matches!(scope, Scope::Ci | Scope::All) {
        ignored(steps, &suite, ON_THE_HOST)?;
    }
    if scope == Scope::Ci {
        steps.run("suites written for etcd", || conformance::run_quick(suite.flota()))?;
    }
    match scope {
        Scope::NoLab => Ok(()),
        Scope::FullLength => steps.run(END_TO_END, || suite.run_ignored(END_TO_END, &[FULL_LENGTH])),
        Scope::Ci | Scope::All | Scope::LabOnly => ignored(steps, &suite, ON_MACHINES),
    }
}

fn cargo(steps: &mut Steps, name: &str, args: &[&str]) -> Result<()> {
    steps.run(name, || shell::run(shell::cargo(args).stdin(std::process::Stdio::null())))
}

fn ignored(steps: &mut Steps, suite: &Suite, dirs: &[&str]) -> Result<()> {
    dirs.iter().try_for_each(|dir| steps.run(dir, || suite.run_ignored(dir, &[])))
}
