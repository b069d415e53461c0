//! Several engines around one store: carries out their effects and lets time pass.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flota_engine::{Decision, Effect, Engine, Event, Outcome, Reach, Settings, Ticket};
use flota_registry::{
    Cluster as Birth, Cordon, CordonMode, DesiredState, DesiredUnit, Entry, Key, Leader, LeaseId, Machine, MachineId,
    Member, Millis, ObservedUnit, Op, Report, Schedule, ScheduledUnit, TargetState, Txn, UnitStates, codec,
    create_cluster, destroy_unit, publish_report, put_cordon, put_machine, put_unit, remove_cordon,
};
use flota_unit::{UnitFile, UnitName};

use crate::store::FakeStore;

/// One machine's engine and its connection.
pub struct Node {
    pub engine: Engine,
    pub lease: LeaseId,
    pub connected: bool,
    seen: i64,
    loaded: bool,
}

/// Engines, store and clock.
pub struct Cluster {
    pub now: Millis,
    pub store: FakeStore,
    pub nodes: BTreeMap<MachineId, Node>,
    pub recorded: Vec<Decision>,
    pub unplaced: Vec<UnitName>,
    pub frozen: Vec<String>,
    pub notes: Vec<String>,
    /// Commits that were tried, with their outcome.
    pub commits: Vec<Outcome>,
    /// Whether commits wait in `held` instead of being carried out.
    pub hold_commits: bool,
    pub held: Vec<(MachineId, Ticket, Txn)>,
    /// Whether changes are not yet delivered.
    pub hold_watch: bool,
    pub trace: Vec<String>,
    /// What is found by whoever looks for the first machine: the leader itself (none), or another one. Where nothing
    /// stands there is no answer.
    pub reach: BTreeMap<(u32, Option<u32>), Reach>,
    /// Every question so far: after whom, through whom.
    pub asked: Vec<(u32, Option<u32>)>,
    /// Whether each machine does at once what its schedule says, and reports it.
    pub agents: bool,
    /// Machines whose agents do nothing.
    pub idle_agents: BTreeSet<u32>,
    leases: i64,
    queue: VecDeque<(MachineId, Event)>,
}

pub fn id(number: u32) -> MachineId {
    format!("{number:08x}{:024x}", 0).parse().unwrap()
}

/// What [`id`] made the id of.
pub fn number(id: &MachineId) -> u32 {
    u32::from_str_radix(id.short(), 16).unwrap()
}

/// Where the machine answers whoever asks after it.
fn peer_of(id: &MachineId) -> String {
    format!("10.0.0.{}:4002", number(id))
}

#[track_caller]
pub fn name(text: &str) -> UnitName {
    text.parse().unwrap()
}

/// A unit file with these lines in `[X-Fleet]`, or in `[X-Flota]` where fleet would not know them.
#[track_caller]
pub fn file(lines: &str) -> UnitFile {
    let section = if lines.contains("Exclusive=") { "X-Flota" } else { "X-Fleet" };
    UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n[{section}]\n{lines}\n")).unwrap()
}

impl Cluster {
    /// A founded cluster of the machines 1 to `machines`, led by the first.
    pub fn new(machines: u32) -> Cluster {
        let mut cluster = Cluster::empty();
        (1..=machines).for_each(|number| cluster.join(number, &[]));
        cluster.settle();
        cluster
    }

    /// A founded cluster without machines.
    pub fn empty() -> Cluster {
        let mut store = FakeStore::default();
        let birth =
            Birth { id: "00000000000000000000000000000001".parse().unwrap(), created_unix_ms: 0, incarnation: 0 };
        store.commit(&create_cluster(&birth)).unwrap();
        Cluster {
            now: Millis(1_000_000),
            store,
            nodes: BTreeMap::new(),
            recorded: Vec::new(),
            unplaced: Vec::new(),
            frozen: Vec::new(),
            notes: Vec::new(),
            commits: Vec::new(),
            hold_commits: false,
            held: Vec::new(),
            hold_watch: false,
            trace: Vec::new(),
            reach: BTreeMap::new(),
            asked: Vec::new(),
            agents: false,
            idle_agents: BTreeSet::new(),
            leases: 0,
            queue: VecDeque::new(),
        }
    }

