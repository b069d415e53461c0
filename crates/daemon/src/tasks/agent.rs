//! Feeds the agent: schedules, texts and unit states in; files, jobs and reports out.

use std::collections::BTreeSet;
use std::time::Duration;

use flota_agent::{Agent, Effect, Event, FileOp, Held, Observation, Token};
use flota_etcd::Committed;
use flota_registry::{Key, KeyValue, MachineId, Millis, Report, UnitStates, publish_report};
use flota_systemd::{Signals, Systemd};
use flota_unit::{UnitHash, UnitName};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::guard::{Guard, keep_guard};
use super::registrations::{Connect, system_bus};
use super::{Clock, gather, machine};
use crate::disk::AgentDir;
use crate::session::LinkWatch;

/// How often a text is asked for before the agent has to ask anew.
const MAX_FETCH_TRIES: u32 = 60;
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// How long a refused report waits.
const REPORT_WAIT: Duration = Duration::from_millis(500);
/// Most questions about unit states that wait for systemd.
const MAX_QUESTIONS: usize = 1024;
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// The systemd of this machine as it comes and goes.
type SystemdWatch = watch::Receiver<Option<Systemd>>;
type Question = (Token, Vec<UnitName>);

/// The task.
pub struct AgentTask {
    pub agent: Agent,
    pub me: MachineId,
    pub dir: AgentDir,
    pub link: LinkWatch,
    pub clock: Clock,
    /// Where results come back to the agent.
    pub events: mpsc::Sender<Event>,
    /// The generation held, for others to read.
    pub generation: watch::Sender<u64>,
    /// What it keeps on the disk, for others to read.
    pub held: watch::Sender<Held>,
    pub guard: Guard,
    pub connect: Connect,
}

/// The ends of the task's helpers.
struct Helpers {
    systemd: SystemdWatch,
    questions: mpsc::Sender<Question>,
    report: watch::Sender<Option<Report>>,
    /// Whether a guard has to run.
    guarded: watch::Sender<bool>,
    calls: TaskTracker,
    /// Batches of file changes under way.
    files: TaskTracker,
}

impl AgentTask {
    /// Runs until `shutdown`. Jobs under way go on without it: they are systemd's.
    pub async fn run(mut self, boot: Event, mut inbox: mpsc::Receiver<Event>, shutdown: CancellationToken) {
        let connect = std::mem::replace(&mut self.connect, system_bus());
        let helpers = self.start_helpers(connect);
        // The agent's own now: what fell due while its effects were carried out is a deadline passed, not a lost one.
        let mut now = self.take(boot, &helpers).await;
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => break,
                event = inbox.recv() => match event {
                    Some(event) => event,
                    None => break,
                },
                () = self.clock.wait_until(self.agent.deadline(now)) => Event::Tick,
            };
            now = self.take(event, &helpers).await;
        }
        // Whoever comes after the agent finds its folder as no batch leaves it half-done.
        helpers.files.close();
        helpers.files.wait().await;
    }

    fn start_helpers(&self, connect: Connect) -> Helpers {
        let (calls, files) = (TaskTracker::new(), TaskTracker::new());
        let (systemd_out, systemd) = watch::channel(None);
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        let (report, reports) = watch::channel(None);
        let (guarded, wanted) = watch::channel(false);
        calls.spawn(hold_systemd(connect, systemd_out, self.events.clone()));
        calls.spawn(observe(systemd.clone(), asked, self.events.clone()));
        calls.spawn(publish(self.me.clone(), self.link.clone(), reports));
        calls.spawn(keep_guard(self.guard.clone(), systemd.clone(), wanted));
        Helpers { systemd, questions, report, guarded, calls, files }
    }

    /// Hands an event to the agent and carries out what follows; returns the time that the agent was told.
    async fn take(&mut self, event: Event, helpers: &Helpers) -> Millis {
        let now = self.clock.now();
        for effect in self.agent.handle(now, event) {
            self.carry_out(effect, helpers).await;
        }
        self.generation.send_replace(self.agent.generation().0);
        now
    }

    async fn carry_out(&self, effect: Effect, helpers: &Helpers) {
        let events = self.events.clone();
        match effect {
            Effect::Persist(held) => self.persist(held).await,
            Effect::Refused(why) => error!("{why}"),
            Effect::Alarm(what) => warn!("{what}"),
            Effect::Guard(guarded) => {
                // Before the guard is told that there is no need for it any more it has to be left alone.
                helpers.guarded.send_replace(guarded.is_some());
                self.guard.tell(guarded).await;
                let at = self.clock.now();
                helpers.calls.spawn(async move { events.send(Event::GuardTold { at }).await });
            }
            Effect::Kill(unit) => {
                warn!("{unit}: killing");
                let systemd = helpers.systemd.clone();
                helpers.calls.spawn(async move { machine::kill(systemd, &unit).await });
            }
            Effect::Fetch(hash) => drop(helpers.calls.spawn(fetch(self.link.clone(), hash, events))),
            Effect::Publish(report) => drop(helpers.report.send_replace(Some(report))),
            Effect::Observe { token, units } => {
                if helpers.questions.try_send((token, units)).is_err() {
                    // So many questions wait that each of them will be answered with the newest state.
                    warn!("systemd is slow to answer; a question about unit states was dropped");
                    drop(events.try_send(Event::Changed(None)));
                }
            }
            Effect::ChangeFiles(ops) => {
                let (systemd, dir) = (helpers.systemd.clone(), self.dir.clone());
                helpers.files.spawn(async move {
                    ops.iter().for_each(log_op);
                    let results = machine::change_files(systemd, dir, ops).await;
                    results.failed.iter().for_each(|(unit, why)| error!("{unit}: {why}"));
                    results.not_enabled.iter().for_each(|(unit, why)| warn!("{unit}: {why}"));
                    let _ = events.send(Event::FilesChanged(results)).await;
                });
            }
            Effect::Start(unit) => {
                info!("{unit}: starting");
                let systemd = helpers.systemd.clone();
                helpers.calls.spawn(async move {
                    let result = machine::start(systemd, &unit).await;
                    let _ = events.send(Event::Started(unit, result)).await;
                });
            }
            Effect::Stop(unit) => {
                info!("{unit}: stopping");
                let systemd = helpers.systemd.clone();
                helpers.calls.spawn(async move {
                    let result = machine::stop(systemd, &unit).await;
                    let _ = events.send(Event::Stopped(unit, result)).await;
                });
            }
        }
    }

    /// Writes the agent's memory before anything else happens. When the disk refuses, the schedule is still acted
    /// on: of two evils, a machine that could not boot alone is smaller than one that does not follow.
    async fn persist(&self, held: Held) {
        self.held.send_replace(held.clone());
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || dir.write_held(&held)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(why)) => error!(
                "cannot keep this machine's schedule on its disk, a reboot without the store would miss it: {why}"
            ),
            Err(why) => error!("cannot keep this machine's schedule on its disk: {why}"),
        }
    }
}

