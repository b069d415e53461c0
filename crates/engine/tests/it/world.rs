//! Engines and agents together, under random faults: never a needless stop, and in the end everything runs once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use flota_agent::Event;
use flota_registry::{DesiredState, Entry, Key, Schedule};
use flota_unit::UnitHash;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::checker::{all_needs, assert_constraints, breach};
use crate::cluster::{Cluster, file, id, name};
use crate::machine::FakeMachine;
use crate::{INACTIVE, LAUNCHED, LOADED};

const MACHINES: u32 = 4;
const UNITS: [&str; 6] = ["a.service", "b.service", "c.service", "d.service", "e@1.service", "e@2.service"];
const SHAPES: [&str; 10] = [
    "",
    "",
    "Conflicts=e@*",
    "Conflicts=*",
    "MachineOf=b.service",
    "MachineID=00000001",
    "MachineMetadata=zone=b",
    "Global=true",
    "Replaces=[cd].service",
    "MachineOf=b.service\nReplaces=c.service",
];

/// What happens to the world.
#[derive(Debug, Clone)]
enum Op {
    Submit(usize, usize, DesiredState),
    Destroy(usize),
    PowerOff(u32),
    /// The machine loses the store and its lease; its units and daemon go on.
    Cut(u32),
    /// Power and network are back.
    Heal(u32),
    RestartDaemon(u32),
    /// Its schedules come late from now on.
    Lag(u32),
    /// What was late arrives.
    CatchUp(u32),
    /// All schedules that it ever had arrive again, out of order.
    Replay(u32),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let machine = 1..=MACHINES;
    let state = prop_oneof![4 => Just(LAUNCHED), 1 => Just(LOADED), 1 => Just(INACTIVE)];
    prop_oneof![
        8 => (0..UNITS.len(), 0..SHAPES.len(), state).prop_map(|(unit, shape, state)| Op::Submit(unit, shape, state)),
        1 => (0..UNITS.len()).prop_map(Op::Destroy),
        2 => machine.clone().prop_map(Op::PowerOff),
        2 => machine.clone().prop_map(Op::Cut),
        3 => machine.clone().prop_map(Op::Heal),
        2 => machine.clone().prop_map(Op::RestartDaemon),
        1 => machine.clone().prop_map(Op::Lag),
        1 => machine.clone().prop_map(Op::CatchUp),
        1 => machine.prop_map(Op::Replay),
        4 => prop_oneof![Just(1), Just(100), Just(3_000), Just(6_000)].prop_map(Op::Wait),
    ]
}

struct World {
    cluster: Cluster,
    machines: BTreeMap<u32, FakeMachine>,
    off: BTreeSet<u32>,
    lagging: BTreeSet<u32>,
    late: BTreeMap<u32, Vec<Schedule>>,
    /// Every schedule of each machine, with the revision it was seen at.
    seen: BTreeMap<u32, Vec<(i64, Schedule)>>,
    texts: BTreeMap<UnitHash, String>,
    log: String,
}

impl World {
    fn new() -> World {
        let mut world = World {
            cluster: Cluster::empty(),
            machines: (1..=MACHINES).map(|number| (number, FakeMachine::new())).collect(),
            off: BTreeSet::new(),
            lagging: BTreeSet::new(),
            late: BTreeMap::new(),
            seen: BTreeMap::new(),
            texts: BTreeMap::new(),
            log: String::new(),
        };
        (1..=MACHINES).for_each(|number| world.join(number));
        world.pass(100);
        world
    }

    fn join(&mut self, number: u32) {
        self.cluster.join(number, &[("zone", if number <= 2 { "a" } else { "b" })]);
        let machine = self.machines.get_mut(&number).unwrap();
        machine.texts = Some(self.texts.clone());
        machine.send(Event::Connected);
        // A new watch begins with what is there.
        if let Some((_, last)) = self.seen.get(&number).and_then(|all| all.last()) {
            self.late.entry(number).or_default().push(last.clone());
        }
    }

    fn is_connected(&self, number: u32) -> bool {
        self.cluster.nodes[&id(number)].connected
    }

    fn step(&mut self, op: &Op) {
        writeln!(self.log, "{op:?}").unwrap();
        match *op {
            Op::Submit(unit, shape, state) => {
                let file = file(SHAPES[shape]);
                self.texts.insert(file.hash(), file.text().to_owned());
                self.cluster.submit(UNITS[unit], SHAPES[shape], state);
            }
            Op::Destroy(unit) => {
                if self.cluster.store.get(&Key::Unit(name(UNITS[unit]))).is_some() {
                    self.cluster.destroy(UNITS[unit]);
                }
            }
            Op::PowerOff(number) => {
                self.cut(number);
                self.off.insert(number);
                self.machines.get_mut(&number).unwrap().runs.clear();
            }
            Op::Cut(number) => self.cut(number),
            Op::Heal(number) => self.heal(number),
            Op::RestartDaemon(number) => self.restart_daemon(number),
            Op::Lag(number) => drop(self.lagging.insert(number)),
            Op::CatchUp(number) => drop(self.lagging.remove(&number)),
            Op::Replay(number) => self.replay(number),
            Op::Wait(span) => self.pass(span),
        }
        self.pass(5);
    }

