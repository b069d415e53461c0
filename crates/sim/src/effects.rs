//! Carries out what the engine and the agent ask for.

use flota_engine::Reach;
use flota_registry::{MachineId, Millis, Report};
use flota_unit::UnitHash;

use crate::call::Call;
use crate::daemon::{Daemon, Purpose, Watch};
use crate::host::Job;
use crate::world::{Action, Origin, World};

/// Longest time of a change of files.
const SLOWEST_FILES: u64 = 300;
/// Longest time of an answer at a peer port.
const LATEST_ANSWER: u64 = 50;
/// When whoever asks at a peer port gives up.
const GIVES_UP: Millis = Millis(1_500);
/// Longest time of a question to systemd.
const SLOWEST_LOOK: u64 = 5;
/// Longest time that killed processes take to be gone.
const SLOWEST_KILL: u64 = 20;

impl World {
    pub(crate) fn tell_engine(&mut self, to: &Origin, event: flota_engine::Event) {
        let now = self.now;
        let Some(daemon) = self.daemon(to) else { return };
        let led = daemon.engine.is_leader();
        let effects = daemon.engine.handle(now, event);
        let leads = daemon.engine.is_leader();
        if led != leads {
            self.note(format!("{} {}", to.machine.short(), if leads { "leads" } else { "does not lead any more" }));
        }
        for effect in effects {
            self.do_for_engine(to, effect);
        }
        self.wind_clock(to);
    }

    fn do_for_engine(&mut self, to: &Origin, effect: flota_engine::Effect) {
        use flota_engine::Effect;
        let doubtful = self.doubtful;
        let Some(daemon) = self.daemon(to) else { return };
        match effect {
            Effect::DropCluster => {
                daemon.feed = None;
                daemon.delivering.remove(&Watch::Cluster);
            }
            Effect::Record(decisions) => {
                for decision in decisions {
                    let short = |id: &Option<flota_registry::MachineId>| {
                        id.as_ref().map_or("nowhere".to_owned(), |id| id.short().to_owned())
                    };
                    let (from, to) = (short(&decision.from), short(&decision.to));
                    self.note(format!("{} from {from} to {to}: {}", decision.unit, decision.cause));
                }
            }
            Effect::Probe { machine, through, .. } => self.probe(to, machine, through.map(|(other, _)| other)),
            Effect::RecordUnplaced(units) => self.note(format!("unplaced: {units:?}")),
            Effect::RecordNote(note) => self.note(note),
            Effect::RecordFrozen(why) if doubtful => self.note(format!("{} stands still: {why}", to.machine.short())),
            Effect::RecordFrozen(why) => self.violate(format!("the engine stands still: {why}")),
            // Without a session there is no way to the store; the engine is about to hear of it.
            _ if !daemon.linked => {}
            Effect::LoadCluster => self.start_feed(to),
            Effect::Campaign(txn) => self.call(to, Purpose::Campaign, Call::Campaign(txn)),
            Effect::Commit { ticket, txn } => {
                let seen = daemon.feed.and_then(|feed| feed.next).map_or(0, |next| next - 1);
                self.call(to, Purpose::Commit(ticket), Call::Commit { txn, seen });
            }
        }
    }

    /// Somebody tries to reach a machine, and says what came of it.
    fn probe(&mut self, to: &Origin, machine: MachineId, through: Option<MachineId>) {
        let reachable = |id: &MachineId| self.machines.get(id).is_some_and(|it| it.link.is_whole() && it.host.powered);
        let has_daemon = |id: &MachineId| self.machines.get(id).is_some_and(|it| it.daemon.is_some());
        let witness = through.as_ref().unwrap_or(&to.machine);
        let seen = reachable(&machine) && reachable(witness) && has_daemon(witness);
        let found = match (seen, has_daemon(&machine)) {
            (true, true) => Reach::Alive,
            (true, false) => Reach::NoDaemon,
            (false, _) => Reach::Silent,
        };
        let span = if seen { Millis(self.random.u64(1..=LATEST_ANSWER)) } else { GIVES_UP };
        self.after(span, Action::Probed { to: to.clone(), machine, through, found });
    }