fn log_op(op: &FileOp) {
    let unit = op.unit();
    match op {
        FileOp::Install { .. } => info!("{unit}: installing its unit file"),
        FileOp::Link { .. } => info!("{unit}: linking its unit file"),
        FileOp::Remove { .. } => info!("{unit}: removing its unit file"),
    }
}

/// Connects to systemd, again whenever the bus breaks, and passes its signals on.
async fn hold_systemd(connect: Connect, out: watch::Sender<Option<Systemd>>, events: mpsc::Sender<Event>) {
    let mut wait = RECONNECT_FIRST;
    loop {
        match connect().await {
            Ok((systemd, signals)) => {
                wait = RECONNECT_FIRST;
                out.send_replace(Some(systemd));
                // Whatever happened in between is unknown: ask for everything.
                if events.send(Event::Changed(None)).await.is_err() {
                    return;
                }
                pass_on(signals, &events).await;
                out.send_replace(None);
                warn!("the connection to systemd broke; connecting again");
            }
            Err(error) => error!("{error:#}; trying again"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RECONNECT_MAX);
    }
}

/// Passes signals on, a burst of them as one event, until the connection ends.
async fn pass_on(mut signals: Signals, events: &mpsc::Sender<Event>) {
    while let Some(first) = signals.recv().await {
        let names = gather(first, &mut signals);
        if names.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        if events.send(Event::Changed(names)).await.is_err() {
            return;
        }
    }
}

/// Answers questions about unit states one after the other, so that no answer overtakes a newer one. What was asked
/// while systemd was busy is one question then, the newest: what stopped during a daemon-reload is known at once.
async fn observe(mut systemd: SystemdWatch, mut asked: mpsc::Receiver<Question>, events: mpsc::Sender<Event>) {
    while let Some((mut token, units)) = asked.recv().await {
        let Some(handle) = machine::connected(&mut systemd).await else { return };
        let mut units = BTreeSet::from_iter(units);
        while let Ok((newer, more)) = asked.try_recv() {
            token = newer;
            units.extend(more);
        }
        let names: Vec<String> = units.iter().map(ToString::to_string).collect();
        let states = match handle.states(&names).await {
            Ok(states) => states,
            Err(error) => {
                // The connection is about to be replaced, and everything asked for anew.
                warn!("unit states: {error:#}");
                continue;
            }
        };
        let units = units.into_iter().zip(states).map(|(unit, state)| Observation {
            unit,
            states: UnitStates { load: state.load, active: state.active, sub: state.sub },
            since_unix_ms: state.since,
        });
        if events.send(Event::Observed { token, units: units.collect() }).await.is_err() {
            return;
        }
    }
}

/// Fetches a text from the store and hands it to the agent, or the news that there is none to be had.
async fn fetch(mut link: LinkWatch, hash: UnitHash, events: mpsc::Sender<Event>) {
    let mut answer = Event::NoText { hash, why: "cannot be read from the store".to_owned() };
    for _ in 0..MAX_FETCH_TRIES {
        let client = match link.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(link)) => link.client.clone(),
            _ => return,
        };
        match client.get(&Key::File(hash).to_string()).await {
            Ok((_, pair)) => {
                answer = fetched(hash, pair.as_ref());
                break;
            }
            Err(why) => warn!("unit file text {hash}: {why}"),
        }
        tokio::time::sleep(FETCH_WAIT).await;
    }
    if let Event::NoText { why, .. } = &answer {
        error!("unit file text {hash} {why}");
    }
    let _ = events.send(answer).await;
}

