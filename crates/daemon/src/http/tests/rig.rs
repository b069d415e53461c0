//! A daemon's API without the rest of the daemon: agents and leader are written into the store by hand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flota_agent::Leave;
use flota_agent::trust::Distrust;
use flota_etcd::{ClientConfig, Committed, StoreClient};
use flota_registry::{
    Capacity, Fence, Generation, Key, LeaseId, Machine, MachineId, ObservedUnit, Op, Report, Schedule, ScheduleWrite,
    ScheduledUnit, TargetState, Txn, UnitStates, campaign, commit_schedules, publish_report, put_machine,
};
use flota_store::{Listen, Store, StoreConfig};
use flota_systemd::Systemd;
use flota_systemd::fake::FakeSystemd;
use flota_unit::{UnitFile, UnitName};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::disk::DataDir;
use crate::http::{Api, Trust, serve};
use crate::leave::Desk;
use crate::session::Link;
use crate::tasks::Clock;
use crate::tasks::conf::{ConfHandle, ConfTask};
use crate::tasks::registrations::{Connect, Handle, RegistrationsTask, RuntimeFile};

/// Every wait of a test ends with this.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// What units of tests run.
pub const SLEEP: &str = "[Service]\nExecStart=/bin/sleep 100\n";

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

impl Trust {
    fn of(store: &StoreClient, distrust: &watch::Sender<Option<Distrust>>) -> Trust {
        let held = watch::Sender::new(flota_agent::Held::default()).subscribe();
        Trust { client: store.clone(), distrust: distrust.subscribe(), held }
    }
}

pub fn machine(number: u32) -> MachineId {
    format!("{number:032x}").parse().unwrap()
}

/// The task behind `/v1/registrations`, with a systemd of its own.
fn start_registrations(
    fake: &FakeSystemd,
    dir: &Path,
    link: &watch::Sender<Option<Link>>,
    stop: &CancellationToken,
) -> Handle {
    let fake = fake.clone();
    let connect: Connect = Box::new(move || {
        let fake = fake.clone();
        Box::pin(async move { Systemd::connect_to(fake.connect().await.unwrap()).await })
    });
    let (handle, requests) = Handle::new();
    let (file, boot_id) = (RuntimeFile::new(dir), "b".to_owned());
    let task = RegistrationsTask { link: link.subscribe(), clock: Clock, file, boot_id, connect };
    tokio::spawn(task.run(requests, stop.clone()));
    handle
}

