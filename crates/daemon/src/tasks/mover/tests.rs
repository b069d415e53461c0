//! A cluster moves between the embedded store and a real etcd: machines that follow, and everything that can be taken back.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use flota_etcd::{Committed, Migration, MigrationError, Moved, abort_migration};
use flota_registry::{
    Capacity, Cluster, Entry, Key, LeaseId, Machine, Op, Txn, create_cluster, prepare_move, put_machine,
};
use flota_store::{Listen, Store, StoreConfig};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// Every wait of a test ends with this.
const PATIENCE: Duration = Duration::from_secs(40);
const SESSION: Duration = Duration::from_secs(60);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

async fn open(config: &ClientConfig) -> StoreClient {
    Box::pin(StoreClient::new(config)).await.unwrap()
}

fn free_addr() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// Debian's etcd; killed with this value.
struct Etcd {
    child: Child,
    config: ClientConfig,
    _dir: TempDir,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Etcd {
    async fn start() -> Etcd {
        let dir = tempfile::tempdir().unwrap();
        let (client, peer) = (format!("http://{}", free_addr()), format!("http://{}", free_addr()));
        let child = Command::new("etcd")
            .args(["--name", "one", "--initial-cluster", &format!("one={peer}")])
            .arg("--data-dir")
            .arg(dir.path())
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let config = ClientConfig { endpoints: vec![client], tls: None };
        let store = open(&config).await;
        soon(async {
            while store.get("/x").await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        Etcd { child, config, _dir: dir }
    }
}

/// An embedded store, served until the value goes.
struct Embedded {
    config: ClientConfig,
    stop: CancellationToken,
    _dir: TempDir,
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Embedded {
    async fn start() -> Embedded {
        let dir = tempfile::tempdir().unwrap();
        let listen = vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))];
        let store = Store::open(StoreConfig::new(dir.path().join("store"), listen)).await.unwrap();
        let Some(Listen::Tcp(address)) = store.addresses().pop() else { panic!() };
        let stop = CancellationToken::new();
        tokio::spawn(store.serve(stop.clone()));
        Embedded { config: ClientConfig { endpoints: vec![format!("http://{address}")], tls: None }, stop, _dir: dir }
    }
}

fn machine(number: u32) -> MachineId {
    format!("{number:032x}").parse().unwrap()
}

fn cluster() -> Cluster {
    Cluster { id: "000000000000000000000000000000ff".parse().unwrap(), created_unix_ms: 1, incarnation: 3 }
}

async fn put(store: &StoreClient, key: &str, value: &str, lease: Option<LeaseId>) -> Result<Committed, EtcdError> {
    let op = Op::Put { key: key.to_owned(), value: value.into(), lease };
    store.commit(&Txn { compares: Vec::new(), ops: vec![op] }).await
}

async fn value(store: &StoreClient, key: &str) -> Option<(String, Option<LeaseId>)> {
    let pair = store.get(key).await.unwrap().1?;
    Some((String::from_utf8(pair.value).unwrap(), pair.lease))
}

/// A machine with no more than a session and the task under test. When it goes, it announces itself where it was sent.
async fn join(number: u32, at: &ClientConfig, fixed: Option<&str>) -> (TempDir, JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().to_owned();
    let (client, fixed) = (open(at).await, fixed.map(ToOwned::to_owned));
    let lease = announce(number, &client).await;
    let (moved, stop) = (CancellationToken::new(), CancellationToken::new());
    let link = watch::Sender::new(Some(Link { client, lease }));
    let task = MoverTask { me: machine(number), link: link.subscribe(), data_dir, fixed, moved: moved.clone() };
    let place = dir.path().to_owned();
    let life = tokio::spawn(async move {
        Box::pin(task.run(stop)).await;
        drop(link);
        assert!(moved.is_cancelled());
        let told = Membership::read(&place).unwrap().unwrap();
        assert_eq!(told.cluster, cluster().id);
        let there = ClientConfig { endpoints: told.store.endpoints, tls: told.tls };
        announce(number, &open(&there).await).await;
    });
    (dir, life)
}

async fn announce(number: u32, store: &StoreClient) -> LeaseId {
    let lease = store.grant(SESSION).await.unwrap();
    let value = Machine {
        address: format!("10.0.0.{number}"),
        metadata: std::collections::BTreeMap::new(),
        capacity: Capacity::default(),
        version: "0".to_owned(),
        boot_id: String::new(),
        frozen: None,
    };
    store.commit(&put_machine(&machine(number), &value, lease)).await.unwrap();
    lease
}

async fn migrate(from: &ClientConfig, to: &ClientConfig) -> Result<Moved, MigrationError> {
    let mut tell = |line: &str| println!("{line}");
    let migration = Migration::new(from, to).await?;
    soon(Box::pin(migration.run(&mut tell))).await
}

/// Writes one key after the other until the store refuses; returns how many were taken.
fn keep_writing(store: StoreClient) -> JoinHandle<u32> {
    tokio::spawn(async move {
        let mut written = 0;
        let refused = loop {
            match put(&store, &format!("/app/{written}"), "x", None).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(refused.is_out_of_space(), "{refused}");
        written
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_moves_to_etcd_and_back_with_all_that_was_acknowledged() {
    let (embedded, etcd) = (Embedded::start().await, Box::pin(Etcd::start()).await);
    let (here, there) = (open(&embedded.config).await, open(&etcd.config).await);
    here.commit(&create_cluster(&cluster())).await.unwrap();
    put(&here, "/flota/v1/units/a.service", "unit", None).await.unwrap();
    put(&here, "/app/gone", "x", None).await.unwrap();
    let lease = here.grant_application(30).await.unwrap();
    put(&here, "/app/leased", "here", Some(lease)).await.unwrap();
    let (_one, first) = join(1, &embedded.config, None).await;
    let (_two, second) = join(2, &embedded.config, None).await;
    let writer = keep_writing(here.clone());
    put(&here, "/app/late", "late", None).await.unwrap();

    let moved = migrate(&embedded.config, &etcd.config).await.unwrap();
    assert_eq!((moved.arrived.len(), moved.missing.len()), (2, 0));
    soon(first).await.unwrap();
    soon(second).await.unwrap();
    let written = soon(writer).await.unwrap();
    assert!(written > 0);
    for number in 0..written {
        assert!(value(&there, &format!("/app/{number}")).await.is_some(), "write {number} was acknowledged");
    }
    assert_eq!(value(&there, "/app/leased").await, Some(("here".to_owned(), Some(lease))));
    assert_eq!(value(&there, "/flota/v1/units/a.service").await.unwrap().0, "unit");
    let (_, record) = there.get(&Key::Cluster.to_string()).await.unwrap();
    let record = Entry::<Cluster>::decode(&record.unwrap()).unwrap().value;
    assert_eq!((record.id, record.incarnation), (cluster().id, 4));
    assert!(there.range(keys::STORE).await.unwrap().1.is_empty(), "nobody is sent on from there");
    there.renew(lease).await.unwrap();

    // The old store says no to what grows, and tells who comes late where to go.
    assert!(put(&here, "/app/x", "x", None).await.unwrap_err().is_out_of_space());
    let steps = MoveStep::of(&here.range(keys::STORE).await.unwrap().1).unwrap();
    assert!(matches!(steps, MoveStep::Go(target) if target.endpoints == etcd.config.endpoints));

    let (_one, first) = join(1, &etcd.config, None).await;
    there.commit(&Txn { compares: Vec::new(), ops: vec![Op::Delete { key: "/app/gone".to_owned() }] }).await.unwrap();
    for number in [1, 2] {
        let key = Key::Machine(machine(number)).to_string();
        let gone = there.get(&key).await.unwrap().1.unwrap().lease.unwrap();
        if number == 2 {
            there.revoke(gone).await.unwrap();
        }
    }
    let moved = migrate(&etcd.config, &embedded.config).await.unwrap();
    assert_eq!((moved.arrived.len(), moved.missing.len()), (1, 0));
    soon(first).await.unwrap();
    assert_eq!(value(&here, "/app/gone").await, None);
    assert_eq!(value(&here, "/app/leased").await, Some(("here".to_owned(), Some(lease))));
    put(&here, "/app/x", "x", None).await.unwrap();
    assert!(put(&there, "/app/x", "x", None).await.unwrap_err().is_out_of_space());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_cannot_go_keeps_the_cluster_where_it_is() {
    let (from, to) = (Embedded::start().await, Embedded::start().await);
    let store = open(&from.config).await;
    store.commit(&create_cluster(&cluster())).await.unwrap();
    let (_one, _) = join(1, &from.config, None).await;
    let (_two, _) = join(2, &from.config, Some("it is nailed down")).await;
    let error = migrate(&from.config, &to.config).await.unwrap_err();
    let MigrationError::Machine { machine, problem } = &error else { panic!("{error}") };
    assert!(machine.ends_with("2 (10.0.0.2)") && problem == "it is nailed down", "{error}");
    assert!(store.range(keys::STORE).await.unwrap().1.is_empty());
    put(&store, "/app/x", "x", None).await.unwrap();
    assert!(open(&to.config).await.range("/").await.unwrap().1.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_holds_anything_else_or_is_away_or_the_same_is_refused() {
    let (from, to) = (Embedded::start().await, Embedded::start().await);
    let store = open(&from.config).await;
    assert!(matches!(migrate(&from.config, &to.config).await, Err(MigrationError::NoCluster)));
    store.commit(&create_cluster(&cluster())).await.unwrap();
    let theirs = open(&to.config).await;
    put(&theirs, "/theirs", "x", None).await.unwrap();
    assert!(matches!(migrate(&from.config, &to.config).await, Err(MigrationError::NotEmpty { keys: 1 })));
    assert!(matches!(migrate(&from.config, &from.config).await, Err(MigrationError::Same)));
    let away = ClientConfig { endpoints: vec![format!("http://{}", free_addr())], tls: None };
    assert!(matches!(migrate(&from.config, &away).await, Err(MigrationError::To(_))));
    assert!(store.range(keys::STORE).await.unwrap().1.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_was_broken_off_is_taken_back_and_a_finished_one_is_not() {
    let (from, to) = (Embedded::start().await, Embedded::start().await);
    let store = open(&from.config).await;
    store.commit(&create_cluster(&cluster())).await.unwrap();
    assert!(matches!(abort_migration(&from.config).await, Err(MigrationError::NotUnderWay)));
    let target = StoreTarget { cluster: cluster().id, attempt: 1, endpoints: to.config.endpoints.clone(), tls: None };
    store.commit(&prepare_move(&target)).await.unwrap();
    assert!(matches!(migrate(&from.config, &to.config).await, Err(MigrationError::UnderWay)));
    abort_migration(&from.config).await.unwrap();
    let begun = Instant::now();
    migrate(&from.config, &to.config).await.unwrap();
    println!("an empty cluster moved in {:?}", begun.elapsed());
    assert!(matches!(abort_migration(&from.config).await, Err(MigrationError::NotUnderWay)));
    let again = migrate(&from.config, &to.config).await.unwrap_err();
    assert!(matches!(again, MigrationError::Left { endpoints } if endpoints == to.config.endpoints[0]));
}
