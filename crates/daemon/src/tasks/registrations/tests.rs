//! The task between a fake systemd and a real embedded store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flota_agent::registrations::{Outcome, Refusal};
use flota_etcd::{ClientConfig, Leased, StoreClient};
use flota_registry::LeaseId;
use flota_store::{Listen, Store, StoreConfig};
use flota_systemd::Systemd;
use flota_systemd::fake::FakeSystemd;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::witness::Connect;
use super::{Handle, RegistrationsTask, RuntimeFile};
use crate::session::Link;
use crate::tasks::Clock;

/// Every wait of a test ends with this.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// A machine with a systemd, a store, and a daemon that can be killed.
struct Rig {
    fake: FakeSystemd,
    store: StoreClient,
    link: watch::Sender<Option<Link>>,
    dir: TempDir,
    handle: Handle,
    daemon: CancellationToken,
    stop: CancellationToken,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.daemon.cancel();
        self.stop.cancel();
    }
}

async fn open_store(dir: &Path, stop: &CancellationToken) -> StoreClient {
    let socket: PathBuf = dir.join("store.sock");
    let listen = vec![Listen::Unix(socket.clone())];
    let store = Store::open(StoreConfig::new(dir.join("store"), listen)).await.unwrap();
    tokio::spawn(store.serve(stop.clone()));
    let endpoints = vec![format!("unix:{}", socket.display())];
    StoreClient::new(&ClientConfig { endpoints, tls: None }).await.unwrap()
}

