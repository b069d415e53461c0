//! `cargo xtask bench flow|api|store|soak|conf`: the budgets, measured with the release programs; the first two on lab machines.
//!
//! Prints `name value unit` lines to standard output, each after a comment line with its budget; all else goes to
//! standard error.

mod api;
mod conf;
mod daemon;
mod figures;
mod soak;
mod store;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lab::{FIRST, Lab};
use crate::packages;
use crate::shell;

use daemon::Daemon;
use figures::{Figures, Unit};

/// A lab of its own, so that the one that people play with stays as it is.
const LAB: &str = "bench";
const SUBNET: &str = "10.78.2.0/24";
const MACHINES: &str = "3";

/// A machine without the store.
const MEMBER: &str = "m2";

/// How long a daemon is left alone before its memory counts.
const IDLE: Duration = Duration::from_secs(30);
const IDLE_SAMPLES: usize = 5;

const STARTS_OF_DAEMON: usize = 9;
const STARTS_OF_UNIT: usize = 20;

/// A machine sends five reports at once, then ten a second: after this long it may send five at once again.
const REST: Duration = Duration::from_millis(500);

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The way of one unit through an idle cluster of three.
    Flow,
    /// What a client gets of a large cluster.
    Api,
}

/// What to measure beside that.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    build: bool,
    keep: bool,
}

impl Options {
    /// Reads `--build` and `--keep`.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        for word in words {
            match *word {
                "--build" => options.build = true,
                "--keep" => options.keep = true,
                _ => bail!("unknown option `{word}` of `bench`; see `cargo xtask help`"),
            }
        }
        Ok(options)
    }
}

/// Rounds of the store's bench.
const STORE_ROUNDS: usize = 3;

/// Measures the store beside Debian's etcd on this host; needs neither root nor a lab.
pub fn store() -> Result<()> {
    packages::ensure(&[packages::BUILD, packages::TEST])?;
    host()?;
    store::measure(STORE_ROUNDS)
}

/// Measures what the original confd was measured with; needs neither root nor a lab.
pub fn conf() -> Result<()> {
    packages::ensure(&[packages::BUILD, packages::BENCH])?;
    host()?;
    conf::measure()
}

/// Loads the store for so many minutes; needs neither root nor a lab.
pub fn soak(minutes: &str) -> Result<()> {
    packages::ensure(&[packages::BUILD])?;
    host()?;
    soak::measure(minutes.parse().with_context(|| format!("`{minutes}` is no number of minutes"))?)
}

/// Measures everything, and takes the lab away again, also after an error.
pub fn run(what: What, options: &Options) -> Result<()> {
    if !packages::is_root()? {
        bail!("the bench makes machines with systemd-nspawn; run it as root");
    }
    packages::ensure(&[packages::BUILD, packages::LAB])?;
    if options.build {
        clean_build()?;
    }
    let lab = Lab::build(LAB)?;
    host()?;
    program_size(&lab)?;
    let machines = if what == What::Flow { MACHINES } else { "1" };
    eprintln!("boot {machines} machines");
    shell::run(lab.verb("up", ["-n", machines, "--subnet", SUBNET]).stdout(std::io::stderr()))?;
    let measured = match what {
        What::Flow => flow(&lab),
        What::Api => api::measure(&lab),
    };
    if options.keep {
        eprintln!("the lab `{LAB}` stays; take it away with: flota lab down --name {LAB}");
        return measured;
    }
    measured.and(shell::run(&mut lab.verb::<&str>("down", [])))
}

fn flow(lab: &Lab) -> Result<()> {
    let member = Daemon::find(lab, MEMBER)?;
    memory(&member)?;
    memory(&Daemon::find(lab, FIRST)?)?;
    start_of_daemon(&member)?;
    start_of_unit(&member, "unit_start", REST, Some(150.0))?;
    start_of_unit(&member, "unit_start_in_a_row", Duration::ZERO, Some(150.0))
}

/// Memory of a daemon that nobody asks anything; the proportional set size, as the kernel counts it.
fn memory(daemon: &Daemon<'_>) -> Result<()> {
    eprintln!("memory of the daemon on {}, idle for {} s", daemon.machine, IDLE.as_secs());
    daemon.restart()?;
    daemon.wait_for("/fleet/v1/machines")?;
    sleep(IDLE);
    let mut figures = Figures::default();
    for _ in 0..IDLE_SAMPLES {
        figures.push(daemon.pss_bytes()? as f64 / 1e6);
        sleep(Duration::from_millis(500));
    }
    if daemon.machine == FIRST {
        figures.print("daemon_idle_pss_with_store", Unit::Megabytes, None);
    } else {
        figures.print("daemon_idle_pss", Unit::Megabytes, Some(12.0));
    }
    Ok(())
}

/// From the daemon's exec, as its systemd saw it, to the first answer through its socket.
fn start_of_daemon(daemon: &Daemon<'_>) -> Result<()> {
    eprintln!("start of the daemon on {}, {STARTS_OF_DAEMON} times each", daemon.machine);
    let (mut health, mut machines) = (Figures::default(), Figures::default());
    for _ in 0..STARTS_OF_DAEMON {
        health.push(millis(daemon.start_until("/v1/health")?));
        machines.push(millis(daemon.start_until("/fleet/v1/machines")?));
    }
    health.print("daemon_start_to_api", Unit::Milliseconds, Some(100.0));
    machines.print("daemon_start_to_cluster", Unit::Milliseconds, None);
    Ok(())
}

/// From the request to start a unit, loaded `rest` ago, until the API says that systemd has it active. On any machine.
fn start_of_unit(daemon: &Daemon<'_>, name: &str, rest: Duration, budget: Option<f64>) -> Result<()> {
    eprintln!("{name}, asked of {}, {STARTS_OF_UNIT} times", daemon.machine);
    daemon.wait_for("/fleet/v1/machines")?;
    let mut figures = Figures::default();
    for number in 0..STARTS_OF_UNIT {
        let unit = format!("bench-{number}.service");
        daemon.load(&unit)?;
        sleep(rest);
        figures.push(millis(daemon.start(&unit)?));
        daemon.destroy(&unit)?;
    }
    figures.print(name, Unit::Milliseconds, budget);
    figures.print_p90(&format!("{name}_p90"), Unit::Milliseconds);
    Ok(())
}

/// What the figures were measured on, and what else it had to do.
fn host() -> Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("# {} processors, Linux {}, load {load}", std::thread::available_parallelism()?, kernel.trim());
    Ok(())
}

fn program_size(lab: &Lab) -> Result<()> {
    let bytes = std::fs::metadata(lab.program())?.len();
    Figures::one(bytes as f64 / 1e6).print("program_size", Unit::Megabytes, None);
    Ok(())
}

/// A release build with nothing built before but what cargo has downloaded.
fn clean_build() -> Result<()> {
    let dir = shell::target_dir()?.join("bench-clean");
    let remove = || match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove()?;
    let began = Instant::now();
    let built = shell::run(shell::cargo(["build", "--release", "-p", "flota", "--target-dir"]).arg(&dir));
    let took = began.elapsed();
    remove()?;
    built?;
    Figures::one(took.as_secs_f64()).print("clean_release_build", Unit::Seconds, Some(480.0));
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_known_or_refused() {
        assert_eq!(Options::parse(&["--keep"]).unwrap(), Options { build: false, keep: true });
        assert!(Options::parse(&["--fast"]).unwrap_err().to_string().contains("--fast"));
    }
}
