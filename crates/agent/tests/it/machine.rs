//! A machine that carries out an agent's effects: a disk that survives reboots, a systemd that does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flota_agent::fence::Guarded;
use flota_agent::{Agent, Effect, Event, FileOp, FileResults, Held, Installed, JobResult, Observation, Token};
use flota_registry::{Millis, Report, Schedule, TargetState, UnitStates};
use flota_unit::{UnitFile, UnitHash, UnitKind, UnitName};

/// A unit that systemd runs, and how often it was started and stopped during this boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    pub active: &'static str,
    pub starts: u32,
    pub stops: u32,
}

/// How long the machine's lease is.
pub const LEASE: Millis = Millis(5_000);

/// One machine with its daemon.
pub struct FakeMachine {
    pub now: Millis,
    pub agent: Agent,
    pub boot: u32,
    pub held: Held,
    /// The files in Flota's folder, and whether each is linked.
    pub files: BTreeMap<UnitName, (UnitHash, bool)>,
    pub runs: BTreeMap<UnitName, Run>,
    /// Units of the distribution.
    pub foreign: BTreeSet<UnitName>,
    /// What a purged package left in systemd's folder.
    pub copies: BTreeMap<UnitName, UnitHash>,
    /// Units that systemd does not load, with its word for why.
    pub unloadable: BTreeMap<UnitName, &'static str>,
    /// Units whose `[Install]` systemd refuses.
    pub bad_installs: BTreeSet<UnitName>,
    /// The store's unit files; none while it is away.
    pub texts: Option<BTreeMap<UnitHash, String>>,
    /// Texts that the store does not answer for.
    pub slow_texts: BTreeSet<UnitHash>,
    /// Units whose file operations, starts or stops fail.
    pub broken_files: BTreeSet<UnitName>,
    pub broken_starts: BTreeSet<UnitName>,
    pub broken_stops: BTreeSet<UnitName>,
    /// Units whose jobs do not end.
    pub hanging: BTreeSet<UnitName>,
    /// Units whose stop jobs end only when they are killed.
    pub stubborn: BTreeSet<UnitName>,
    /// What the guard was told last.
    pub guarded: Option<Guarded>,
    pub reports: Vec<(Millis, Report)>,
    /// Every effect since the daemon started, in words.
    pub trace: Vec<String>,
    queue: VecDeque<Event>,
}

impl FakeMachine {
    pub fn new() -> FakeMachine {
        let mut machine = FakeMachine {
            now: Millis(1_000),
            agent: Agent::new(),
            boot: 1,
            held: Held::default(),
            files: BTreeMap::new(),
            runs: BTreeMap::new(),
            foreign: BTreeSet::new(),
            copies: BTreeMap::new(),
            unloadable: BTreeMap::new(),
            bad_installs: BTreeSet::new(),
            slow_texts: BTreeSet::new(),
            texts: Some(BTreeMap::new()),
            broken_files: BTreeSet::new(),
            broken_starts: BTreeSet::new(),
            broken_stops: BTreeSet::new(),
            hanging: BTreeSet::new(),
            stubborn: BTreeSet::new(),
            guarded: None,
            reports: Vec::new(),
            trace: Vec::new(),
            queue: VecDeque::new(),
        };
        machine.restart_daemon();
        machine
    }

    /// The daemon ends at once and starts again; systemd and the disk go on.
    pub fn restart_daemon(&mut self) {
        self.agent = Agent::fencing(LEASE, self.guarded.clone());
        self.queue.clear();
        self.trace.clear();
        let installed =
            self.files.iter().map(|(unit, (hash, linked))| (unit.clone(), Installed { hash: *hash, linked: *linked }));
        let event = Event::Boot {
            held: self.held.clone(),
            boot_id: format!("boot-{}", self.boot),
            installed: installed.collect(),
            copies: self.copies.clone(),
        };
        self.send(event);
    }

