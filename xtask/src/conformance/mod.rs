//! `cargo xtask conformance`: suites that others wrote for etcd, run against the embedded store and judged by a list.

mod alone;
mod expected;
mod go;
mod outcome;
mod python;
mod rust;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::{packages, shell, steps};
use alone::Alone;
use expected::{Expected, Verdict};
use outcome::Outcome;

/// A suite that somebody else wrote.
struct Suite {
    /// Its name on the command line, and of its list in `tests/conformance/expected/`.
    name: &'static str,
    /// Whether it runs when none is named, as in `cargo xtask ci`.
    quick: bool,
    run: fn(&Alone) -> Result<Vec<Outcome>>,
}

const SUITES: &[Suite] = &[
    Suite { name: "python-etcd3", quick: true, run: python::etcd3 },
    Suite { name: "etcd3gw", quick: true, run: python::etcd3gw },
    Suite { name: "python-etcd", quick: true, run: python::etcd_v2 },
    Suite { name: "etcd-client", quick: true, run: rust::etcd_client },
    Suite { name: "grpc", quick: true, run: go::grpc },
    Suite { name: "clientv3", quick: false, run: go::clientv3 },
    Suite { name: "etcdctl", quick: false, run: go::etcdctl },
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

/// What the suites need of Debian.
pub const PACKAGES: &[&[packages::Package]] = &[packages::BUILD, packages::TEST, packages::CONFORMANCE];

/// Runs suites against the program of this workspace; an error if a test fails that the lists do not explain.
pub fn run(options: &Options) -> Result<()> {
    packages::ensure(PACKAGES)?;
    let store = if options.on_etcd { "/usr/bin/etcd".to_owned() } else { command_of(&flota()?) };
    run_on(&store, options)
}

/// Runs the quick suites against a program that is built already.
pub fn run_quick(flota: &Path) -> Result<()> {
    run_on(&command_of(flota), &Options::default())
}

fn command_of(flota: &Path) -> String {
    format!("{} store serve", flota.display())
}

/// `$FLOTA_BIN`, or what cargo builds now.
fn flota() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("FLOTA_BIN") {
        return Ok(path.into());
    }
    shell::run(&mut shell::cargo(["build", "--workspace", "--bin", "flota"]))?;
    Ok(shell::target_dir()?.join("debug/flota"))
}

/// A suite's name, what came of it, and how long it took.
type Row = (&'static str, Verdict, Duration);

/// All suites at once: they mostly wait, and each has a network of its own.
fn run_on(store: &str, options: &Options) -> Result<()> {
    let work = work_dir()?;
    let rows: Result<Vec<Row>> = std::thread::scope(|scope| {
        let suites = SUITES.iter().filter(|suite| options.takes(suite));
        let running: Vec<_> = suites.map(|suite| scope.spawn(|| run_suite(suite, &work, store, options))).collect();
        running.into_iter().map(|suite| suite.join().map_err(|_| anyhow!("a suite's thread has panicked"))?).collect()
    });
    let rows = rows.context("see the lines above for the other suites")?;
    table(&rows);
    let surprises: usize = rows.iter().map(|(_, verdict, _)| verdict.surprises()).sum();
    if surprises > 0 {
        bail!("{surprises} tests did not come out as tests/conformance/expected/ says");
    }
    Ok(())
}

fn run_suite(suite: &'static Suite, work: &Path, store: &str, options: &Options) -> Result<Row> {
    println!("--- {} begins", suite.name);
    let began = Instant::now();
    let expected = Expected::read(&here().join(format!("expected/{}.txt", suite.name)))?;
    let alone = Alone::new(work.join(suite.name), store, options.on_etcd, expected.known())?;
    let outcomes = (suite.run)(&alone).with_context(|| format!("suite `{}`", suite.name))?;
    let verdict = expected.judge(&outcomes, options.on_etcd);
    println!("--- {}: {} of {} passed", suite.name, verdict.passed, verdict.total);
    verdict.tell(&alone.logs());
    Ok((suite.name, verdict, began.elapsed()))
}

fn table(rows: &[Row]) {
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
