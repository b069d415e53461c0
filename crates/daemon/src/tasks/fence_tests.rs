//! The agent's task between a fake systemd and no store at all: what it does with exclusive units, and tells the guard.

use std::time::Duration;

use flota_agent::{Agent, Event, Held, Installed};
use flota_registry::{Generation, Millis, Schedule, ScheduledUnit, TargetState};
use flota_systemd::Systemd;
use flota_systemd::fake::FakeSystemd;
use flota_unit::UnitFile;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::agent::AgentTask;
use super::guard::Guard;
use super::{Clock, MAX_QUEUED_EVENTS};
use crate::disk::{AgentDir, DataDir};
use crate::guard::GuardFile;

const LONE: &str = "lone.service";
const TEXT: &str = "[Service]\nExecStart=/bin/sleep 1000\n";
/// Stopped after 1.2 s, killed after 1.8 s.
const LEASE: Millis = Millis(2_000);
/// Every wait of a test ends with this.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon's agent on a machine that has one exclusive unit.
struct Rig {
    fake: FakeSystemd,
    events: mpsc::Sender<Event>,
    file: GuardFile,
    shutdown: CancellationToken,
    _data: DataDir,
    _dir: TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Rig {
    async fn start() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let agent_dir = AgentDir::new(dir.path(), &dir.path().join("run"));
        let fake = FakeSystemd::default();
        agent_dir.write_unit(&LONE.parse().unwrap(), TEXT).unwrap();
        let (systemd, _signals) = Systemd::connect_to(fake.connect().await.unwrap()).await.unwrap();
        systemd.link(&[agent_dir.unit_path(&LONE.parse().unwrap())]).await.unwrap();

        let (events, inbox) = mpsc::channel(MAX_QUEUED_EVENTS);
        let file = GuardFile::in_folder(dir.path());
        let theirs = fake.clone();
        let task = AgentTask {
            agent: Agent::fencing(LEASE, None),
            me: "00000000000000000000000000000001".parse().unwrap(),
            dir: agent_dir,
            link: watch::channel(None).1,
            clock: Clock,
            events: events.clone(),
            generation: watch::channel(0).0,
            held: watch::Sender::new(Held::default()),
            guard: Guard::new(file.clone(), "/usr/bin/flota".into()),
            connect: Box::new(move || {
                let fake = theirs.clone();
                Box::pin(async move { Systemd::connect_to(fake.connect().await.unwrap()).await })
            }),
        };
        let shutdown = CancellationToken::new();
        tokio::spawn(task.run(boot(), inbox, shutdown.clone()));
        Rig { fake, events, file, shutdown, _data: data, _dir: dir }
    }

    /// The store answers a renewal that was sent just now; returns when.
    async fn renew(&self) -> Millis {
        let sent = Clock.now();
        self.events.send(Event::LeaseRenewed { sent }).await.unwrap();
        sent
    }

    async fn until(&self, what: &str, holds: impl Fn(&FakeSystemd) -> bool) -> Millis {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds(&self.fake) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("not in time: {what}; {:?}", self.fake.calls()));
        Clock.now()
    }

    fn count(&self, call: &str) -> usize {
        self.fake.calls().iter().filter(|it| *it == call).count()
    }
}

fn boot() -> Event {
    let hash = UnitFile::parse(TEXT).unwrap().hash();
    let unit = ScheduledUnit { hash, target: TargetState::Launched, cause: "test".to_owned(), exclusive: true };
    let schedule = Schedule {
        cluster: "00000000000000000000000000000001".parse().unwrap(),
        generation: Generation(1),
        units: [(LONE.parse().unwrap(), unit)].into(),
    };
    let held = Held { schedule: Some(schedule), boot_id: "b".to_owned(), ..Held::default() };
    let installed = [(LONE.parse().unwrap(), Installed { hash, linked: true })].into();
    Event::Boot { held, boot_id: "b".to_owned(), installed, copies: [].into() }
}

#[tokio::test]
async fn an_exclusive_unit_that_does_not_stop_is_killed_before_the_lease_can_end_and_starts_with_the_next() {
    let rig = Rig::start().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(rig.fake.active().is_empty(), "there is no lease yet");

    let sent = rig.renew().await;
    let up = |fake: &FakeSystemd| fake.active().contains_key(LONE);
    rig.until("it starts", up).await;
    let guarded = rig.file.read().unwrap().expect("the guard is told before the start");
    assert_eq!((guarded.term.sent, guarded.units.len()), (sent, 1));
    rig.until("the guard runs", |fake| fake.active().contains_key("flota-fence.service")).await;

    rig.fake.does_not_stop(LONE);
    let stopped = rig.until("it is stopped", |fake| fake.calls().contains(&format!("stop {LONE}"))).await;
    assert!(stopped >= sent.plus(Millis(1_200)), "stopped after {} ms", stopped.since(sent).0);
    let killed = rig.until("it is killed", |fake| fake.calls().contains(&format!("kill {LONE}"))).await;
    assert!(killed >= sent.plus(Millis(1_800)), "killed after {} ms", killed.since(sent).0);
    assert!(killed < sent.plus(LEASE), "killed after {} ms", killed.since(sent).0);

    rig.until("it is down", |fake| !up(fake)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.count(&format!("start {LONE}")), 1);
    rig.renew().await;
    rig.until("it starts again", up).await;
}

#[tokio::test]
async fn while_renewals_come_an_exclusive_unit_runs_and_its_guard_is_kept_told() {
    let rig = Rig::start().await;
    for _ in 0..6 {
        let sent = rig.renew().await;
        rig.until("the guard knows", |_| rig.file.read().unwrap().is_some_and(|it| it.term.sent == sent)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!((rig.count(&format!("start {LONE}")), rig.count(&format!("stop {LONE}"))), (1, 0));
    assert_eq!(rig.count("transient flota-fence.service"), 1);
}