impl Rig {
    async fn start() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let store = open_store(dir.path(), &stop).await;
        let link = watch::Sender::new(Some(Link { client: store.clone(), lease: LeaseId(0) }));
        let (handle, _) = Handle::new();
        let mut rig =
            Rig { fake: FakeSystemd::default(), store, link, dir, handle, daemon: CancellationToken::new(), stop };
        rig.start_daemon();
        rig
    }

    fn start_daemon(&mut self) {
        let fake = self.fake.clone();
        let connect: Connect = Box::new(move || {
            let fake = fake.clone();
            Box::pin(async move { Systemd::connect_to(fake.connect().await.unwrap()).await })
        });
        let (handle, requests) = Handle::new();
        self.daemon = CancellationToken::new();
        let file = RuntimeFile::new(self.dir.path());
        let (link, clock, boot_id) = (self.link.subscribe(), Clock, "b".to_owned());
        let task = RegistrationsTask { link, clock, file, boot_id, connect };
        tokio::spawn(task.run(requests, self.daemon.clone()));
        self.handle = handle;
    }

    /// Starts a unit by way of a connection of its own, as people do.
    async fn systemctl(&self, verb: &str, unit: &str) {
        let (systemd, _signals) = Systemd::connect_to(self.fake.connect().await.unwrap()).await.unwrap();
        let path = self.dir.path().join(unit);
        std::fs::write(&path, "[Service]\nExecStart=/bin/true\n").unwrap();
        match verb {
            "start" => {
                systemd.link(&[path]).await.unwrap();
                soon(systemd.start(unit)).await.unwrap();
            }
            "restart" => drop(soon(systemd.restart(unit)).await.unwrap()),
            _ => drop(soon(systemd.stop(unit)).await.unwrap()),
        }
    }

    async fn register(&self, unit: &str, key: &str, value: &str) -> Outcome {
        let put = self.handle.put(unit.parse().unwrap(), key.to_owned(), value.into(), None);
        soon(put).await.unwrap()
    }

    async fn value(&self, key: &str) -> Option<(String, LeaseId)> {
        let pair = soon(self.store.get(key)).await.unwrap().1?;
        Some((String::from_utf8(pair.value).unwrap(), pair.lease.unwrap()))
    }

    async fn wait_for(&self, what: &str, key: &str, accept: impl Fn(Option<(String, LeaseId)>) -> bool) {
        for _ in 0..400 {
            if accept(self.value(key).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not in time: {what}; {key} is {:?}", self.value(key).await);
    }
}

#[track_caller]
fn lease_of(outcome: Outcome) -> LeaseId {
    let Outcome::Registered(lease) = outcome else { panic!("{outcome:?}") };
    lease
}

#[tokio::test]
async fn keys_go_when_their_unit_stops_fails_or_starts_anew() {
    let rig = Rig::start().await;
    rig.systemctl("start", "web.service").await;
    let lease = lease_of(rig.register("web.service", "/web/1", "10.0.0.1:80").await);
    assert_eq!(lease_of(rig.register("web.service", "/web/2", "x").await), lease, "one lease per unit");
    assert!(!lease.is_own(), "applications see it");
    assert_eq!(rig.value("/web/1").await, Some(("10.0.0.1:80".to_owned(), lease)));

    rig.systemctl("restart", "web.service").await;
    rig.wait_for("another life has not registered", "/web/1", |it| it.is_none()).await;
    let second = lease_of(rig.register("web.service", "/web/1", "10.0.0.1:81").await);
    assert_ne!(lease, second);

    rig.systemctl("stop", "web.service").await;
    rig.wait_for("it stopped", "/web/1", |it| it.is_none()).await;
    rig.systemctl("start", "web.service").await;
    lease_of(rig.register("web.service", "/web/1", "10.0.0.1:82").await);
    rig.fake.die("web.service").await;
    rig.wait_for("it failed", "/web/1", |it| it.is_none()).await;
    let refused = rig.register("web.service", "/web/1", "x").await;
    assert!(matches!(&refused, Outcome::Refused(Refusal::NotActive { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_killed_daemons_keys_are_kept_by_the_next_one_which_also_ends_what_ended_meanwhile() {
    let mut rig = Rig::start().await;
    for unit in ["web.service", "db.service"] {
        rig.systemctl("start", unit).await;
        lease_of(rig.register(unit, &format!("/{unit}"), "x").await);
    }
    let mut watch = rig.store.watch_prefix("/", 1).await.unwrap();
    let (revision, _) = rig.store.get("/").await.unwrap();
    rig.daemon.cancel();
    rig.systemctl("stop", "db.service").await;
    rig.start_daemon();
    rig.wait_for("it stopped while no daemon ran", "/db.service", |it| it.is_none()).await;
    let listed = soon(rig.handle.list()).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["/web.service"]);
    // The one change is the end of the other unit's key: web.service's was neither gone nor written again.
    let mut later = Vec::new();
    while later.is_empty() {
        let batch = soon(watch.next()).await.unwrap();
        later.extend(batch.changes.into_iter().filter(|_| batch.revision > revision));
    }
    assert_eq!(later, [flota_registry::Change::Delete { key: "/db.service".to_owned() }]);
    rig.systemctl("stop", "web.service").await;
    rig.wait_for("the next daemon listens to systemd", "/web.service", |it| it.is_none()).await;
}

#[tokio::test]
async fn keys_come_back_with_the_store_and_requests_do_not_wait_for_it() {
    let rig = Rig::start().await;
    rig.systemctl("start", "web.service").await;
    let lease = lease_of(rig.register("web.service", "/a", "1").await);
    rig.link.send_replace(None);
    let accepted = rig.register("web.service", "/b", "2").await;
    assert_eq!(accepted, Outcome::Accepted("the store is out of reach".to_owned()));
    // The store was away for longer than the lease lived.
    rig.store.revoke(lease).await.unwrap();
    assert_eq!(rig.value("/a").await, None);
    rig.link.send_replace(Some(Link { client: rig.store.clone(), lease: LeaseId(0) }));
    rig.wait_for("the store is back", "/a", |it| it.is_some_and(|(value, _)| value == "1")).await;
    rig.wait_for("the store is back", "/b", |it| it.is_some_and(|(value, _)| value == "2")).await;
    let listed = soon(rig.handle.list()).await.unwrap();
    assert!(listed.iter().all(|it| it.problem.is_none()), "{listed:?}");
}

#[tokio::test]
async fn a_lost_bus_ends_nothing_and_what_happened_meanwhile_is_noticed() {
    let rig = Rig::start().await;
    rig.systemctl("start", "web.service").await;
    rig.systemctl("start", "db.service").await;
    lease_of(rig.register("web.service", "/web", "1").await);
    lease_of(rig.register("db.service", "/db", "1").await);
    rig.fake.disconnect().await;
    rig.systemctl("stop", "db.service").await;
    rig.wait_for("its end is noticed", "/db", |it| it.is_none()).await;
    assert!(rig.value("/web").await.is_some());
}

#[tokio::test]
async fn a_removed_key_goes_and_the_units_others_stay() {
    let rig = Rig::start().await;
    rig.systemctl("start", "web.service").await;
    lease_of(rig.register("web.service", "/a", "1").await);
    lease_of(rig.register("web.service", "/b", "1").await);
    let remove = |key: &str| rig.handle.remove("web.service".parse().unwrap(), key.to_owned());
    assert_eq!(soon(remove("/a")).await.unwrap(), Outcome::Removed);
    rig.wait_for("it is removed", "/a", |it| it.is_none()).await;
    assert!(rig.value("/b").await.is_some());
    let again = soon(remove("/a")).await.unwrap();
    assert!(matches!(again, Outcome::Refused(Refusal::Unknown { .. })), "{again:?}");
}

#[tokio::test]
async fn a_key_under_a_lease_is_written_once_and_belongs_to_that_lease() {
    let rig = Rig::start().await;
    let ttl = Duration::from_secs(60);
    let (ours, theirs) = (rig.store.grant(ttl).await.unwrap(), rig.store.grant(ttl).await.unwrap());
    let put = |value: &'static [u8], lease, overwrite| rig.store.put_leased("/k", value, lease, overwrite);
    let revision = async || rig.store.get("/k").await.unwrap().0;
    assert_eq!(put(b"\xff1", ours, false).await.unwrap(), Leased::Here);
    let written = revision().await;
    assert_eq!(put(b"\xff1", ours, false).await.unwrap(), Leased::Here);
    assert_eq!(put(b"\xff1", ours, true).await.unwrap(), Leased::Here);
    assert_eq!(revision().await, written, "nothing to write, nothing written");
    assert_eq!(put(b"2", theirs, false).await.unwrap(), Leased::Taken);
    rig.store.delete_leased("/k", theirs).await.unwrap();
    assert_eq!(revision().await, written, "another lease's key is left alone");
    assert_eq!(put(b"2", ours, false).await.unwrap(), Leased::Here);
    assert_eq!(put(b"3", theirs, true).await.unwrap(), Leased::Here);
    rig.store.revoke(ours).await.unwrap();
    assert_eq!(rig.value("/k").await, Some(("3".to_owned(), theirs)), "it had changed hands");
    rig.store.delete_leased("/k", theirs).await.unwrap();
    assert_eq!(rig.value("/k").await, None);
    rig.store.revoke(theirs).await.unwrap();
    rig.store.revoke(theirs).await.unwrap();
    assert!(rig.store.renew(theirs).await.unwrap_err().is_unknown_lease());
    assert!(put(b"4", theirs, true).await.unwrap_err().is_unknown_lease());
}
