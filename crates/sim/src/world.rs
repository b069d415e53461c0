//! The world: everything that is on its way, in the order of time.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use flota_engine::Reach;
use flota_registry::{MachineId, Millis};
use flota_unit::{UnitFile, UnitHash};

use crate::call::{Answer, Call, CallId};
use crate::daemon::{Daemon, Watch};
use crate::fault::Script;
use crate::host::{Host, Job};
use crate::link::Link;
use crate::promises;
use crate::store::Store;

/// How long a daemon waits for an answer, as in the production client.
const CALL_TIMEOUT: Millis = Millis(5_000);
/// How much of what happened a violation tells.
const MAX_TRACE: usize = 400;
/// Things that happen in one run; more is a world that never comes to rest.
const MAX_ACTIONS: u64 = 3_000_000;
/// How long the repaired world has to settle, and then must be still.
const SETTLE: Millis = Millis(180_000);
const STILL: Millis = Millis(60_000);

/// What a run came to, when every promise held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Things that happened.
    pub actions: u64,
    /// Schedules that were committed.
    pub commits: u64,
    /// Units that were started.
    pub starts: u64,
    /// The world's last revision.
    pub revision: i64,
    /// A number made of everything that happened, in order.
    pub fingerprint: u64,
}

/// A promise that did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The seed that shows it.
    pub seed: u64,
    /// When, on the world's clock.
    pub at: Millis,
    /// What did not hold.
    pub what: String,
    /// What happened before, the latest last.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} at {} ms: {}", self.seed, self.at.0, self.what)?;
        self.trace.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// Runs the script's world from `seed` to its end.
pub fn run(seed: u64, script: &Script) -> Result<Summary, Box<Violation>> {
    let mut world = World::new(seed, script);
    world.run()
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Action {
    /// A request arrives at the store.
    Request { from: Origin, id: CallId, call: Call },
    /// An answer arrives at the daemon.
    Response { to: Origin, id: CallId, answer: Answer },
    /// The daemon gives up waiting.
    GiveUp { to: Origin, id: CallId },
    /// A watch brings what is new.
    Deliver { to: Origin, watch: Watch },
    /// A deadline of the daemon's pure machines.
    Tick { to: Origin },
    /// The session is tried again.
    Connect { to: Origin },
    /// The lease is to be renewed, if it is still the one with this number.
    Renew { to: Origin, number: u64 },
    /// What was put back has been there for a while, if the session is still number `session`.
    Settled { to: Origin, session: u64 },
    /// The connection is found broken, if the session is still number `session`.
    Broken { to: Origin, session: u64 },
    /// The feed is read again, if it is still number `feed`.
    Reload { to: Origin, feed: u64 },
    /// A text is asked for again.
    Refetch { to: Origin, hash: UnitHash },
    /// The report is sent again.
    Republish { to: Origin },
    /// systemd is done, if the machine has not been switched off since.
    JobDone { machine: MachineId, boot: u32, asked_by: u64, job: Job },
    /// The guard wakes, if the machine has not been switched off since.
    Guard { machine: MachineId, boot: u32 },
    /// The guard's file was written.
    GuardTold { to: Origin, at: Millis },
    /// A daemon starts on a machine that has none.
    StartDaemon { machine: MachineId },
    /// People put another disk into the machine.
    Reinstall { machine: MachineId },
    /// People bring a store up again.
    StoreUp,
    /// People accept the store, if a machine doubts it.
    AcceptStore,
    /// People look after what is left to be done.
    Tidy,
    /// Somebody says whether a machine can be reached.
    Probed { to: Origin, machine: MachineId, through: Option<MachineId>, found: Reach },
    /// Leases may have ended.
    Expire,
    /// The next fault of the script.
    Fault,
    /// Everything is repaired.
    Calm,
}

/// A daemon in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) machine: MachineId,
    pub(crate) epoch: u64,
}

/// One machine.
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) link: Link,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) zone: &'static str,
    /// How late, at most, what is due happens on this machine.
    pub(crate) lag: Millis,
}

