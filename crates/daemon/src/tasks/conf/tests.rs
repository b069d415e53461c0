//! The task with a store, and processes that live and die.

use std::process::{Child, Command};
use std::time::Duration;

use flota_etcd::{ClientConfig, StoreClient};
use flota_registry::{ConfGroup, ConfReport, ConfState, Entry, Key, LeaseId, MachineId};
use flota_store::{Listen, Store, StoreConfig};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::task::Unheard;
use super::{ConfHandle, ConfTask};
use crate::session::Link;

/// Every wait of a test ends with this.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    dir: tempfile::TempDir,
    client: StoreClient,
    link: watch::Sender<Option<Link>>,
    _stop: DropGuard,
}

fn me() -> MachineId {
    "0123456789abcdef0123456789abcdef".parse().unwrap()
}

impl World {
    async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("store.sock");
        let listen = vec![Listen::Unix(socket.clone())];
        let store = Store::open(StoreConfig::new(dir.path().join("store"), listen)).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(store.serve(stop.clone()));
        let endpoints = vec![format!("unix:{}", socket.display())];
        let client = StoreClient::new(&ClientConfig { endpoints, tls: None }).await.unwrap();
        let (link, _) = watch::channel(None);
        let world = World { dir, client, link, _stop: stop.drop_guard() };
        world.connect().await;
        world
    }

    /// A new session with the store.
    async fn connect(&self) -> LeaseId {
        let lease = self.client.grant(Duration::from_secs(60)).await.unwrap();
        self.link.send_replace(Some(Link { client: self.client.clone(), lease }));
        lease
    }

    /// A daemon's task, until the guard goes.
    fn start(&self) -> (ConfHandle, DropGuard) {
        let (handle, requests) = ConfHandle::new();
        let stop = CancellationToken::new();
        let task = ConfTask::new(me(), self.link.subscribe(), self.dir.path());
        tokio::spawn(task.run(requests, stop.clone()));
        (handle, stop.drop_guard())
    }

    async fn stored(&self) -> Option<(ConfReport, Option<LeaseId>)> {
        let (_, pair) = self.client.get(&Key::Conf(me()).to_string()).await.unwrap();
        pair.map(|pair| (Entry::decode(&pair).unwrap().value, pair.lease))
    }

    /// Waits until the store has files in this state, under the lease of now.
    async fn becomes(&self, state: Option<ConfState>) {
        let lease = self.link.borrow().as_ref().map(|link| link.lease);
        let look = async {
            loop {
                let found = self.stored().await.map(|(report, under)| (report.sources["/c"][0].state, under));
                if found == state.map(|state| (state, lease)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{state:?} is not told"));
    }
}

fn group(state: ConfState) -> Vec<ConfGroup> {
    vec![ConfGroup { resource: "a.toml".into(), state, revision: 3, error: None, files: vec!["/etc/a".into()] }]
}

/// A process, killed when it is dropped.
struct Alive(Child);

impl Alive {
    fn new() -> Alive {
        Alive(Command::new("sleep").arg("100").spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn what_a_process_tells_is_in_the_store_until_it_ends_and_then_it_is_told_that_nobody_keeps_it() {
    let world = World::new().await;
    let (handle, _stop) = world.start();
    let process = Alive::new();
    handle.tell("/c".into(), process.pid(), group(ConfState::Failed)).await.unwrap();
    world.becomes(Some(ConfState::Failed)).await;
    handle.tell("/c".into(), process.pid(), group(ConfState::Ok)).await.unwrap();
    world.becomes(Some(ConfState::Ok)).await;
    drop(process);
    world.becomes(Some(ConfState::Unattended)).await;
    let other = Alive::new();
    handle.tell("/c".into(), other.pid(), group(ConfState::Ok)).await.unwrap();
    world.becomes(Some(ConfState::Ok)).await;
    handle.tell("/c".into(), other.pid(), Vec::new()).await.unwrap();
    world.becomes(None).await;
    let gone = Alive::new().pid();
    assert!(matches!(handle.tell("/c".into(), gone, group(ConfState::Ok)).await, Err(Unheard::Nobody)));
}

#[tokio::test]
async fn a_new_daemon_and_a_new_session_tell_the_same_without_being_told_again() {
    let world = World::new().await;
    let (handle, stop) = world.start();
    let (stays, dies) = (Alive::new(), Alive::new());
    handle.tell("/c".into(), stays.pid(), group(ConfState::Ok)).await.unwrap();
    handle.tell("/d".into(), dies.pid(), group(ConfState::Ok)).await.unwrap();
    world.becomes(Some(ConfState::Ok)).await;
    let lease = world.connect().await;
    world.becomes(Some(ConfState::Ok)).await;

    drop((handle, stop));
    drop(dies);
    world.client.revoke(lease).await.unwrap();
    assert_eq!(world.stored().await, None, "it lives by the session");
    let (_handle, _stop) = world.start();
    world.connect().await;
    world.becomes(Some(ConfState::Ok)).await;
    let look = async {
        while world.stored().await.unwrap().0.sources["/d"][0].state != ConfState::Unattended {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
}

#[tokio::test]
async fn nothing_is_written_while_nothing_is_news() {
    let world = World::new().await;
    let (handle, _stop) = world.start();
    let process = Alive::new();
    handle.tell("/c".into(), process.pid(), group(ConfState::Ok)).await.unwrap();
    world.becomes(Some(ConfState::Ok)).await;
    let revision = async || world.client.get("/").await.unwrap().0;
    let before = revision().await;
    for _ in 0..5 {
        handle.tell("/c".into(), process.pid(), group(ConfState::Ok)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(revision().await, before);
    // Many news within a second are one write.
    for _ in 0..20 {
        handle.tell("/c".into(), process.pid(), group(ConfState::Pending)).await.unwrap();
        handle.tell("/c".into(), process.pid(), group(ConfState::Failed)).await.unwrap();
    }
    world.becomes(Some(ConfState::Failed)).await;
    assert!(revision().await - before <= 2, "{} writes", revision().await - before);
}