    /// The machine loses its power: links and processes are gone.
    pub fn reboot(&mut self) {
        self.boot += 1;
        self.guarded = None;
        self.runs.clear();
        self.hanging.clear();
        self.files.values_mut().for_each(|(_, linked)| *linked = false);
        self.restart_daemon();
    }

    /// Gives the agent one event and carries out what follows, as far as it goes without time passing.
    pub fn send(&mut self, event: Event) {
        self.queue.push_back(event);
        while let Some(event) = self.queue.pop_front() {
            for effect in self.agent.handle(self.now, event) {
                self.trace.push(describe(&effect));
                self.carry_out(effect);
            }
        }
    }

    pub fn schedule(&mut self, schedule: &Schedule) {
        self.send(Event::Schedule(schedule.clone()));
    }

    /// Gives the agent a schedule while systemd does not answer.
    pub fn agent_only(&mut self, schedule: Schedule) {
        for effect in self.agent.handle(self.now, Event::Schedule(schedule)) {
            if let Effect::Persist(held) = effect {
                self.held = held;
            }
        }
    }

    /// Starts a daemon to which this schedule comes first of all.
    pub fn restart_with(&mut self, schedule: Schedule) {
        self.restart_daemon();
        self.schedule(&schedule);
    }

    /// Makes the agent ask about everything, and keeps the question.
    #[track_caller]
    pub fn ask_silently(&mut self) -> Token {
        let effects = self.agent.handle(self.now, Event::Changed(None));
        let token =
            effects.into_iter().find_map(|it| if let Effect::Observe { token, .. } = it { Some(token) } else { None });
        token.expect("the agent asks")
    }

    /// Answers a question that was kept.
    pub fn answer(&mut self, token: Token, unit: &str, active: &str) {
        let states = UnitStates { load: "loaded".to_owned(), active: active.to_owned(), sub: String::new() };
        let units = vec![Observation { unit: unit.parse().unwrap(), states, since_unix_ms: None }];
        self.send(Event::Observed { token, units });
    }

    /// Lets `span` pass, with a tick at each deadline.
    #[track_caller]
    pub fn pass(&mut self, span: u64) {
        let end = self.now.plus(Millis(span));
        for _ in 0..10_000 {
            let Some(at) = self.agent.deadline(self.now).filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            assert!(at > self.now, "a deadline in the past is a busy loop");
            self.now = at;
            self.send(Event::Tick);
        }
        panic!("the agent ticks without end");
    }

    /// What the unit does by itself, such as ending; systemd signals it.
    pub fn becomes(&mut self, unit: &UnitName, active: &'static str) {
        self.runs.entry(unit.clone()).or_default().active = active;
        self.send(Event::Changed(Some(vec![unit.clone()])));
    }

    pub fn is_running(&self, unit: &UnitName) -> bool {
        self.runs.get(unit).is_some_and(|run| run.active == "active")
    }

    pub fn states(&self, unit: &UnitName) -> UnitStates {
        let linked = self.files.get(unit).is_some_and(|(_, linked)| *linked)
            || self.foreign.contains(unit)
            || self.copies.contains_key(unit);
        let active = self.runs.get(unit).map_or("", |run| run.active);
        let load = match self.unloadable.get(unit).copied() {
            Some(word) if linked || word == "masked" => word,
            _ if linked => "loaded",
            _ => "not-found",
        };
        UnitStates {
            load: load.to_owned(),
            active: if active.is_empty() { "inactive" } else { active }.to_owned(),
            sub: String::new(),
        }
    }

    /// How many effects of the trace begin with `word`.
    pub fn count(&self, word: &str) -> usize {
        self.trace.iter().filter(|effect| effect.split(' ').next() == Some(word)).count()
    }

    /// Where `effect` is in the trace.
    #[track_caller]
    pub fn position(&self, effect: &str) -> usize {
        let found = self.trace.iter().position(|it| it.starts_with(effect));
        found.unwrap_or_else(|| panic!("no `{effect}` in {:#?}", self.trace))
    }