pub struct Rig {
    pub store: StoreClient,
    pub systemd: FakeSystemd,
    store_address: SocketAddr,
    pub socket: PathBuf,
    pub link: watch::Sender<Option<Link>>,
    pub distrust: watch::Sender<Option<Distrust>>,
    lease: LeaseId,
    fence: Fence,
    stop: CancellationToken,
    /// Orders to leave, as they are handed in.
    pub orders: Mutex<mpsc::Receiver<Leave>>,
    pub dir: TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Rig {
    pub async fn start() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let (socket, store_socket) = (dir.path().join("api.sock"), dir.path().join("store.sock"));
        let listen = vec![Listen::Unix(store_socket.clone()), Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))];
        let embedded = Store::open(StoreConfig::new(dir.path().join("store"), listen)).await.unwrap();
        let Some(Listen::Tcp(store_address)) = embedded.addresses().pop() else { panic!() };
        let stop = CancellationToken::new();
        tokio::spawn(embedded.serve(stop.clone()));
        let endpoints = vec![format!("unix:{}", store_socket.display())];
        let store = StoreClient::new(&ClientConfig { endpoints, tls: None }).await.unwrap();
        let lease = store.grant(Duration::from_secs(600)).await.unwrap();
        let Committed::Yes(led) = store.commit(&campaign(&machine(1), lease, None)).await.unwrap() else { panic!() };

        let link = watch::Sender::new(Some(Link { client: store.clone(), lease }));
        let leader = watch::Sender::new(Some(machine(1)));
        let generation = watch::Sender::new(7);
        let fake = FakeSystemd::default();
        let agent = DataDir::open(&dir.path().join("data")).unwrap().agent();
        let (desk, orders) = Desk::new(agent, false, "b".to_owned());
        let desk = desk.with_etc(&dir.path().join("etc"));
        let registrations = start_registrations(&fake, dir.path(), &link, &stop);
        let (leader, generation) = (leader.subscribe(), generation.subscribe());
        let distrust = watch::Sender::new(None);
        let trust = Trust::of(&store, &distrust);
        let (conf, told) = ConfHandle::new();
        tokio::spawn(ConfTask::new(machine(1), link.subscribe(), dir.path()).run(told, stop.clone()));
        let api = Api::new(machine(1), link.subscribe(), leader, generation, registrations, trust, stop.clone())
            .with_desk(desk)
            .with_conf(conf);
        tokio::spawn(serve(api, vec![UnixListener::bind(&socket).unwrap()]));
        Rig {
            orders: Mutex::new(orders),
            store,
            systemd: fake,
            store_address,
            socket,
            link,
            distrust,
            lease,
            fence: Fence { mod_revision: led },
            stop,
            dir,
        }
    }

    /// Another daemon's API, not served.
    pub fn api(&self) -> Api {
        let (leader, generation) = (watch::Sender::new(None), watch::Sender::new(0));
        let (leader, generation, stop) = (leader.subscribe(), generation.subscribe(), self.stop.clone());
        let trust = Trust::of(&self.store, &self.distrust);
        Api::new(machine(2), self.link.subscribe(), leader, generation, Handle::new().0, trust, stop)
    }

    /// Another daemon's API, as it is before its first request.
    pub fn second_api(&self) -> PathBuf {
        self.serve_second(self.api())
    }

    pub fn serve_second(&self, api: Api) -> PathBuf {
        let socket = self.socket.with_extension("second");
        tokio::spawn(serve(api, vec![UnixListener::bind(&socket).unwrap()]));
        socket
    }

    /// Forgets the store's history before `revision`.
    pub async fn compact(&self, revision: i64) {
        self.etcd().await.compact(revision, None).await.unwrap();
    }

    /// The store as etcd's own tools see it.
    pub async fn etcd(&self) -> etcd_client::Client {
        etcd_client::Client::connect([self.store_address.to_string()], None).await.unwrap()
    }

    pub async fn commit(&self, txn: &Txn) -> i64 {
        match self.store.commit(txn).await.unwrap() {
            Committed::Yes(revision) => revision,
            Committed::No => panic!("refused: {txn:?}"),
        }
    }

    /// A machine joins.
    pub async fn join(&self, number: u32, metadata: &[(&str, &str)]) {
        let machine_value = Machine {
            address: format!("10.0.0.{number}"),
            metadata: metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            capacity: Capacity::default(),
            version: "0".to_owned(),
            boot_id: String::new(),
            frozen: None,
        };
        self.commit(&put_machine(&machine(number), &machine_value, self.lease)).await;
    }

    /// A machine says that it takes no orders.
    pub async fn join_frozen(&self, number: u32, why: &str) {
        self.join(number, &[]).await;
        let key = Key::Machine(machine(number));
        let (_, pair) = self.store.get(&key.to_string()).await.unwrap();
        let announced = flota_registry::Entry::<Machine>::decode(&pair.unwrap()).unwrap().value;
        let frozen = Machine { frozen: Some(why.to_owned()), ..announced };
        self.commit(&put_machine(&machine(number), &frozen, self.lease)).await;
    }

    /// A machine's lease ends.
    pub async fn lose(&self, number: u32) {
        let keys = [Key::Machine(machine(number)), Key::Report(machine(number))];
        let ops = keys.iter().map(|key| Op::Delete { key: key.to_string() }).collect();
        self.commit(&Txn { compares: Vec::new(), ops }).await;
    }

    /// The leader gives a machine these units and no others.
    pub async fn schedule(&self, number: u32, units: &[(&str, TargetState)]) -> i64 {
        let key = Key::Schedule(machine(number)).to_string();
        let seen = self.store.get(&key).await.unwrap().1.map(|pair| pair.mod_revision);
        let unit = |(name, target): &(&str, TargetState)| {
            let (hash, cause) = (UnitFile::parse(SLEEP).unwrap().hash(), "fewest units".to_owned());
            (name.parse::<UnitName>().unwrap(), ScheduledUnit { hash, target: *target, cause, exclusive: false })
        };
        let cluster = "000000000000000000000000000000ff".parse().unwrap();
        let schedule = Schedule { cluster, generation: Generation(1), units: units.iter().map(unit).collect() };
        self.commit(&commit_schedules(
            self.fence,
            &[ScheduleWrite { machine: machine(number), schedule, seen, is_away: false }],
        ))
        .await
    }

    /// A machine reports these units as running, and no others.
    pub async fn report(&self, number: u32, units: &[&str]) -> i64 {
        let observed = ObservedUnit {
            hash: Some(UnitFile::parse(SLEEP).unwrap().hash()),
            started: true,
            states: UnitStates { load: "loaded".into(), active: "active".into(), sub: "running".into() },
            since_unix_ms: None,
            problem: None,
        };
        let units: BTreeMap<UnitName, ObservedUnit> =
            units.iter().map(|name| (name.parse().unwrap(), observed.clone())).collect();
        let report = Report { generation: Generation(1), units, problem: None };
        self.commit(&publish_report(&machine(number), &report, self.lease)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, &["Content-Type: application/json"], body).await
    }

    /// Submits a unit that sleeps.
    pub async fn submit(&self, name: &str, desired: &str) -> Answer {
        let option = r#"{"section":"Service","name":"ExecStart","value":"/bin/sleep 100"}"#;
        let body = format!(r#"{{"desiredState":"{desired}","options":[{option}]}}"#);
        self.put(&format!("/fleet/v1/units/{name}"), &body).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let headers = headers.iter().flat_map(|header| [header, "\r\n"]).collect::<String>();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n");
        self.raw(format!("{head}{headers}\r\n{body}").as_bytes()).await
    }

    pub async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        // A server that refuses early may have closed its end already.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let _ = soon(stream.read_to_end(&mut bytes)).await;
        Answer::parse(&bytes)
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Answer { status: status.unwrap_or(0), headers, body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The error's words; the body must have fleet's shape.
    pub fn message(&self) -> String {
        let body = self.json();
        assert_eq!(body["error"]["code"], self.status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
        body["error"]["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> &Answer {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn refuses(&self, status: u16, words: &str) {
        self.is(status);
        assert!(self.message().contains(words), "{words:?} is not in {self:?}");
    }
}