    /// The machine connects, with a new lease; for the first time, or again.
    pub fn join(&mut self, number: u32, metadata: &[(&str, &str)]) {
        self.leases += 1;
        let lease = LeaseId(self.leases);
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let machine = Machine {
            address: format!("10.0.0.{number}"),
            metadata: metadata.iter().map(owned).collect(),
            capacity: Default::default(),
            version: "0.1.0".to_owned(),
            boot_id: String::new(),
            frozen: None,
        };
        self.store.commit(&put_machine(&id(number), &machine, lease)).unwrap();
        let seen = self.store.revision;
        let new = || Node {
            engine: Engine::new(id(number), Settings::default()),
            lease,
            connected: true,
            seen,
            loaded: false,
        };
        let node = self.nodes.entry(id(number)).or_insert_with(new);
        (node.lease, node.connected, node.seen) = (lease, true, seen);
        self.queue.push_back((id(number), Event::Connected { lease, leader: self.leader_entry() }));
    }

    /// The machine says that it belongs to the cluster and can be asked after; and whether it goes down.
    pub fn enlist(&mut self, number: u32, down: bool) {
        let member = Member {
            address: format!("10.0.0.{number}"),
            peer: Some(peer_of(&id(number))),
            down_unix_ms: down.then_some(1),
        };
        self.store.put_raw(&Key::Member(id(number)), &codec::encode(&member), None);
    }

    /// The store ends the machine's lease. The machine does not know.
    pub fn lose_lease(&mut self, number: u32) {
        let node = self.nodes.get_mut(&id(number)).unwrap();
        node.connected = false;
        self.store.expire(node.lease);
    }

    /// The machine finds itself cut off, and its lease ends.
    pub fn disconnect(&mut self, number: u32) {
        self.lose_lease(number);
        self.queue.push_back((id(number), Event::Disconnected));
    }

    /// The machine's daemon ends at once; its lease lives on.
    pub fn crash_engine(&mut self, number: u32) {
        let lease = self.nodes[&id(number)].lease;
        let engine = Engine::new(id(number), Settings::default());
        self.nodes.insert(id(number), Node { engine, lease, connected: false, seen: 0, loaded: false });
    }

    #[track_caller]
    pub fn submit(&mut self, unit: &str, fleet: &str, desired: DesiredState) {
        let file = file(fleet);
        let key = Key::Unit(name(unit));
        let seen = self.store.get(&key).map(|pair| pair.mod_revision);
        let txn = put_unit(&name(unit), &DesiredUnit { hash: file.hash(), desired }, &file, seen);
        self.store.commit(&txn).unwrap();
    }

    /// Submits a launched unit and waits until the engines are done with it.
    #[track_caller]
    pub fn launch(&mut self, unit: &str, fleet: &str) {
        self.submit(unit, fleet, DesiredState::Launched);
        self.settle();
    }

    #[track_caller]
    pub fn destroy(&mut self, unit: &str) {
        let seen = self.store.get(&Key::Unit(name(unit))).unwrap().mod_revision;
        self.store.commit(&destroy_unit(&name(unit), seen)).unwrap();
    }

    /// The numbers of the machines that the unit is scheduled on.
    pub fn places(&self, unit: &str) -> Vec<u32> {
        let snapshot = self.store.snapshot();
        let holders = snapshot.schedules().iter().filter(|(_, entry)| entry.value.units.contains_key(unit));
        holders.map(|(id, _)| number(id)).collect()
    }