    pub fn last_report(&self) -> &Report {
        &self.reports.last().expect("a report was published").1
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(held) => self.held = Held::decode(&held.encode()).unwrap(),
            Effect::Fetch(hash) => {
                if let Some(texts) = self.texts.as_ref().filter(|_| !self.slow_texts.contains(&hash)) {
                    let text = texts.get(&hash).cloned();
                    let why = "is not in the store".to_owned();
                    let answer = text.map_or(Event::NoText { hash, why }, |text| Event::Text { hash, text });
                    self.queue.push_back(answer);
                }
            }
            Effect::ChangeFiles(ops) => {
                let bad = |op: &FileOp| self.bad_installs.contains(op.unit()) && !matches!(op, FileOp::Remove { .. });
                let bad = ops.iter().filter(|op| bad(op)).map(|op| (op.unit().clone(), "bad [Install]".to_owned()));
                let not_enabled = bad.collect();
                let failed = ops.into_iter().filter_map(|op| self.change_file(op)).collect();
                self.queue.push_back(Event::FilesChanged(FileResults { failed, not_enabled }));
            }
            Effect::Start(unit) => self.start(unit),
            Effect::Stop(unit) => self.stop(unit),
            Effect::Observe { token, units } => {
                let observe = |unit: UnitName| Observation { states: self.states(&unit), unit, since_unix_ms: None };
                let units = units.into_iter().map(observe).collect();
                self.queue.push_back(Event::Observed { token, units });
            }
            Effect::Publish(report) => self.reports.push((self.now, report)),
            Effect::Kill(unit) => self.kill(unit),
            Effect::Guard(guarded) => {
                self.guarded = guarded;
                self.queue.push_back(Event::GuardTold { at: self.now });
            }
            Effect::Refused(_) | Effect::Alarm(_) => {}
        }
    }

    fn change_file(&mut self, op: FileOp) -> Option<(UnitName, String)> {
        let unit = op.unit().clone();
        assert!(!self.foreign.contains(&unit), "{unit} is not Flota's to touch");
        if self.broken_files.contains(&unit) {
            return Some((unit, "disk is full".to_owned()));
        }
        match op {
            FileOp::Install { unit, text } => {
                let hash = UnitFile::parse(&text).unwrap().hash();
                let in_use = self.is_running(&unit) && unit.kind() != UnitKind::Slice;
                assert!(!in_use || self.copies.remove(&unit) == Some(hash), "{unit}: its file changed under it");
                self.files.insert(unit, (hash, true));
            }
            FileOp::Link { unit } => self.files.get_mut(&unit).expect("linked file exists").1 = true,
            FileOp::Remove { unit } => {
                let in_use = self.is_running(&unit) && unit.kind() != UnitKind::Slice;
                assert!(!in_use, "{unit}: removed while it runs");
                self.files.remove(&unit);
            }
        }
        None
    }

    fn start(&mut self, unit: UnitName) {
        if let Some(word) = self.unloadable.get(&unit) {
            let why = format!("unit is {word}");
            return self.queue.push_back(Event::Started(unit, JobResult::Failed(why)));
        }
        assert!(self.states(&unit).load == "loaded" && !self.foreign.contains(&unit), "{unit} cannot be started");
        assert!(!self.is_running(&unit), "{unit} runs already");
        let service = format!("{}.service", unit.stem());
        let taken = unit.kind() == UnitKind::Socket && self.is_running(&service.parse().unwrap());
        let run = self.runs.entry(unit.clone()).or_default();
        run.starts += 1;
        if self.hanging.contains(&unit) {
            run.active = "activating";
            return;
        }
        let broken = taken || self.broken_starts.contains(&unit);
        run.active = if broken { "failed" } else { "active" };
        let result = if broken { JobResult::Failed("exit status 1".to_owned()) } else { JobResult::Done };
        self.queue.push_back(Event::Started(unit, result));
    }

    /// Somebody else stopped the unit; the daemon hears of it when it runs again.
    pub fn ended(&mut self, unit: &UnitName) {
        let Some(run) = self.runs.get_mut(unit) else { return };
        let job = match std::mem::replace(&mut run.active, "inactive") {
            "deactivating" => Event::Stopped(unit.clone(), JobResult::Done),
            "activating" => Event::Started(unit.clone(), JobResult::Failed("job was cancelled".to_owned())),
            "active" => Event::Changed(Some(vec![unit.clone()])),
            _ => return,
        };
        self.hanging.remove(unit);
        self.queue.push_back(job);
    }

    /// All processes of a unit are gone; a stop that waited for that has ended.
    pub fn kill(&mut self, unit: UnitName) {
        let Some(run) = self.runs.get_mut(&unit).filter(|run| !run.active.is_empty()) else { return };
        if run.active == "deactivating" {
            run.active = "inactive";
            self.queue.push_back(Event::Stopped(unit, JobResult::Done));
        } else if matches!(run.active, "active" | "activating") {
            run.active = "failed";
            self.queue.push_back(Event::Changed(Some(vec![unit])));
        }
    }

    fn stop(&mut self, unit: UnitName) {
        assert!(!self.foreign.contains(&unit), "{unit} is not Flota's to stop");
        let order = self.held.schedule.as_ref().and_then(|schedule| schedule.units.get(&unit));
        let installed = self.files.get(&unit).map(|(hash, _)| *hash);
        let as_wanted =
            order.is_some_and(|it| it.target == TargetState::Launched && Some(it.hash) == installed && !it.exclusive);
        assert!(!as_wanted, "promise P1: {unit} runs as the schedule on the disk wants it");
        if self.broken_stops.contains(&unit) {
            self.queue.push_back(Event::Stopped(unit, JobResult::Failed("stop refused".to_owned())));
            return;
        }
        let run = self.runs.entry(unit.clone()).or_default();
        run.stops += 1;
        if self.stubborn.contains(&unit) {
            run.active = "deactivating";
            return;
        }
        run.active = "inactive";
        if self.hanging.remove(&unit) {
            self.queue.push_back(Event::Started(unit.clone(), JobResult::Failed("job was cancelled".to_owned())));
        }
        self.queue.push_back(Event::Stopped(unit, JobResult::Done));
    }
}

