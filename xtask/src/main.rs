//! The project's own commands (`cargo xtask help`): they install what the rest needs, then build, check and show it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for terminals and build logs")]

mod bench;
mod ci;
mod conformance;
mod deb;
mod demo;
mod http;
mod lab;
mod packages;
mod shell;
mod steps;
mod suite;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
The project's own commands. Each installs the Debian packages that it lacks (as root; it says which).

  cargo xtask demo              an application of nine containers on five Debian machines on this host, one machine lost
  cargo xtask test              everything: house rules, format, lints, unit tests, end-to-end tests on lab machines
    --no-lab                      without what needs root and lab machines
    --lab-only                    only that
    --e2e                         only the end-to-end tests, with faults in their full length: minutes, and more trials
  cargo xtask ci                the same as `test` and the quick ones of `conformance`, with the versions of all tools first
  cargo xtask conformance       suites that others wrote for etcd, against the embedded store: the quick ones of them
    NAME...                       only these; --all: all of them
    --etcd                        against Debian's etcd instead
  cargo xtask deb               the Debian package, in target/debian, and what lintian says of it
    --profile NAME                of a program built so instead of `release`
    --program FILE                of this program instead, and of the confd beside it
    --output DIR                  into that folder
    --quick                       larger, sooner, and without lintian
  cargo xtask tidy              the house rules alone
  cargo xtask bench flow        measures the budgets of docs/benchmarks.md on lab machines: one unit's way
  cargo xtask bench api         the same for 5,000 units as clients see them
    --build                       also a clean release build
    --keep                        leaves the lab `bench` running
  cargo xtask bench store       the embedded store beside Debian's etcd, under the same load on this host
  cargo xtask bench soak [MINUTES]  the embedded store under everything at once, 10 minutes long: flat memory and disk
  cargo xtask bench conf        confd's work beside the figures of the original, against Debian's etcd on this host
  cargo xtask help              this text
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[&str]) -> Result<()> {
    match words {
        [] | ["help" | "-h" | "--help", ..] => {
            print!("{HELP}");
            Ok(())
        }
        ["demo"] => demo::run(),
        ["test"] => test::run(test::Scope::All),
        ["test", "--no-lab"] => test::run(test::Scope::NoLab),
        ["test", "--lab-only"] => test::run(test::Scope::LabOnly),
        ["test", "--e2e"] => test::run(test::Scope::FullLength),
        ["ci"] => ci::run(),
        ["conformance", options @ ..] => conformance::run(&conformance::Options::parse(options)?),
        ["deb", options @ ..] => deb::make(&deb::Options::parse(options)?),
        ["tidy"] => tidy::run(),
        ["bench", "flow", options @ ..] => bench::run(bench::What::Flow, &bench::Options::parse(options)?),
        ["bench", "api", options @ ..] => bench::run(bench::What::Api, &bench::Options::parse(options)?),
        ["bench", "store"] => bench::store(),
        ["bench", "soak"] => bench::soak("10"),
        ["bench", "soak", minutes] => bench::soak(minutes),
        ["bench", "conf"] => bench::conf(),
        _ => bail!("unknown command `{}`; see `cargo xtask help`", words.join(" ")),
    }
}