fn fetched(hash: UnitHash, pair: Option<&KeyValue>) -> Event {
    match pair.map(flota_registry::file_text) {
        Some(Ok(text)) => Event::Text { hash, text },
        Some(Err(why)) => Event::NoText { hash, why: format!("cannot be read: {why}") },
        None => Event::NoText { hash, why: "is not in the store".to_owned() },
    }
}

/// Publishes the newest report; one that was overtaken while the store was slow is never sent.
async fn publish(me: MachineId, mut link: LinkWatch, mut reports: watch::Receiver<Option<Report>>) {
    while reports.changed().await.is_ok() {
        loop {
            let (client, lease) = match link.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(link)) => (link.client.clone(), link.lease),
                _ => return,
            };
            let Some(report) = reports.borrow_and_update().clone() else { break };
            match client.commit(&publish_report(&me, &report, lease)).await {
                Ok(Committed::Yes(_) | Committed::No) => break,
                Err(why) => warn!("report: {why}"),
            }
            tokio::time::sleep(REPORT_WAIT).await;
        }
    }
}

/// The agent's first event, from what the disk holds.
pub fn boot(dir: &AgentDir, boot_id: String) -> anyhow::Result<Event> {
    let installed = dir.installed()?;
    let held = dir.read_held()?;
    let units = held.schedule.as_ref().map_or(0, |schedule| schedule.units.len());
    let generation = held.schedule.as_ref().map_or(0, |schedule| schedule.generation.0);
    info!(
        "this machine holds schedule generation {generation} with {units} units; {} unit files are here",
        installed.len()
    );
    Ok(Event::Boot { held, boot_id, installed, copies: dir.copies()? })
}

#[cfg(test)]
mod tests {
    use flota_agent::Installed;
    use flota_systemd::fake::FakeSystemd;

    use super::*;

    /// Three questions of an agent, about these units.
    fn questions() -> Vec<Question> {
        let named = |units: &str| -> Vec<UnitName> { units.split(' ').map(|unit| unit.parse().unwrap()).collect() };
        let hash = flota_unit::UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap().hash();
        let installed = named("a.service b.service c.service");
        let installed = installed.into_iter().map(|unit| (unit, Installed { hash, linked: true })).collect();
        let mut agent = Agent::new();
        drop(agent.handle(
            Millis(1),
            Event::Boot { held: Held::default(), boot_id: "b".to_owned(), installed, copies: [].into() },
        ));
        let asked = ["b.service a.service", "c.service", "a.service"]
            .into_iter()
            .flat_map(|units| agent.handle(Millis(1), Event::Changed(Some(named(units)))));
        let question = |effect| match effect {
            Effect::Observe { token, units } => Some((token, units)),
            _ => None,
        };
        asked.filter_map(question).collect()
    }

    #[tokio::test]
    async fn questions_that_waited_for_systemd_are_one_with_the_newest_token() {
        let (asking, asked) = mpsc::channel(MAX_QUESTIONS);
        let mut newest = None;
        for question in questions() {
            newest = Some(question.0);
            asking.try_send(question).unwrap();
        }
        drop(asking);
        let (systemd_out, systemd) = watch::channel(None);
        let (events, mut told) = mpsc::channel(1);
        let task = tokio::spawn(observe(systemd, asked, events));
        let (connected, _signals) = Systemd::connect_to(FakeSystemd::default().connect().await.unwrap()).await.unwrap();
        systemd_out.send_replace(Some(connected));

        let Some(Event::Observed { token, units }) = told.recv().await else { panic!() };
        let units: Vec<_> = units.iter().map(|it| it.unit.as_str()).collect();
        assert_eq!((Some(token), units), (newest, vec!["a.service", "b.service", "c.service"]));
        assert!(told.recv().await.is_none());
        task.await.unwrap();
    }
}