/// One word for the kind of effect, then what it is about.
fn describe(effect: &Effect) -> String {
    let list = |units: &[UnitName]| units.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match effect {
        Effect::Persist(held) => {
            format!("persist {}", held.schedule.as_ref().map_or(0, |schedule| schedule.generation.0))
        }
        Effect::Fetch(hash) => format!("fetch {}", hash.short()),
        Effect::ChangeFiles(ops) => {
            let word = |op: &FileOp| match op {
                FileOp::Install { unit, .. } => format!("install:{unit}"),
                FileOp::Link { unit } => format!("link:{unit}"),
                FileOp::Remove { unit } => format!("remove:{unit}"),
            };
            format!("files {}", ops.iter().map(word).collect::<Vec<_>>().join(","))
        }
        Effect::Start(unit) => format!("start {unit}"),
        Effect::Stop(unit) => format!("stop {unit}"),
        Effect::Observe { units, .. } => format!("observe {}", list(units)),
        Effect::Publish(report) => format!("publish {}", report.generation.0),
        Effect::Refused(why) => format!("refused {why}"),
        Effect::Alarm(what) => format!("alarm {what}"),
        Effect::Kill(unit) => format!("kill {unit}"),
        Effect::Guard(guarded) => {
            let units: Vec<UnitName> = guarded.iter().flat_map(|guarded| guarded.units.clone()).collect();
            format!("guard {}", list(&units))
        }
    }
}