    fn cut(&mut self, number: u32) {
        if self.is_connected(number) {
            self.cluster.disconnect(number);
        }
        self.machines.get_mut(&number).unwrap().texts = None;
    }

    fn heal(&mut self, number: u32) {
        if self.off.remove(&number) {
            self.machines.get_mut(&number).unwrap().reboot();
        }
        if !self.is_connected(number) {
            self.join(number);
        }
    }

    fn restart_daemon(&mut self, number: u32) {
        if self.off.contains(&number) {
            return;
        }
        self.machines.get_mut(&number).unwrap().restart_daemon();
        if self.is_connected(number) {
            self.cluster.crash_engine(number);
            self.join(number);
        }
    }

    fn replay(&mut self, number: u32) {
        let all = self.seen.get(&number).cloned().unwrap_or_default();
        if !self.off.contains(&number) {
            all.iter().rev().for_each(|(_, schedule)| self.machines.get_mut(&number).unwrap().schedule(schedule));
        }
    }

    /// Lets `span` pass everywhere, and carries schedules to the machines that are reached.
    fn pass(&mut self, span: u64) {
        self.cluster.pass(span);
        for number in 1..=MACHINES {
            let connected = self.is_connected(number);
            if connected && let Some(pair) = self.cluster.store.get(&Key::Schedule(id(number))) {
                let entry: Entry<Schedule> = Entry::decode(pair).unwrap();
                let seen = self.seen.entry(number).or_default();
                if seen.last().is_none_or(|(revision, _)| *revision < entry.mod_revision) {
                    seen.push((entry.mod_revision, entry.value.clone()));
                    self.late.entry(number).or_default().push(entry.value);
                }
            }
            if self.off.contains(&number) {
                continue;
            }
            let machine = self.machines.get_mut(&number).unwrap();
            if connected {
                machine.texts = Some(self.texts.clone());
                if !self.lagging.contains(&number) {
                    let late = self.late.remove(&number).unwrap_or_default();
                    for schedule in &late {
                        machine.schedule(schedule);
                    }
                }
            }
            machine.pass(span);
            for effect in std::mem::take(&mut machine.trace) {
                writeln!(self.log, "{number} {effect}").unwrap();
            }
        }
        for line in std::mem::take(&mut self.cluster.trace) {
            writeln!(self.log, "{line}").unwrap();
        }
    }

    /// Everything is repaired, and enough time passes.
    fn calm(&mut self) {
        self.lagging.clear();
        (1..=MACHINES).for_each(|number| self.heal(number));
        (0..4).for_each(|_| self.pass(30_000));
        let before = self.cluster.commits.len();
        self.pass(60_000);
        assert_eq!(self.cluster.commits.len(), before, "it never comes to rest");
    }

    /// Each wanted unit is where it may be, once; whatever is nowhere may be nowhere.
    fn assert_all_is_well(&self) {
        let snapshot = self.cluster.store.snapshot();
        assert_constraints(&snapshot);
        let needs = all_needs(&snapshot);
        for (unit, asks) in &needs {
            let holders = self.cluster.places(unit.as_str());
            assert!(asks.global || holders.len() <= 1, "{unit} is on {holders:?}");
            for number in (1..=MACHINES).filter(|number| !holders.contains(number)) {
                let schedule = snapshot.schedules().get(&id(number)).map(|entry| &entry.value);
                let others: Vec<_> = schedule.iter().flat_map(|schedule| schedule.units.keys()).collect();
                let why = breach(&snapshot, &needs, unit, &id(number), &others);
                let placed_elsewhere = !asks.global && !holders.is_empty();
                assert!(placed_elsewhere || why.is_some(), "{unit} could be on {number} beside {others:?}");
            }
            let launched = snapshot.units()[unit].value.desired == LAUNCHED;
            let running = (1..=MACHINES).filter(|number| self.machines[number].is_running(unit));
            assert_eq!(running.collect::<Vec<_>>(), if launched { holders } else { vec![] }, "{unit}");
        }
        for (number, machine) in &self.machines {
            let strays = machine.runs.keys().filter(|unit| machine.is_running(unit) && !needs.contains_key(*unit));
            assert_eq!(strays.count(), 0, "on {number}");
        }
    }
}

fn run(ops: &[Op]) -> World {
    let mut world = World::new();
    for op in ops {
        world.step(op);
    }
    world.calm();
    world
}

proptest! {
    #![proptest_config(Config { cases: 128, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_happens_healthy_units_run_on_and_in_the_end_everything_runs_once(ops in prop::collection::vec(op(), 1..60)) {
        run(&ops).assert_all_is_well();
    }
}

#[test]
fn the_same_events_give_the_same_effects() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..10 {
        let ops = prop::collection::vec(op(), 60).new_tree(&mut runner).unwrap().current();
        assert!(run(&ops).log == run(&ops).log);
    }
}
