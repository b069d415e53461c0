//! Registrations in a world where everything fails at any moment: units, store, leases, the daemon.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flota_agent::registrations::{
    Effect, Event, Held, Life, Outcome, PutResult, Register, Registrations, RenewResult, Ticket,
};
use flota_registry::{LeaseId, Millis};
use flota_unit::UnitName;
use proptest::prelude::*;

use crate::name;

const UNITS: [&str; 3] = ["a.service", "b.service", "c.service"];
const FOREIGN: LeaseId = LeaseId(-1);

#[derive(Debug, Clone)]
enum Action {
    /// `ExecStartPost=` of a unit registers a key.
    Register {
        unit: usize,
        key: u8,
        value: u8,
    },
    Remove {
        unit: usize,
        key: u8,
    },
    Start {
        unit: usize,
    },
    /// Stops, fails, or waits for its restart.
    End {
        unit: usize,
        how: usize,
    },
    StoreDown,
    StoreUp,
    /// The store forgets all leases, as when it was away for longer than they live.
    LeasesEnd,
    Foreign {
        key: u8,
    },
    ForeignGone {
        key: u8,
    },
    /// kill -9 of the daemon; calls under way reach the store or do not.
    Crash {
        reach: bool,
    },
    /// A call to the store is carried out; `heard`: the daemon gets the answer.
    Call {
        which: usize,
        heard: bool,
    },
    /// systemd sends its next signal or looks at the next question; `answer`: an answer of its arrives, if one is on its
    /// way. Answers keep their order, signals may overtake them.
    Systemd {
        answer: bool,
    },
    Time {
        millis: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let unit = 0..UNITS.len();
    prop_oneof![
        4 => (unit.clone(), 0..4u8, any::<u8>()).prop_map(|(unit, key, value)| Action::Register { unit, key, value }),
        1 => (unit.clone(), 0..4u8).prop_map(|(unit, key)| Action::Remove { unit, key }),
        3 => unit.clone().prop_map(|unit| Action::Start { unit }),
        2 => (unit, 0..4usize).prop_map(|(unit, how)| Action::End { unit, how }),
        1 => Just(Action::StoreDown),
        2 => Just(Action::StoreUp),
        1 => Just(Action::LeasesEnd),
        1 => (0..4u8).prop_map(|key| Action::Foreign { key }),
        1 => (0..4u8).prop_map(|key| Action::ForeignGone { key }),
        1 => any::<bool>().prop_map(|reach| Action::Crash { reach }),
        8 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, heard)| Action::Call { which, heard }),
        6 => any::<bool>().prop_map(|answer| Action::Systemd { answer }),
        3 => (1..20_000u64).prop_map(|millis| Action::Time { millis }),
    ]
}

/// What systemd has to do for the daemon, in order.
enum Work {
    Signal(UnitName),
    Look(Vec<UnitName>),
    Register { unit: UnitName, key: String, value: Vec<u8> },
}

/// What must be in the store as long as the unit's life lasts.
#[derive(Default)]
struct Promise {
    invocation: String,
    keys: BTreeMap<String, Vec<u8>>,
    /// Those that somebody else has overwritten since: they may be there or not.
    overwritten: BTreeSet<String>,
}

struct World {
    machine: Registrations,
    now: u64,
    held: Held,
    store_up: bool,
    store: BTreeMap<String, (Vec<u8>, LeaseId)>,
    leases: BTreeSet<LeaseId>,
    last_lease: i64,
    last_ticket: u64,
    units: BTreeMap<UnitName, (&'static str, &'static str, u32)>,
    work: VecDeque<Work>,
    answers: VecDeque<Event>,
    calls: Vec<Effect>,
    promises: BTreeMap<UnitName, Promise>,
}

impl World {
    fn new() -> World {
        let units = UNITS.map(|unit| (name(unit), ("inactive", "dead", 0)));
        let mut world = World {
            machine: Registrations::new(),
            now: 0,
            held: Held::default(),
            store_up: false,
            store: BTreeMap::new(),
            leases: BTreeSet::new(),
            last_lease: 0,
            last_ticket: 0,
            units: units.into(),
            work: VecDeque::new(),
            answers: VecDeque::new(),
            calls: Vec::new(),
            promises: BTreeMap::new(),
        };
        world.boot();
        world
    }

    fn boot(&mut self) {
        self.machine = Registrations::new();
        let held = Held::decode(&self.held.encode()).unwrap();
        self.tell(Event::Boot { held, boot_id: "b".to_owned() });
        if self.store_up {
            self.tell(Event::StoreUp);
        }
    }

    fn life(&self, unit: &UnitName) -> Life {
        let (active, sub, invocation) = self.units[unit];
        Life { unit: unit.clone(), active: active.into(), sub: sub.into(), invocation: invocation.to_string() }
    }

