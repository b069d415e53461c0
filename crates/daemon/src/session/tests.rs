//! Sessions with a real embedded store: one that forgot, one that is older, another cluster's, and a goodbye.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flota_agent::trust::{Distrust, Doubt, Known, accepted};
use flota_agent::{Held, Leave, Stage};
use flota_etcd::{ClientConfig, Committed, StoreClient};
use flota_registry::{
    Capacity, Cluster, ClusterSnapshot, DesiredState, Generation, LeaseId, Machine, MachineId, Schedule, ScheduledUnit,
    TargetState, Txn, accept_store, campaign, keys, put_back_schedule,
};
use flota_store::{Listen, Store, StoreConfig, StoreError};
use flota_unit::UnitFile;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Link, Session};
use crate::config::PortChoice;
use crate::disk::DataDir;
use crate::leave::Desk;
use crate::tasks::Clock;

const TEXT: &str = "[Service]\nExecStart=/bin/sleep 100\n";
/// Every wait of a test ends with this.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

fn me() -> MachineId {
    "000000000000000000000000000000aa".parse().unwrap()
}

fn cluster(incarnation: u64) -> Cluster {
    Cluster { id: "000000000000000000000000000000cc".parse().unwrap(), created_unix_ms: 1, incarnation }
}

fn known(revision: i64) -> Known {
    Known { cluster: cluster(0).id, incarnation: 0, revision, store: None }
}

fn schedule(generation: u64, units: &[&str]) -> Schedule {
    let hash = UnitFile::parse(TEXT).unwrap().hash();
    let unit = ScheduledUnit { hash, target: TargetState::Launched, cause: "test".to_owned(), exclusive: false };
    let units = units.iter().map(|name| (name.parse().unwrap(), unit.clone())).collect();
    Schedule { cluster: cluster(0).id, generation: Generation(generation), units }
}

/// A store, and the one session with it.
struct Rig {
    store: StoreClient,
    link: watch::Receiver<Option<Link>>,
    distrust: watch::Receiver<Option<Distrust>>,
    engine: mpsc::Receiver<flota_engine::Event>,
    agent: mpsc::Receiver<flota_agent::Event>,
    goodbye: CancellationToken,
    orders: mpsc::Receiver<Leave>,
    session: Option<JoinHandle<()>>,
    stop: CancellationToken,
    served: Option<Served>,
    data: DataDir,
    folder: TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Rig {
    /// An empty store, and a machine that remembers and holds this, with the unit files of what it holds.
    async fn start(known: Option<Known>, held: Option<Schedule>, prepare: &[Txn]) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let (store, served) = serve(folder.path(), &stop).await;
        for txn in prepare {
            assert!(matches!(store.commit(txn).await.unwrap(), Committed::Yes(_)));
        }
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        for name in held.iter().flat_map(|held| held.units.keys()) {
            data.agent().write_unit(name, TEXT).unwrap();
        }
        let (link_out, link) = watch::channel(None);
        let (distrust_out, distrust) = watch::channel(None);
        let (engine_in, engine) = mpsc::channel(64);
        let (agent_in, agent) = mpsc::channel(64);
        let goodbye = CancellationToken::new();
        let (desk, orders) = Desk::new(data.agent(), false, "b".to_owned());
        let machine = Machine {
            address: "10.0.0.1".to_owned(),
            metadata: BTreeMap::new(),
            capacity: Capacity::default(),
            version: "0".to_owned(),
            boot_id: "b".to_owned(),
            frozen: None,
        };
        let session = Session {
            client: store.clone(),
            me: me(),
            machine: watch::Sender::new(machine).subscribe(),
            peer: PortChoice::Off,
            ttl: Duration::from_secs(5),
            clock: Clock,
            known,
            held: watch::Sender::new(Held { schedule: held, ..Held::default() }).subscribe(),
            dir: data.agent(),
            distrust: distrust_out,
            link: link_out,
            leader: watch::Sender::new(None),
            engine: engine_in,
            agent: agent_in,
            goodbye: goodbye.clone(),
            desk,
        };
        let session = Some(tokio::spawn(session.run(stop.clone())));
        Rig { store, link, distrust, engine, agent, goodbye, orders, session, stop, served: Some(served), data, folder }
    }

    async fn cluster(&self) -> ClusterSnapshot {
        let (revision, pairs) = self.store.range(keys::PREFIX).await.unwrap();
        ClusterSnapshot::from_range(revision, pairs)
    }

