//! `cargo xtask bench api`: a large cluster as its clients see it, with the release program on a lab machine.
//!
//! Units, store, API and command line are real. The 50 machines that report the 5,000 units are not: their keys are
//! written into the store, for what is measured is the way from the store to the terminal.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Map, json};

use crate::lab::{FIRST, Lab};

use super::daemon::Daemon;
use super::figures::{Figures, Unit};
use super::millis;

const UNITS: usize = 5000;
const MACHINES: usize = 50;

/// One run of the submits is so many of the units.
const SUBMITS: usize = 1000;
const RUNS: usize = 9;

/// The content of all units, by its SHA-1.
const HASH: &str = "1c6fb6f3684bafb0c173d8b8b957ceff031180c1";

/// Measures on a lab that runs.
pub fn measure(lab: &Lab) -> Result<()> {
    let daemon = Daemon::find(lab, FIRST)?;
    daemon.wait_for("/fleet/v1/machines")?;
    eprintln!("submit {UNITS} units");
    let mut submits = Figures::default();
    for batch in 0..UNITS / SUBMITS {
        let began = Instant::now();
        for number in batch * SUBMITS..(batch + 1) * SUBMITS {
            daemon.submit(&name(number))?;
        }
        submits.push(millis(began.elapsed()));
    }
    submits.print("submit_1000_units", Unit::Milliseconds, Some(2000.0));

    eprintln!("{MACHINES} machines report them");
    script(lab, &reports()?)?;
    for (figure, verb, lines, budget) in [
        ("list_units_of_5000", "list-units", UNITS, Some(60.0)),
        ("list_unit_files_of_5000", "list-unit-files", UNITS, None),
        ("list_machines_of_50", "list-machines", MACHINES + 1, None),
    ] {
        list(lab, verb, lines)?.print(figure, Unit::Milliseconds, budget);
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("bench-{number:04}.service")
}

/// The machines' keys and reports, as a script of etcdctl calls.
fn reports() -> Result<String> {
    let mut script = String::from("set -e\nexport ETCDCTL_API=3 ETCDCTL_ENDPOINTS=unix:///run/flota/store.sock\n");
    for machine in 0..MACHINES {
        let id = format!("{machine:032x}");
        let share = UNITS / MACHINES;
        let units: Map<_, _> = (machine * share..(machine + 1) * share)
            .map(|number| {
                let state =
                    json!({"hash": HASH, "started": true, "load": "loaded", "active": "active", "sub": "running"});
                (name(number), state)
            })
            .collect();
        let report = json!({"v": 1, "generation": 1, "units": units});
        let capacity = json!({"cpus": 1, "memory_bytes": 1});
        let machine = json!({
            "v": 1, "address": format!("192.0.2.{machine}"), "metadata": {}, "capacity": capacity,
            "version": "bench", "boot_id": "bench",
        });
        for (kind, value) in [("machines", machine), ("reports", report)] {
            writeln!(script, "etcdctl put /flota/v1/{kind}/{id} >/dev/null <<'END'\n{value}\nEND")?;
        }
    }
    Ok(script)
}

/// Runs a shell script on the machine with the store.
fn script(lab: &Lab, text: &str) -> Result<()> {
    let mut shell = lab.exec(FIRST, &["sh", "-s"]).stdin(Stdio::piped()).spawn().context("can't run a shell")?;
    shell.stdin.take().context("the shell has no input")?.write_all(text.as_bytes()).context("can't feed the shell")?;
    let status = shell.wait()?;
    if !status.success() {
        bail!("the script on {FIRST} failed: {status}");
    }
    Ok(())
}

/// The time of the whole command, as a user types it.
fn list(lab: &Lab, verb: &str, lines: usize) -> Result<Figures> {
    let once = format!(
        "s=$(date +%s%N); flota {verb} --no-legend >/tmp/list; e=$(date +%s%N); echo $((e-s)) $(wc -l </tmp/list)"
    );
    let line = format!("for i in $(seq {RUNS}); do {once}; done");
    let shown = crate::shell::capture(&mut lab.exec(FIRST, &["sh", "-c", &line]))?;
    let mut figures = Figures::default();
    for run in shown.lines() {
        let (nanos, listed) = run.split_once(' ').context("no time and number of lines")?;
        if listed.parse::<usize>()? != lines {
            bail!("flota {verb} listed {listed} of {lines}");
        }
        figures.push(nanos.parse::<f64>()? / 1e6);
    }
    Ok(figures)
}