    fn tell(&mut self, event: Event) -> Vec<(Ticket, Outcome)> {
        let mut answers = Vec::new();
        for effect in self.machine.handle(Millis(self.now), event) {
            match effect {
                Effect::Persist(held) => self.held = held,
                Effect::Observe(units) => self.work.push_back(Work::Look(units)),
                Effect::Answer(ticket, outcome) => answers.push((ticket, outcome)),
                Effect::Note(_) => {}
                call => {
                    assert!(self.store_up, "asked of a store that is away: {call:?}");
                    self.calls.push(call);
                }
            }
        }
        answers
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Register { unit, key, value } => {
                let (unit, key) = (name(UNITS[unit]), format!("/{key}"));
                self.work.push_back(Work::Register { unit, key, value: vec![value] });
            }
            Action::Remove { unit, key } => self.remove(name(UNITS[unit]), format!("/{key}")),
            Action::Start { unit } => self.change(unit, "active", "running", 1),
            Action::End { unit, how } => {
                let ends = [("inactive", "dead"), ("failed", "failed"), ("activating", "auto-restart")];
                let (active, sub) = ends.get(how).copied().unwrap_or(("deactivating", "stop"));
                self.change(unit, active, sub, 0);
            }
            Action::StoreDown if self.store_up => {
                self.store_up = false;
                self.tell(Event::StoreDown);
            }
            Action::StoreUp if !self.store_up => {
                self.store_up = true;
                self.tell(Event::StoreUp);
            }
            Action::StoreDown | Action::StoreUp => {}
            Action::LeasesEnd => {
                self.leases.clear();
                self.store.retain(|_, (_, lease)| *lease == FOREIGN);
            }
            Action::Foreign { key } => self.overwrite(format!("/{key}")),
            Action::ForeignGone { key } => {
                self.store.retain(|name, (_, lease)| *name != format!("/{key}") || *lease != FOREIGN);
            }
            Action::Crash { reach } => {
                for call in std::mem::take(&mut self.calls) {
                    if reach && self.store_up {
                        self.carry_out(&call);
                    }
                }
                self.work.clear();
                self.answers.clear();
                self.boot();
            }
            Action::Call { which, heard } if !self.calls.is_empty() => {
                let call = self.calls.remove(which % self.calls.len());
                self.call(&call, heard);
            }
            Action::Call { .. } => {}
            Action::Systemd { answer } => self.systemd(answer),
            Action::Time { millis } => {
                self.now += millis;
                self.tell(Event::Tick);
            }
        }
    }

    fn change(&mut self, unit: usize, active: &'static str, sub: &'static str, lives: u32) {
        let unit = name(UNITS[unit]);
        let (_, _, invocation) = self.units[&unit];
        self.units.insert(unit.clone(), (active, sub, invocation + lives));
        self.work.push_back(Work::Signal(unit));
    }

    fn overwrite(&mut self, key: String) {
        let before = self.store.insert(key.clone(), (b"foreign".to_vec(), FOREIGN));
        if before.is_some_and(|(_, lease)| lease != FOREIGN) {
            for promise in self.promises.values_mut() {
                promise.overwritten.insert(key.clone());
            }
        }
    }

    fn remove(&mut self, unit: UnitName, key: String) {
        let answers = self.tell(Event::Remove { ticket: Ticket(0), unit: unit.clone(), key: key.clone() });
        if answers.iter().any(|(_, outcome)| *outcome == Outcome::Removed)
            && let Some(promise) = self.promises.get_mut(&unit)
        {
            promise.keys.remove(&key);
        }
    }

    fn systemd(&mut self, answer: bool) {
        if let Some(event) = answer.then(|| self.answers.pop_front()).flatten() {
            return self.hear(event);
        }
        match self.work.pop_front() {
            None => {}
            Some(Work::Signal(unit)) => drop(self.tell(Event::Changed(Some(vec![unit])))),
            Some(Work::Look(units)) => {
                let lives = units.iter().map(|unit| self.life(unit)).collect();
                self.answers.push_back(Event::Observed(lives));
            }
            Some(Work::Register { unit, key, value }) => {
                self.last_ticket += 1;
                let (ticket, life) = (Ticket(self.last_ticket), self.life(&unit));
                self.answers.push_back(Event::Register(Register { ticket, life, key, value, ttl: None }));
            }
        }
    }

    /// An answer of systemd arrives. What is registered without a refusal is promised.
    fn hear(&mut self, event: Event) {
        let Event::Register(request) = event else { return drop(self.tell(event)) };
        let Register { ticket, life, key, value, .. } = request.clone();
        let answers = self.tell(Event::Register(request));
        if answers.iter().any(|(to, outcome)| *to == ticket && matches!(outcome, Outcome::Refused(_))) {
            return;
        }
        assert!(life.is_alive(), "a key for a unit that is not up");
        let promise = self.promises.entry(life.unit).or_default();
        if promise.invocation != life.invocation {
            *promise = Promise { invocation: life.invocation, ..Promise::default() };
        }
        promise.overwritten.remove(&key);
        promise.keys.insert(key, value);
    }

    fn call(&mut self, call: &Effect, heard: bool) {
        let answer = if self.store_up { self.carry_out(call) } else { failed(call) };
        let answer = if heard { answer } else { failed(call) };
        self.tell(answer);
    }

    /// What the store does and answers.
    fn carry_out(&mut self, call: &Effect) -> Event {
        match call.clone_call() {
            Call::Grant { unit, serial } => {
                self.last_lease += 1;
                let lease = LeaseId(self.last_lease);
                self.leases.insert(lease);
                Event::Granted { unit, serial, result: Ok(lease) }
            }
            Call::Renew { unit, lease } => {
                let result = if self.leases.contains(&lease) { RenewResult::Alive } else { RenewResult::Lost };
                Event::Renewed { unit, lease, result }
            }
            Call::Revoke(lease) => {
                self.leases.remove(&lease);
                self.store.retain(|_, (_, other)| *other != lease);
                Event::Revoked { lease, gone: true }
            }
            Call::Write { unit, lease, key, value } => {
                let result = self.write(lease, &key, value);
                Event::Written { unit, lease, key, result }
            }
        }
    }

    fn write(&mut self, lease: LeaseId, key: &str, value: Option<(Vec<u8>, bool)>) -> PutResult {
        let owner = self.store.get(key).map(|(_, lease)| *lease);
        match value {
            None => {
                if owner == Some(lease) {
                    self.store.remove(key);
                }
                PutResult::Done
            }
            Some(_) if !self.leases.contains(&lease) => PutResult::NoLease,
            Some((_, false)) if owner.is_some_and(|owner| owner != lease) => PutResult::Taken,
            Some((value, _)) => {
                self.store.insert(key.to_owned(), (value, lease));
                PutResult::Done
            }
        }
    }

    /// Everything works from now on, for long enough.
    fn settle(&mut self) {
        self.act(Action::StoreUp);
        for _ in 0..200 {
            while !self.work.is_empty() || !self.answers.is_empty() {
                self.systemd(true);
            }
            while let Some(call) = self.calls.pop() {
                self.call(&call, true);
            }
            if let Some(Millis(at)) = self.machine.deadline(Millis(self.now)) {
                self.now = at.min(self.now + 1_000);
                self.tell(Event::Tick);
            }
        }
    }

    fn check(&self) {
        let kept = |unit: &UnitName, promise: &Promise| {
            let life = self.life(unit);
            life.is_alive() && life.invocation == promise.invocation
        };
        for (unit, promise) in self.promises.iter().filter(|(unit, promise)| kept(unit, promise)) {
            for (key, value) in promise.keys.iter().filter(|(key, _)| !promise.overwritten.contains(*key)) {
                let there = self.store.get(key);
                let found = there.is_some_and(|(there, lease)| there == value || *lease == FOREIGN);
                assert!(found, "{unit} is up and its key {key} is {there:?} instead of {value:?}");
            }
        }
        for (key, (_, lease)) in self.store.iter().filter(|(_, (_, lease))| *lease != FOREIGN) {
            let owned = self.promises.iter().any(|(unit, it)| kept(unit, it) && it.keys.contains_key(key));
            assert!(owned, "{key} under {lease:?} has outlived its unit");
        }
    }
}