    async fn freezes(&mut self) -> Distrust {
        soon(self.distrust.wait_for(Option::is_some)).await.unwrap().clone().unwrap()
    }

    async fn linked(&mut self) -> LeaseId {
        soon(self.link.wait_for(Option::is_some)).await.unwrap().as_ref().unwrap().lease
    }

    /// What `flota store accept` writes.
    async fn accept(&self, why: &Distrust) {
        let snapshot = self.cluster().await;
        let record = snapshot.cluster();
        let next = accepted(&why.known, record.map(|entry| &entry.value), 1);
        let txn = accept_store(&next, record.map(|entry| entry.mod_revision));
        assert!(matches!(self.store.commit(&txn).await.unwrap(), Committed::Yes(_)));
    }

    /// The next event of the agent that is an order, with the store that it was told to believe before.
    async fn ordered(&mut self) -> (Option<Known>, Schedule) {
        let mut believed = None;
        loop {
            match soon(self.agent.recv()).await.unwrap() {
                flota_agent::Event::Believed(known) => believed = Some(known),
                flota_agent::Event::Schedule(schedule) => return (believed, schedule),
                _ => {}
            }
        }
    }
}

/// A store that is served, and how it is stopped alone.
struct Served(CancellationToken, JoinHandle<Result<(), StoreError>>);

impl Served {
    async fn stop(self) {
        self.0.cancel();
        soon(self.1).await.unwrap().unwrap();
    }
}

async fn serve(folder: &Path, stop: &CancellationToken) -> (StoreClient, Served) {
    let socket = folder.join("store.sock");
    let listen = vec![Listen::Unix(socket.clone())];
    let store = Store::open(StoreConfig::new(folder.join("store"), listen)).await.unwrap();
    let stop = stop.child_token();
    let served = Served(stop.clone(), tokio::spawn(store.serve(stop)));
    let endpoints = vec![format!("unix:{}", socket.display())];
    (StoreClient::new(&ClientConfig { endpoints, tls: None }).await.unwrap(), served)
}

#[tokio::test]
async fn a_new_machine_founds_a_cluster_in_a_new_store_and_belongs_to_it() {
    let mut rig = Rig::start(None, None, &[]).await;
    rig.linked().await;
    let snapshot = rig.cluster().await;
    let id = snapshot.cluster().unwrap().value.id.clone();
    assert_eq!(snapshot.members()[&me()].value.address, "10.0.0.1");
    assert_eq!(snapshot.machines()[&me()].value.frozen, None);
    let flota_agent::Event::Believed(known) = soon(rig.agent.recv()).await.unwrap() else { panic!() };
    assert_eq!(known.cluster, id);
    assert!(known.store.is_some());
}

