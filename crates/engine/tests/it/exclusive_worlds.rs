//! Random worlds: an exclusive unit is never in two schedules, and never runs on two machines.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::LAUNCHED;
use crate::cluster::{Cluster, name};
use flota_engine::Reach;
use flota_registry::{CordonMode, Generation, Millis, ObservedUnit, Report, TargetState, UnitStates};

const MACHINES: u32 = 4;
const UNITS: [&str; 4] = ["a.service", "b.service", "c.service", "side.service"];
const SHAPES: [&str; 5] = [
    "Exclusive=true",
    "Exclusive=true\nMachineMetadata=zone=a",
    "Exclusive=true\nConflicts=?.service",
    "Exclusive=true\nMachineOf=a.service",
    "Exclusive=true\nReplaces=b.service",
];
/// A machine that is cut off has stopped its exclusive units after lease and margin, at the very last moment.
const FENCED: u64 = 6_999;

#[derive(Debug, Clone)]
enum Act {
    Submit(usize, usize),
    Destroy(usize),
    Cordon(u32, Option<CordonMode>),
    Cut(u32),
    Return(u32),
    /// The agent reads its schedule, starts what is new and begins to stop what is gone.
    Read(u32),
    /// What was to stop has stopped.
    Stopped(u32),
    Found(u32, Reach),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let machine = || 1..=MACHINES;
    let mode = prop_oneof![
        2 => Just(None),
        2 => Just(Some(CordonMode::Cordoned)),
        3 => Just(Some(CordonMode::Draining)),
        1 => Just(Some(CordonMode::Removed)),
    ];
    let found = prop_oneof![1 => Just(Reach::Alive), 1 => Just(Reach::NoDaemon), 3 => Just(Reach::Silent)];
    prop_oneof![
        3 => (0..UNITS.len(), 0..SHAPES.len()).prop_map(|(unit, shape)| Act::Submit(unit, shape)),
        1 => (0..UNITS.len()).prop_map(Act::Destroy),
        2 => (machine(), mode).prop_map(|(machine, mode)| Act::Cordon(machine, mode)),
        2 => machine().prop_map(Act::Cut),
        3 => machine().prop_map(Act::Return),
        8 => machine().prop_map(Act::Read),
        8 => machine().prop_map(Act::Stopped),
        1 => (machine(), found).prop_map(|(machine, found)| Act::Found(machine, found)),
        4 => prop_oneof![1..100_u64, 100..2_000_u64, 2_000..9_000_u64].prop_map(Act::Wait),
    ]
}

/// What one machine really runs.
#[derive(Default)]
struct Agent {
    holds: Generation,
    wanted: BTreeSet<String>,
    running: BTreeSet<String>,
    /// When the lease was gone.
    cut: Option<Millis>,
}

struct World {
    cluster: Cluster,
    agents: BTreeMap<u32, Agent>,
}

impl World {
    fn new() -> World {
        let mut cluster = Cluster::empty();
        for number in 1..=MACHINES {
            cluster.join(number, &[("zone", if number % 2 == 0 { "a" } else { "b" })]);
            cluster.enlist(number, false);
            for witness in [None].into_iter().chain((1..=MACHINES).map(Some)) {
                cluster.reach.insert((number, witness), Reach::Silent);
            }
        }
        cluster.settle();
        World { cluster, agents: (1..=MACHINES).map(|number| (number, Agent::default())).collect() }
    }

    fn carry_out(&mut self, act: &Act) {
        let cluster = &mut self.cluster;
        match act {
            Act::Submit(unit, shape) => {
                let of_itself = match UNITS[*unit] {
                    "a.service" => SHAPES[*shape].contains("MachineOf"),
                    "b.service" => SHAPES[*shape].contains("Replaces"),
                    _ => false,
                };
                if !of_itself {
                    cluster.submit(UNITS[*unit], SHAPES[*shape], LAUNCHED);
                }
            }
            Act::Destroy(unit) => {
                if cluster.store.get(&flota_registry::Key::Unit(name(UNITS[*unit]))).is_some() {
                    cluster.destroy(UNITS[*unit]);
                }
            }
            Act::Cordon(number, mode) => cluster.cordon(*number, *mode),
            Act::Cut(number) => {
                if self.agents[number].cut.is_none() {
                    cluster.disconnect(*number);
                    self.agents.get_mut(number).unwrap().cut = Some(cluster.now);
                }
            }
            Act::Return(number) => {
                if self.agents[number].cut.is_some() {
                    cluster.join(*number, &[("zone", if number % 2 == 0 { "a" } else { "b" })]);
                    cluster.enlist(*number, false);
                    self.agents.get_mut(number).unwrap().cut = None;
                    // It reads its schedule before it starts anything.
                    self.read(*number);
                }
            }
            Act::Read(number) => self.read(*number),
            Act::Stopped(number) => {
                let agent = self.agents.get_mut(number).unwrap();
                agent.running.retain(|unit| agent.wanted.contains(unit));
                self.report(*number);
            }
            Act::Found(number, found) => {
                self.cluster.reach.iter_mut().filter(|((of, _), _)| of == number).for_each(|(_, it)| *it = *found);
            }
            Act::Wait(span) => self.wait(*span),
        }
    }