/// What the store's process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Up,
    /// Nothing listens.
    Down,
    /// It listens, and does nothing.
    Frozen,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: Millis,
    pub(crate) random: fastrand::Rng,
    pub(crate) script: Script,
    pub(crate) store: Store,
    pub(crate) health: Health,
    /// Counts stores, and leases in all of them.
    pub(crate) stores: u64,
    pub(crate) leases: i64,
    /// The cluster's record as it was last looked for: in which store, at which revision, and since when it is what it is.
    pub(crate) record_seen: (u64, i64, i64),
    /// A point of the store's past that it can be restored to.
    pub(crate) backup: Option<usize>,
    /// The cluster's own store, while another one stands in its place.
    pub(crate) kept: Option<Store>,
    /// Whether there was ever a store in its place that machines may not believe; and whether one is being exchanged.
    pub(crate) doubtful: bool,
    pub(crate) swapping: bool,
    /// Every text that was ever submitted.
    pub(crate) texts: BTreeMap<UnitHash, UnitFile>,
    /// Whether a unit came up or went down since the last look at exclusive ones.
    pub(crate) runs_changed: bool,
    /// What arrived at a frozen store.
    frozen: Vec<(Origin, CallId, Call)>,
    pub(crate) machines: BTreeMap<MachineId, Machine>,
    queue: BTreeMap<(Millis, u64), Action>,
    queued: u64,
    pub(crate) epochs: u64,
    pub(crate) faults_left: u32,
    pub(crate) calm_since: Option<Millis>,
    pub(crate) commits: u64,
    pub(crate) last_commit: Millis,
    pub(crate) starts: u64,
    trace: VecDeque<String>,
    fingerprint: u64,
    violation: Option<Box<Violation>>,
}

impl World {
    fn new(seed: u64, script: &Script) -> World {
        let mut world = World {
            seed,
            now: Millis(1_000),
            random: fastrand::Rng::with_seed(seed),
            script: script.clone(),
            store: Store::new(1),
            health: Health::Up,
            stores: 1,
            leases: 0,
            record_seen: (0, 0, 0),
            backup: None,
            kept: None,
            doubtful: false,
            swapping: false,
            texts: BTreeMap::new(),
            runs_changed: false,
            frozen: Vec::new(),
            machines: BTreeMap::new(),
            queue: BTreeMap::new(),
            queued: 0,
            epochs: 0,
            faults_left: script.faults,
            calm_since: None,
            commits: 0,
            last_commit: Millis::default(),
            starts: 0,
            trace: VecDeque::new(),
            fingerprint: 0,
            violation: None,
        };
        for number in 1..=script.machines {
            let Ok(id) = format!("{number:08x}{:024x}", 0).parse::<MachineId>() else { continue };
            let zone = if number * 2 <= script.machines { "a" } else { "b" };
            let machine = Machine { host: Host::new(), link: Link::default(), daemon: None, zone, lag: Millis(0) };
            world.machines.insert(id.clone(), machine);
            world.start_daemon(&id);
        }
        world.after(Millis(500), Action::Fault);
        world
    }

    fn run(&mut self) -> Result<Summary, Box<Violation>> {
        let mut actions = 0;
        while let Some(((at, _), action)) = self.queue.pop_first() {
            if self.calm_since.is_some_and(|since| at > since.plus(SETTLE).plus(STILL)) {
                break;
            }
            self.now = at;
            actions += 1;
            self.act(action);
            self.poke_watches();
            self.check_exclusive();
            if actions >= MAX_ACTIONS {
                self.violate("the world never comes to rest".to_owned());
            }
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        self.check_end();
        match self.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(Summary {
                actions,
                commits: self.commits,
                starts: self.starts,
                revision: self.store.revision(),
                fingerprint: self.fingerprint,
            }),
        }
    }

    /// No exclusive unit runs on two machines.
    fn check_exclusive(&mut self) {
        if std::mem::take(&mut self.runs_changed) {
            let hosts = self.machines.iter().map(|(id, machine)| (id, &machine.host));
            let found = promises::doubled(hosts, &self.texts);
            self.check(found);
        }
    }

    fn check_end(&mut self) {
        let settled = self.calm_since.map_or(Millis::default(), |since| since.plus(SETTLE));
        if self.last_commit > settled {
            self.violate(format!(
                "schedules still change {} ms after all was repaired",
                self.last_commit.since(settled).0
            ));
        }
        let machines: Vec<MachineId> = self.machines.keys().cloned().collect();
        let running = |id: &MachineId, unit: &flota_unit::UnitName| {
            self.machines.get(id).is_some_and(|machine| machine.host.is_running(unit))
        };
        let found = promises::unsettled(&self.store.snapshot(), &machines, running);
        self.check(found);
    }

    // === Time ===

    pub(crate) fn after(&mut self, span: Millis, action: Action) {
        self.queued += 1;
        self.queue.insert((self.now.plus(span), self.queued), action);
    }