#[tokio::test]
async fn a_wiped_store_is_told_nothing_until_it_is_accepted_and_then_gets_everything_back() {
    let held = schedule(9, &["a.service", "b.service"]);
    let mut rig = Rig::start(Some(known(50)), Some(held.clone()), &[]).await;
    let why = rig.freezes().await;
    assert_eq!(why.doubt, Doubt::Wiped);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.store.range(keys::PREFIX).await.unwrap().1, [], "not even that it lives");
    assert!(rig.link.borrow().is_none());

    rig.accept(&why).await;
    // Until the others had the time to put back theirs, no leader is to decide.
    soon(async {
        while rig.cluster().await.schedules().get(&me()).is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(rig.cluster().await.machines()[&me()].value.frozen.is_some());
    rig.linked().await;
    let snapshot = rig.cluster().await;
    assert_eq!(snapshot.machines()[&me()].value.frozen, None);
    assert_eq!(snapshot.cluster().unwrap().value.id, cluster(0).id);
    assert_eq!(snapshot.schedules()[&me()].value, held);
    let units: Vec<_> = snapshot.units().iter().map(|(name, it)| (name.as_str(), it.value.desired)).collect();
    assert_eq!(units, [("a.service", DesiredState::Launched), ("b.service", DesiredState::Launched)]);
    assert_eq!(snapshot.files().len(), 1);
    let (believed, offered) = rig.ordered().await;
    assert_eq!((believed.unwrap().incarnation, offered), (1, held));
}

#[tokio::test]
async fn what_is_not_on_this_machine_any_more_is_not_put_back_and_nothing_is_overwritten() {
    let prepare = [accept_store(&cluster(1), None), {
        let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap();
        let unit = flota_registry::DesiredUnit { hash: file.hash(), desired: DesiredState::Inactive };
        flota_registry::put_unit(&"a.service".parse().unwrap(), &unit, &file, None)
    }];
    let held = schedule(9, &["a.service", "gone.service"]);
    let folder = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let (store, _served) = serve(folder.path(), &stop).await;
    for txn in &prepare {
        store.commit(txn).await.unwrap();
    }
    let data = DataDir::open(&folder.path().join("data")).unwrap();
    data.agent().write_unit(&"a.service".parse().unwrap(), TEXT).unwrap();
    super::put_back(&store, &me(), held.clone(), &data.agent()).await.unwrap();

    let (revision, pairs) = store.range(keys::PREFIX).await.unwrap();
    let snapshot = ClusterSnapshot::from_range(revision, pairs);

    assert_eq!(snapshot.units()["a.service"].value.desired, DesiredState::Inactive, "the store's word");
    assert_eq!(snapshot.units().len(), 1);
    let back = &snapshot.schedules()[&me()].value;
    assert_eq!((back.generation, back.units.len()), (Generation(10), 1), "it differs from generation 9");

    super::put_back(&store, &me(), schedule(99, &[]), &data.agent()).await.unwrap();
    let (_, pairs) = store.range(keys::SCHEDULES).await.unwrap();
    assert_eq!(pairs.len(), 1);
    assert!(String::from_utf8_lossy(&pairs[0].value).contains("\"generation\":10"));
    stop.cancel();
}

#[tokio::test]
async fn another_clusters_store_is_told_nothing_at_all() {
    let foreign = Cluster { id: "000000000000000000000000000000ff".parse().unwrap(), ..cluster(7) };
    let mut rig = Rig::start(Some(known(1)), None, &[accept_store(&foreign, None)]).await;
    let why = rig.freezes().await;
    assert_eq!(why.doubt, Doubt::Foreign(foreign.id));
    assert!(!why.is_acceptable());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.store.range(keys::PREFIX).await.unwrap().1.len(), 1);
    assert!(rig.link.borrow().is_none() && rig.engine.try_recv().is_err());
}

#[tokio::test]
async fn an_older_store_is_told_why_its_word_does_not_count_until_it_is_accepted() {
    let older = schedule(4, &["a.service"]);
    let prepare = [accept_store(&cluster(0), None), put_back_schedule(&me(), &older)];
    let mut rig = Rig::start(Some(known(500)), Some(schedule(9, &[])), &prepare).await;
    let why = rig.freezes().await;
    assert!(matches!(why.doubt, Doubt::Older(_)), "{why}");
    rig.linked().await;
    let announced = rig.cluster().await.machines()[&me()].value.frozen.clone().unwrap();
    assert_eq!(announced, why.to_string());
    assert!(matches!(soon(rig.agent.recv()).await, Some(flota_agent::Event::Connected)), "reports go on");
    assert!(rig.agent.try_recv().is_err(), "its schedule is no order");
    assert!(rig.engine.try_recv().is_err(), "and nobody leads from here");

    rig.accept(&why).await;
    let (believed, offered) = rig.ordered().await;
    assert_eq!((believed.unwrap().incarnation, offered), (1, older), "the store's word counts");
    assert!(matches!(soon(rig.engine.recv()).await, Some(flota_engine::Event::Connected { .. })));
    assert_eq!(rig.cluster().await.machines()[&me()].value.frozen, None);
}

#[tokio::test]
async fn a_machine_that_was_removed_while_it_was_away_leaves_and_changes_nothing() {
    let held = schedule(9, &["a.service"]);
    let mut rig = Rig::start(Some(known(1)), Some(held), &[accept_store(&cluster(0), None)]).await;
    let leave = soon(rig.orders.recv()).await.unwrap();
    assert_eq!((leave.stage, leave.cluster), (Stage::Done, Some(cluster(0).id)));
    assert_eq!(leave.kept, ["a.service".parse().unwrap()].into());
    let snapshot = rig.cluster().await;
    assert!(snapshot.machines().is_empty() && snapshot.members().is_empty() && snapshot.schedules().is_empty());
    assert!(rig.agent.try_recv().is_err(), "the agent is told nothing that could stop a unit");
}