    pub fn schedule(&self, number: u32) -> Option<Schedule> {
        let pair = self.store.get(&Key::Schedule(id(number)))?;
        Some(codec::decode(&pair.value).unwrap())
    }

    pub fn leader_entry(&self) -> Option<Entry<Leader>> {
        self.store.get(&Key::Leader).map(|pair| Entry::decode(pair).unwrap())
    }

    /// The numbers of the machines that think they lead.
    pub fn leaders(&self) -> Vec<u32> {
        let leaders = self.nodes.iter().filter(|(_, node)| node.engine.is_leader());
        leaders.map(|(id, _)| number(id)).collect()
    }

    pub fn send(&mut self, number: u32, event: Event) {
        self.queue.push_back((id(number), event));
        self.pump();
    }

    /// Carries out and delivers everything, without time passing.
    pub fn pump(&mut self) {
        loop {
            while let Some((id, event)) = self.queue.pop_front() {
                let effects = self.nodes.get_mut(&id).unwrap().engine.handle(self.now, event);
                for effect in effects {
                    self.carry_out(&id, effect);
                }
            }
            if self.agents {
                self.let_agents_work();
            }
            self.deliver();
            if self.queue.is_empty() {
                return;
            }
        }
    }

    fn let_agents_work(&mut self) {
        let works = |(id, node): &(&MachineId, &Node)| node.connected && !self.idle_agents.contains(&number(id));
        let numbers: Vec<u32> = self.nodes.iter().filter(works).map(|(id, _)| number(id)).collect();
        for number in numbers {
            let Some(schedule) = self.schedule(number) else { continue };
            let report = self.store.get(&Key::Report(id(number)));
            let told = report.map(|pair| codec::decode::<Report>(&pair.value).unwrap().generation);
            if told != Some(schedule.generation) {
                self.report(number, "active");
            }
        }
    }

    /// The machine reports that it holds its schedule, and that all units of that are in this state.
    pub fn report(&mut self, number: u32, active: &str) {
        let schedule = self.schedule(number).unwrap();
        let states = UnitStates { load: "loaded".to_owned(), active: active.to_owned(), sub: String::new() };
        let observed = |unit: &ScheduledUnit| ObservedUnit {
            hash: Some(unit.hash),
            started: unit.target == TargetState::Launched,
            states: states.clone(),
            since_unix_ms: None,
            problem: None,
        };
        let units = schedule.units.iter().map(|(name, unit)| (name.clone(), observed(unit))).collect();
        self.publish(number, &Report { generation: schedule.generation, units, problem: None });
    }

    pub fn publish(&mut self, number: u32, report: &Report) {
        let lease = self.nodes[&id(number)].lease;
        self.store.commit(&publish_report(&id(number), report, lease)).unwrap();
    }

    /// People ask something of a machine; none: nothing any more.
    pub fn cordon(&mut self, number: u32, mode: Option<CordonMode>) {
        let seen = self.store.get(&Key::Cordon(id(number))).map(|pair| pair.mod_revision);
        let txn = match (mode, seen) {
            (Some(mode), _) => {
                put_cordon(&id(number), &Cordon { mode, reason: Some("new disk".to_owned()), since_unix_ms: 1 }, seen)
            }
            (None, Some(seen)) => remove_cordon(&id(number), seen),
            (None, None) => return,
        };
        self.store.commit(&txn).unwrap();
    }

    /// The cause that the machine's schedule gives for the unit.
    #[track_caller]
    pub fn cause(&self, number: u32, unit: &str) -> String {
        self.schedule(number).unwrap().units[unit].cause.clone()
    }

    fn deliver(&mut self) {
        let leader = self.leader_entry();
        for (id, node) in self.nodes.iter_mut().filter(|(_, node)| node.connected && !self.hold_watch) {
            for (revision, changes) in self.store.since(node.seen) {
                let about_leader = changes.iter().any(|change| format!("{change:?}").contains("/flota/v1/leader"));
                if about_leader {
                    self.queue.push_back((id.clone(), Event::LeaderChanged(leader.clone())));
                }
                if node.loaded {
                    self.queue.push_back((id.clone(), Event::Changes { revision, changes }));
                }
            }
            node.seen = self.store.revision;
        }
    }