fn failed(call: &Effect) -> Event {
    let why = "no answer".to_owned();
    match call.clone_call() {
        Call::Grant { unit, serial } => Event::Granted { unit, serial, result: Err(why) },
        Call::Renew { unit, lease } => Event::Renewed { unit, lease, result: RenewResult::Failed(why) },
        Call::Revoke(lease) => Event::Revoked { lease, gone: false },
        Call::Write { unit, lease, key, .. } => Event::Written { unit, lease, key, result: PutResult::Failed(why) },
    }
}

/// The effects that are calls to the store.
enum Call {
    Grant {
        unit: UnitName,
        serial: u64,
    },
    Renew {
        unit: UnitName,
        lease: LeaseId,
    },
    Revoke(LeaseId),
    /// A value and whether it may overwrite; none deletes.
    Write {
        unit: UnitName,
        lease: LeaseId,
        key: String,
        value: Option<(Vec<u8>, bool)>,
    },
}

trait CloneCall {
    fn clone_call(&self) -> Call;
}

impl CloneCall for Effect {
    fn clone_call(&self) -> Call {
        match self {
            Effect::Grant { unit, serial, .. } => Call::Grant { unit: unit.clone(), serial: *serial },
            Effect::Renew { unit, lease } => Call::Renew { unit: unit.clone(), lease: *lease },
            Effect::Revoke(lease) => Call::Revoke(*lease),
            Effect::Put { unit, lease, key, value, overwrite } => {
                let value = Some((value.clone(), *overwrite));
                Call::Write { unit: unit.clone(), lease: *lease, key: key.clone(), value }
            }
            Effect::Delete { unit, lease, key } => {
                Call::Write { unit: unit.clone(), lease: *lease, key: key.clone(), value: None }
            }
            other => panic!("not a call: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_key_outlives_its_unit_and_every_key_of_a_healthy_unit_is_there(
        actions in prop::collection::vec(action(), 1..120)
    ) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
        }
        world.settle();
        world.check();
    }
}