#[tokio::test]
async fn a_cluster_record_that_vanishes_under_a_living_session_freezes_it() {
    let mut rig = Rig::start(None, None, &[]).await;
    rig.linked().await;
    let delete = flota_registry::Op::Delete { key: flota_registry::Key::Cluster.to_string() };
    rig.store.commit(&Txn { compares: Vec::new(), ops: vec![delete] }).await.unwrap();
    assert_eq!(rig.freezes().await.doubt, Doubt::Wiped);
    soon(rig.link.wait_for(Option::is_none)).await.unwrap();
    let mut last = None;
    while let Ok(event) = rig.engine.try_recv() {
        last = Some(event);
    }
    assert!(matches!(last, Some(flota_engine::Event::Disconnected)), "{last:?}");
}

#[tokio::test]
async fn a_machine_that_goes_down_says_so_and_leaves_nothing_that_says_it_lives() {
    let mut rig = Rig::start(None, None, &[]).await;
    let lease = rig.linked().await;
    rig.store.commit(&campaign(&me(), lease, None)).await.unwrap();
    rig.goodbye.cancel();
    soon(rig.session.take().unwrap()).await.unwrap();
    let snapshot = rig.cluster().await;
    assert!(snapshot.members()[&me()].value.down_unix_ms.is_some());
    assert!(snapshot.machines().is_empty());
    let (_, leader) = rig.store.get(&flota_registry::Key::Leader.to_string()).await.unwrap();
    assert_eq!(leader, None, "another one can lead at once");
    assert!(rig.data.agent().read_held().is_ok());
}

#[tokio::test]
async fn a_machine_that_goes_down_while_its_store_is_out_of_reach_says_so_as_soon_as_it_is_back() {
    let mut rig = Rig::start(None, None, &[]).await;
    rig.linked().await;
    rig.served.take().unwrap().stop().await;
    soon(rig.link.wait_for(Option::is_none)).await.unwrap();
    rig.goodbye.cancel();
    let (store, _served) = serve(rig.folder.path(), &rig.stop).await;
    soon(rig.session.take().unwrap()).await.unwrap();
    let (revision, pairs) = store.range(keys::PREFIX).await.unwrap();
    let snapshot = ClusterSnapshot::from_range(revision, pairs);
    assert!(snapshot.members()[&me()].value.down_unix_ms.is_some());
    assert!(snapshot.machines().is_empty());
}

/// What another machine has put back, or was given.
fn of_another(schedule: &Schedule) -> Txn {
    put_back_schedule(&"fedcba9876543210fedcba9876543210".parse().unwrap(), schedule)
}

#[tokio::test]
async fn who_returns_late_to_an_accepted_store_takes_nothing_from_others_and_starts_nothing_exclusive() {
    let mut held = schedule(9, &["a.service", "moved.service", "lone.service"]);
    held.units.get_mut("lone.service").unwrap().exclusive = true;
    let prepare = [accept_store(&cluster(1), None), of_another(&schedule(3, &["moved.service"]))];
    let mut rig = Rig::start(Some(known(50)), Some(held), &prepare).await;
    let (believed, offered) = rig.ordered().await;
    assert_eq!(believed.unwrap().incarnation, 1);
    assert_eq!(
        offered,
        schedule(10, &["a.service"]),
        "it may have been removed, or away: what moved stays where it is"
    );
    let snapshot = rig.cluster().await;
    assert!(snapshot.members().contains_key(&me()));
    assert!(snapshot.units().contains_key("lone.service"), "the leader places it");
}

#[tokio::test]
async fn a_store_with_an_older_schedule_is_not_believed_however_far_it_has_moved_on() {
    let older = schedule(4, &[]);
    let prepare = [accept_store(&cluster(0), None), put_back_schedule(&me(), &older)];
    let mut rig = Rig::start(Some(known(1)), Some(schedule(9, &["a.service"])), &prepare).await;
    let why = rig.freezes().await;
    assert_eq!(why.doubt, Doubt::Behind(Generation(4), Generation(9)));
    rig.linked().await;
    assert_eq!(rig.cluster().await.machines()[&me()].value.frozen, Some(why.to_string()));
    rig.accept(&why).await;
    let (believed, offered) = rig.ordered().await;
    assert_eq!((believed.unwrap().incarnation, offered), (1, older));
}