    fn read(&mut self, number: u32) {
        let agent = self.agents.get_mut(&number).unwrap();
        let Some(schedule) = self.cluster.schedule(number).filter(|_| agent.cut.is_none()) else { return };
        let launched = schedule.units.iter().filter(|(_, unit)| unit.target == TargetState::Launched);
        agent.wanted = launched.map(|(name, _)| name.to_string()).collect();
        agent.holds = schedule.generation;
        agent.running.extend(agent.wanted.iter().cloned());
        self.report(number);
    }

    fn report(&mut self, number: u32) {
        let agent = &self.agents[&number];
        let known = self.cluster.schedule(number).is_some();
        if agent.cut.is_some() || !known {
            return;
        }
        let seen = |unit: &String| {
            let active = if agent.wanted.contains(unit) { "active" } else { "deactivating" };
            let states = UnitStates { load: "loaded".to_owned(), active: active.to_owned(), sub: String::new() };
            let hash = self.cluster.schedule(number).and_then(|it| Some(it.units.get(unit.as_str())?.hash));
            (name(unit), ObservedUnit { hash, started: true, states, since_unix_ms: None, problem: None })
        };
        let units = agent.running.iter().map(seen).collect();
        self.cluster.publish(number, &Report { generation: agent.holds, units, problem: None });
    }

    /// Time passes, moment by moment: a machine that is cut off stops its exclusive units when it must.
    fn wait(&mut self, span: u64) {
        let end = self.cluster.now.plus(Millis(span));
        loop {
            let fences = self.agents.values().filter_map(|agent| Some(agent.cut?.plus(Millis(FENCED))));
            let next = fences.filter(|at| *at > self.cluster.now && *at < end).min().unwrap_or(end);
            self.cluster.pass(next.since(self.cluster.now).0);
            for agent in self.agents.values_mut() {
                if agent.cut.is_some_and(|at| at.plus(Millis(FENCED)) <= self.cluster.now) {
                    agent.running.clear();
                }
            }
            if next == end {
                return;
            }
        }
    }

    /// What must never be.
    fn check(&self) -> Result<(), TestCaseError> {
        for unit in UNITS {
            let places = self.cluster.places(unit);
            prop_assert!(places.len() <= 1, "{unit} is in the schedules of {places:?}");
            let runs = self.agents.iter().filter(|(_, agent)| agent.running.contains(unit));
            let runs: Vec<u32> = runs.map(|(number, _)| *number).collect();
            prop_assert!(runs.len() <= 1, "{unit} runs on {runs:?}");
            if let ([place], [at]) = (&places[..], &runs[..]) {
                prop_assert_eq!(place, at, "{} is scheduled beside where it still runs", unit);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_exclusive_unit_is_never_in_two_places(acts in prop::collection::vec(act(), 1..80)) {
        let mut world = World::new();
        for act in &acts {
            world.carry_out(act);
            world.wait(10);
            world.check()?;
        }
        // All is well again.
        for number in 1..=MACHINES {
            world.carry_out(&Act::Cordon(number, None));
            world.carry_out(&Act::Return(number));
        }
        for _ in 0..20 {
            for number in 1..=MACHINES {
                world.carry_out(&Act::Read(number));
                world.carry_out(&Act::Stopped(number));
            }
            world.wait(60_000);
            world.check()?;
        }
        prop_assert_eq!(flota_sim::broken(&world.cluster.store.snapshot()), None);
        for unit in UNITS {
            let wanted = world.cluster.store.snapshot().units().contains_key(unit);
            let placed = world.cluster.places(unit).first().copied();
            let runs = world.agents.iter().find(|(_, agent)| agent.running.contains(unit)).map(|(number, _)| *number);
            prop_assert_eq!(placed, runs, "{}", unit);
            prop_assert!(wanted || placed.is_none());
        }
        // A drained machine ends empty, wherever there is room.
        world.carry_out(&Act::Cordon(1, Some(CordonMode::Draining)));
        for _ in 0..10 {
            world.wait(31_000);
            for number in 1..=MACHINES {
                world.carry_out(&Act::Read(number));
                world.carry_out(&Act::Stopped(number));
            }
        }
        let left = world.cluster.schedule(1).map(|it| it.units).unwrap_or_default();
        let stuck = world.cluster.notes.iter().any(|note| note.starts_with("machine 00000001 is not drained yet"));
        prop_assert!(left.is_empty() || stuck, "{left:?}");
    }
}