    pub(crate) fn tell_agent(&mut self, to: &Origin, event: flota_agent::Event) {
        let now = self.now;
        let Some(daemon) = self.daemon(to) else { return };
        let effects = daemon.agent.handle(now, event);
        for effect in effects {
            self.do_for_agent(to, effect);
        }
        self.wind_clock(to);
    }

    fn do_for_agent(&mut self, to: &Origin, effect: flota_agent::Effect) {
        use flota_agent::Effect;
        match effect {
            Effect::Persist(held) => {
                if let Some(machine) = self.machine(&to.machine) {
                    machine.host.persist(&held);
                }
            }
            Effect::Fetch(hash) => self.fetch(to, hash),
            Effect::Publish(report) => self.take_report(to, report),
            Effect::ChangeFiles(ops) => self.job(to, Job::Files(ops), SLOWEST_FILES),
            Effect::Start(unit) => {
                self.note(format!("{} starts {unit}", to.machine.short()));
                self.unit_job(&to.machine, to.epoch, &unit, true);
            }
            Effect::Stop(unit) => {
                self.note(format!("{} stops {unit}", to.machine.short()));
                let wanted = self.machine(&to.machine).and_then(|machine| machine.host.wants_on(&unit));
                self.check(wanted.map(|why| format!("P1: {} stops a healthy unit: {why}", to.machine.short())));
                self.unit_job(&to.machine, to.epoch, &unit, false);
            }
            Effect::Observe { token, units } => self.job(to, Job::Observe { token, units }, SLOWEST_LOOK),
            Effect::Refused(why) | Effect::Alarm(why) => self.note(format!("{} {why}", to.machine.short())),
            Effect::Kill(unit) => {
                self.note(format!("{} kills {unit}", to.machine.short()));
                self.job(to, Job::Kill(unit), SLOWEST_KILL);
            }
            Effect::Guard(guarded) => self.tell_guard(to, guarded),
        }
    }

    /// Asks the store for a text; without a session a little later.
    pub(crate) fn fetch(&mut self, to: &Origin, hash: UnitHash) {
        let Some(daemon) = self.daemon(to) else { return };
        if daemon.link().is_none() {
            self.after(Millis(500), Action::Refetch { to: to.clone(), hash });
        } else if daemon.texts.insert(hash) {
            self.call(to, Purpose::Text(hash), Call::Text(hash));
        }
    }

    fn take_report(&mut self, to: &Origin, report: Report) {
        if let Some(daemon) = self.daemon(to) {
            daemon.report = Some(report);
            self.publish(to);
        }
    }

    /// Sends the newest report, one at a time.
    pub(crate) fn publish(&mut self, to: &Origin) {
        let ready = |daemon: &&mut Daemon| daemon.link().is_some() && !daemon.publishing;
        let Some(daemon) = self.daemon(to).filter(ready) else { return };
        let Some(report) = daemon.report.take() else { return };
        daemon.publishing = true;
        self.call(to, Purpose::Publish, Call::Publish(report));
    }

    /// The deadlines that have come.
    pub(crate) fn tick(&mut self, to: &Origin) {
        let now = self.now;
        let Some(daemon) = self.daemon(to).filter(|daemon| daemon.tick_at == Some(now)) else { return };
        daemon.tick_at = None;
        let engine_due = daemon.engine.deadline().is_some_and(|at| at <= now);
        if engine_due {
            self.tell_engine(to, flota_engine::Event::Tick);
        }
        self.tell_agent(to, flota_agent::Event::Tick);
    }

    /// Has the daemon woken at the next deadline of its machines.
    fn wind_clock(&mut self, to: &Origin) {
        let now = self.now;
        let lag = self.lag(&to.machine);
        let Some(daemon) = self.daemon(to) else { return };
        let deadlines = [daemon.engine.deadline(), daemon.agent.deadline(now)];
        let Some(at) = deadlines.into_iter().flatten().min() else { return };
        // A deadline that has passed is handled at the next moment, not at once: a busy loop would stop the clock.
        let at = at.max(now.plus(Millis(1))).plus(lag);
        if daemon.tick_at.is_none_or(|tick| at < tick) {
            daemon.tick_at = Some(at);
            self.after(at.since(now), Action::Tick { to: to.clone() });
        }
    }
}