    fn carry_out(&mut self, id: &MachineId, effect: Effect) {
        self.trace.push(format!("{} {id} {effect:?}", self.now.0));
        match effect {
            Effect::Campaign(txn) => drop(self.store.commit(&txn)),
            Effect::LoadCluster => {
                self.nodes.get_mut(id).unwrap().loaded = true;
                self.queue.push_back((id.clone(), Event::Snapshot(Box::new(self.store.snapshot()))));
            }
            Effect::DropCluster => self.nodes.get_mut(id).unwrap().loaded = false,
            Effect::Commit { ticket, txn } if self.hold_commits => self.held.push((id.clone(), ticket, txn)),
            Effect::Commit { ticket, txn } => {
                let outcome = self.commit(id, &txn);
                self.queue.push_back((id.clone(), Event::Finished { ticket, outcome }));
            }
            Effect::Probe { machine, peer, through } => {
                assert_eq!(peer, peer_of(&machine));
                let through = through.map(|(other, address)| {
                    assert_eq!(address, peer_of(&other));
                    other
                });
                let question = (number(&machine), through.as_ref().map(number));
                self.asked.push(question);
                if let Some(found) = self.reach.get(&question).copied() {
                    self.queue.push_back((id.clone(), Event::Probed { machine, through, found }));
                }
            }
            Effect::Record(decisions) => self.recorded.extend(decisions),
            Effect::RecordUnplaced(units) => self.unplaced.extend(units),
            Effect::RecordNote(note) => self.notes.push(note),
            Effect::RecordFrozen(why) => self.frozen.push(why),
        }
    }

    /// Commits for an engine, and holds every schedule that comes of it against promise P3.
    pub fn commit(&mut self, writer: &MachineId, txn: &Txn) -> Outcome {
        let generation = |store: &FakeStore, key: &str| {
            let pair = store.get(&Key::parse(key).unwrap())?;
            Some(codec::decode::<Schedule>(&pair.value).unwrap().generation.0)
        };
        let schedules = txn.ops.iter().filter_map(|op| match op {
            Op::Put { key, .. } if key.starts_with(flota_registry::keys::SCHEDULES) => {
                Some((key.clone(), generation(&self.store, key)))
            }
            Op::Put { .. } | Op::Delete { .. } => None,
        });
        let before: Vec<_> = schedules.collect();
        let outcome = self.store.commit(txn).map_or(Outcome::Refused, Outcome::Committed);
        if let Outcome::Committed(_) = outcome {
            assert_eq!(self.leader_entry().unwrap().value.machine, *writer, "only the leader writes");
            for (key, generation_before) in before {
                assert_eq!(generation(&self.store, &key), Some(generation_before.unwrap_or(0) + 1), "{key}");
            }
        }
        self.commits.push(outcome.clone());
        outcome
    }

    /// Lets everything that is due within a second happen.
    #[track_caller]
    pub fn settle(&mut self) {
        self.pass(1_000);
    }

    /// Lets `span` pass, with a tick at each deadline.
    #[track_caller]
    pub fn pass(&mut self, span: u64) {
        let end = self.now.plus(Millis(span));
        for _ in 0..20_000 {
            self.pump();
            let due = |node: &Node| node.engine.deadline().filter(|_| node.connected);
            let next = self.nodes.iter().filter_map(|(id, node)| Some((due(node)?, id.clone()))).min();
            let Some((at, id)) = next.filter(|(at, _)| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.queue.push_back((id, Event::Tick));
        }
        panic!("the engines tick without end: {:#?}", &self.trace[self.trace.len() - 6..]);
    }
}