    pub(crate) fn note(&mut self, line: String) {
        for byte in line.bytes() {
            self.fingerprint = (self.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.trace.len() == MAX_TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>8} {line}", self.now.0));
    }

    pub(crate) fn violate(&mut self, what: String) {
        if self.violation.is_none() {
            let trace = self.trace.iter().cloned().collect();
            self.violation = Some(Box::new(Violation { seed: self.seed, at: self.now, what, trace }));
        }
    }

    pub(crate) fn check(&mut self, found: Option<String>) {
        if let Some(what) = found {
            self.violate(what);
        }
    }

    // === Lookup ===

    pub(crate) fn machine(&mut self, id: &MachineId) -> Option<&mut Machine> {
        self.machines.get_mut(id)
    }

    /// The daemon, if it is still in that life.
    pub(crate) fn daemon(&mut self, origin: &Origin) -> Option<&mut Daemon> {
        let daemon = self.machines.get_mut(&origin.machine)?.daemon.as_mut()?;
        (daemon.epoch == origin.epoch).then_some(daemon)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.health == Health::Up
    }

    // === What happens ===

    fn act(&mut self, action: Action) {
        match action {
            Action::Request { from, id, call } => self.arrive(from, id, call),
            Action::Response { to, id, answer } => self.hear(&to, id, answer),
            Action::GiveUp { to, id } => self.hear(&to, id, Answer::Timeout),
            Action::Deliver { to, watch } => self.deliver(&to, watch),
            Action::Tick { to } => self.tick(&to),
            Action::Connect { to } => self.connect(&to),
            Action::Renew { to, number } => self.renew(&to, number),
            Action::Settled { to, session } => self.settled(&to, session),
            Action::Guard { machine, boot } => self.guard(&machine, boot),
            Action::GuardTold { to, at } => self.tell_agent(&to, flota_agent::Event::GuardTold { at }),
            Action::StartDaemon { machine } => self.start_missing_daemon(&machine),
            Action::Reinstall { machine } => self.reinstall(&machine),
            Action::StoreUp => self.bring_store_up(),
            Action::AcceptStore if self.is_up() => drop(self.accept()),
            Action::AcceptStore => {}
            Action::Tidy => self.tidy(),
            Action::Broken { to, session } => self.broken(&to, session),
            Action::Reload { to, feed } => self.reload(&to, feed),
            Action::Refetch { to, hash } => self.fetch(&to, hash),
            Action::Republish { to } => self.publish(&to),
            Action::JobDone { machine, boot, asked_by, job } => self.job_done(&machine, boot, asked_by, job),
            Action::Probed { to, machine, through, found } => {
                self.tell_engine(&to, flota_engine::Event::Probed { machine, through, found });
            }
            Action::Expire => {
                if self.is_up() {
                    self.store.expire(self.now);
                }
            }
            Action::Fault => self.next_fault(),
            Action::Calm => self.calm(),
        }
    }

    /// Sends a request; the answer, or that there is none, comes to [`World::hear`].
    pub(crate) fn call(&mut self, from: &Origin, purpose: crate::daemon::Purpose, call: Call) {
        let Some(daemon) = self.daemon(from) else { return };
        daemon.calls += 1;
        let id = daemon.calls;
        daemon.pending.insert(id, purpose);
        self.after(CALL_TIMEOUT, Action::GiveUp { to: from.clone(), id });
        self.send(from.clone(), id, call);
    }

    /// Puts a request on the wire. One that cannot get through now is sent again until the daemon's end, and may come late.
    fn send(&mut self, from: Origin, id: CallId, call: Call) {
        /// How long the network waits before it sends again what was lost.
        const RESEND: Millis = Millis(400);
        let Some(machine) = self.machines.get(&from.machine) else { return };
        let span = if machine.link.out { machine.link.latency(&mut self.random) } else { RESEND };
        self.after(span, Action::Request { from, id, call });
    }

    fn arrive(&mut self, from: Origin, id: CallId, call: Call) {
        let Some(daemon) = self.daemon(&from) else { return };
        let waited_for = daemon.pending.contains_key(&id);
        if !self.machines.get(&from.machine).is_some_and(|machine| machine.link.out) {
            // What nobody waits for any more is sent again once or twice, then the connection is gone.
            if waited_for || self.random.bool() {
                self.send(from, id, call);
            }
            return;
        }
        let store = self.store.id;
        let is_old = self.daemon(&from).is_some_and(|daemon| daemon.store != store);
        match self.health {
            // The connection was to another store.
            _ if is_old && !matches!(call, Call::Look) => self.answer(from, id, Answer::Unreachable),
            Health::Up => {
                let answer = self.serve(&from, call);
                self.answer(from, id, answer);
            }
            Health::Down => self.answer(from, id, Answer::Unreachable),
            Health::Frozen => self.frozen.push((from, id, call)),
        }
    }

    /// A store that goes on after a pause does first what had come in meanwhile.
    pub(crate) fn thaw(&mut self) {
        self.store.expire(self.now);
        for (from, id, call) in std::mem::take(&mut self.frozen) {
            let answer = self.serve(&from, call);
            self.answer(from, id, answer);
        }
    }

    /// A store that ends drops what it had not done.
    pub(crate) fn drop_requests(&mut self) {
        self.frozen.clear();
    }

    fn answer(&mut self, to: Origin, id: CallId, answer: Answer) {
        let Some(machine) = self.machines.get(&to.machine) else { return };
        // An answer that cannot get through is lost; the daemon gives up waiting.
        if machine.link.back {
            let span = machine.link.latency(&mut self.random);
            self.after(span, Action::Response { to, id, answer });
        }
    }
}
