//! `cargo xtask conformance`: suites that others wrote for etcd, run against the embedded store and judged by a list.

mod alone;
mod expected;
mod go;
mod outcome;
mod python;
mod rust;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{packages, shell, steps};
use alone::Alone;
use expected::{Expected, Verdict};
use outcome::Outcome;

/// A suite that somebody else wrote.
struct Suite {
    /// Its name on the command line, and of its list in `tests/conformance/expected/`.
    name: &'static str,
    /// Whether it runs when none is named.
    quick: bool,
    run: fn(&Alone) -> Result<Vec<Outcome>>,
}

const SUITES: &[Suite] = &[
    Suite { name: "etcdctl", quick: true, run: go::etcdctl },
    Suite { name: "python-etcd3", quick: true, run: python::etcd3 },
    Suite { name: "etcd3gw", quick: true, run: python::etcd3gw },
    Suite { name: "etcd-client", quick: true, run: rust::etcd_client },
    Suite { name: "python-etcd", quick: false, run: python::etcd_v2 },
    Suite { name: "clientv3", quick: false, run: go::clientv3 },
    Suite { name: "grpc", quick: false, run: go::grpc },
];

/// What to run, and on what.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    names: Vec<String>,
    all: bool,
    /// On Debian's etcd instead: shows what the suites' figures are there.
    on_etcd: bool,
}

impl Options {
    /// Reads the words behind `cargo xtask conformance`.
    pub fn parse(words: &[&str]) -> Result<Options> {
        let mut options = Options::default();
        for word in words {
            match *word {
                "--all" => options.all = true,
                "--etcd" => options.on_etcd = true,
                name if SUITES.iter().any(|suite| suite.name == name) => options.names.push(name.to_owned()),
                other => {
                    let known: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
                    bail!("`{other}` is none of: {}, --all, --etcd", known.join(", "));
                }
            }
        }
        Ok(options)
    }

    fn takes(&self, suite: &Suite) -> bool {
        if self.names.is_empty() { self.all || suite.quick } else { self.names.iter().any(|name| name == suite.name) }
    }
}

/// Runs suites against the program of this workspace; an error if a test fails that the lists do not explain.
pub fn run(options: &Options) -> Result<()> {
    packages::ensure(&[packages::BUILD, packages::TEST, packages::CONFORMANCE])?;
    let store =
        if options.on_etcd { "/usr/bin/etcd".to_owned() } else { format!("{} store serve", flota()?.display()) };
    run_on(&store, options)
}

/// `$FLOTA_BIN`, or what cargo builds now.
fn flota() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("FLOTA_BIN") {
        return Ok(path.into());
    }
    shell::run(&mut shell::cargo(["build", "--workspace", "--bin", "flota"]))?;
    Ok(shell::target_dir()?.join("debug/flota"))
}

fn run_on(store: &str, options: &Options) -> Result<()> {
    let mut rows = Vec::new();
    let mut surprises = 0;
    for suite in SUITES.iter().filter(|suite| options.takes(suite)) {
        println!("--- {}", suite.name);
        let began = Instant::now();
        let alone = Alone::new(work_dir()?.join(suite.name), store, options.on_etcd)?;
        let outcomes = (suite.run)(&alone).with_context(|| format!("suite `{}`", suite.name))?;
        let expected = Expected::read(&here().join(format!("expected/{}.txt", suite.name)))?;
        let verdict = expected.judge(&outcomes, options.on_etcd);
        verdict.tell(&alone.logs());
        surprises += verdict.surprises();
        rows.push((suite.name, verdict, began.elapsed()));
    }
    table(&rows);
    if surprises > 0 {
        bail!("{surprises} tests did not come out as tests/conformance/expected/ says");
    }
    Ok(())
}

fn table(rows: &[(&str, Verdict, std::time::Duration)]) {
    println!(
        "\n{:14} {:>6} {:>6} {:>7} {:>8} {:>10}  time",
        "suite", "tests", "passed", "skipped", "expected", "unexpected"
    );
    for (name, verdict, took) in rows {
        println!(
            "{name:14} {:>6} {:>6} {:>7} {:>8} {:>10}  {}",
            verdict.total,
            verdict.passed,
            verdict.skipped,
            verdict.known,
            verdict.surprises(),
            steps::pretty(*took)
        );
    }
    println!("expected: failures that tests/conformance/expected/ gives a reason for");
}

/// What belongs to the suites in the work tree.
fn here() -> PathBuf {
    shell::root().join("tests/conformance")
}

/// Where suites are fetched to and built.
fn work_dir() -> Result<PathBuf> {
    Ok(shell::target_dir()?.join("conformance"))
}
