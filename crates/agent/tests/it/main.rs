//! The agent on a machine whose disk and systemd are simulated: what it does, and above all what it leaves alone.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has said what is wrong")]

mod faults;
mod fence;
mod flow;
mod leave;
mod machine;
mod never_kill;
mod registrations;
mod registrations_world;
mod reports;
mod types;

use std::collections::BTreeMap;

use flota_registry::{Generation, Schedule, ScheduledUnit, TargetState};
use flota_unit::{UnitFile, UnitHash, UnitName};

use machine::FakeMachine;

const CLUSTER: &str = "00000000000000000000000000000001";
const LOADED: TargetState = TargetState::Loaded;
const LAUNCHED: TargetState = TargetState::Launched;

#[track_caller]
fn name(text: &str) -> UnitName {
    text.parse().unwrap()
}

/// The content of version `version`.
fn text(version: u32) -> String {
    format!("[Service]\nExecStart=/bin/sleep {version}\n")
}

fn hash(version: u32) -> UnitHash {
    UnitFile::parse(&text(version)).unwrap().hash()
}

/// A schedule of units, each with its content version and target.
#[track_caller]
fn schedule(generation: u64, units: &[(&str, u32, TargetState)]) -> Schedule {
    let unit = |(unit, version, target): &(&str, u32, TargetState)| {
        (
            name(unit),
            ScheduledUnit { hash: hash(*version), target: *target, cause: "test".to_owned(), exclusive: false },
        )
    };
    Schedule {
        cluster: CLUSTER.parse().unwrap(),
        generation: Generation(generation),
        units: units.iter().map(unit).collect(),
    }
}

/// A machine whose store holds the texts of the versions 1 to 99.
fn machine() -> FakeMachine {
    let mut machine = FakeMachine::new();
    machine.texts = Some(all_texts());
    machine
}

fn all_texts() -> BTreeMap<UnitHash, String> {
    (1..100).map(|version| (hash(version), text(version))).collect()
}

/// A machine that runs `a.service` and `b.service`, with an empty trace.
#[track_caller]
fn running() -> FakeMachine {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    assert_runs(&machine, &[("a.service", 1), ("b.service", 1)]);
    machine.trace.clear();
    machine
}

/// Each of these units runs and was started so often during this boot, and none was ever stopped.
#[track_caller]
fn assert_runs(machine: &FakeMachine, units: &[(&str, u32)]) {
    for (unit, starts) in units {
        let run = machine.runs.get(&name(unit)).cloned().unwrap_or_default();
        assert_eq!((run.active, run.starts, run.stops), ("active", *starts, 0), "{unit}: {:#?}", machine.trace);
    }
}

#[track_caller]
fn assert_untouched(machine: &FakeMachine) {
    for word in ["start", "stop", "files"] {
        assert_eq!(machine.count(word), 0, "{:#?}", machine.trace);
    }
}
