//! A cluster of Debian's etcd on loopback, whose members can be killed and frozen.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flota_etcd::{ClientConfig, EtcdError, StoreClient};
use flota_registry::{Op, Txn};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// Every wait of a test ends with this.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often a cluster is started, on other ports each time.
const MAX_STARTS: usize = 4;

/// The members; killed with this value, and their data removed.
pub struct Cluster {
    members: Vec<Member>,
    options: Vec<String>,
    dir: TempDir,
}

struct Member {
    name: String,
    client: SocketAddr,
    peer: SocketAddr,
    state: &'static str,
    child: Option<Child>,
}

impl Cluster {
    /// Three empty members that have a leader.
    pub async fn start() -> Cluster {
        Cluster::start_with(3, &[]).await
    }

    /// So many members with further flags.
    pub async fn start_with(count: usize, options: &[&str]) -> Cluster {
        for _ in 0..MAX_STARTS {
            let memory = Path::new("/dev/shm");
            let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            let mut cluster = Cluster { members: Vec::new(), options, dir };
            cluster.members = (0..count).map(member).collect();
            for at in 0..count {
                cluster.spawn(at);
            }
            // A port that was free may be taken before the member gets to it.
            if timeout(PATIENCE, cluster.serves()).await.is_ok_and(|all| all) {
                return cluster;
            }
        }
        panic!("etcd does not start");
    }

    /// Waits until every member answers with a leader; false if one ends instead.
    async fn serves(&mut self) -> bool {
        for at in 0..self.members.len() {
            let client = self.client_of(at).await;
            while client.get("/x").await.is_err() {
                let child = self.members[at].child.as_mut().unwrap();
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        true
    }

    pub fn endpoint(&self, at: usize) -> String {
        format!("http://{}", self.members[at].client)
    }

    pub fn config(&self) -> ClientConfig {
        ClientConfig { endpoints: (0..self.members.len()).map(|at| self.endpoint(at)).collect(), tls: None }
    }

    /// A client of all members.
    pub async fn client(&self) -> StoreClient {
        StoreClient::new(&self.config()).await.unwrap()
    }

    /// A client of one member.
    pub async fn client_of(&self, at: usize) -> StoreClient {
        StoreClient::new(&ClientConfig { endpoints: vec![self.endpoint(at)], tls: None }).await.unwrap()
    }

    /// etcd's own client for one member.
    pub async fn raw(&self, at: usize) -> etcd_client::Client {
        etcd_client::Client::connect([self.endpoint(at)], None).await.unwrap()
    }

    /// The place of the leader.
    pub async fn leader(&self) -> usize {
        for at in 0..self.members.len() {
            let status = self.raw(at).await.maintenance_client().status().await.unwrap();
            if status.leader() == status.header().unwrap().member_id() {
                return at;
            }
        }
        panic!("no leader");
    }

    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.members.len()
    }

    /// kill -9.
    pub fn kill(&mut self, at: usize) {
        let mut child = self.members[at].child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Its connections stay open, and it says nothing.
    pub fn freeze(&self, at: usize) {
        self.signal(at, Signal::STOP);
    }

    pub fn thaw(&self, at: usize) {
        self.signal(at, Signal::CONT);
    }

    fn signal(&self, at: usize, signal: Signal) {
        let pid = self.members[at].child.as_ref().unwrap().id();
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    }

    /// Starts a member, again on the same data and addresses where it had any.
    pub fn spawn(&mut self, at: usize) {
        let urls: Vec<String> =
            self.members.iter().map(|member| format!("{}=http://{}", member.name, member.peer)).collect();
        let member = &mut self.members[at];
        let (client, peer) = (format!("http://{}", member.client), format!("http://{}", member.peer));
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let child = Command::new("etcd")
            .args(["--name", &member.name, "--initial-cluster-state", member.state])
            .arg("--data-dir")
            .arg(self.dir.path().join(&member.name))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &urls.join(",")])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        member.child = Some(child);
    }

    /// A dead member's place is taken by a new one, with the same address for clients.
    pub async fn replace(&mut self, at: usize) {
        let mut cluster = self.raw((at + 1) % self.members.len()).await.cluster_client();
        let list = cluster.member_list().await.unwrap();
        let id = list.members().iter().find(|member| member.name() == self.members[at].name).unwrap().id();
        soon(async {
            // The others must know that it is gone.
            while cluster.member_remove(id).await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        let client = self.members[at].client;
        self.members[at] = Member { client, name: format!("new{at}"), state: "existing", ..member(at) };
        soon(async {
            let peer = format!("http://{}", self.members[at].peer);
            while cluster.member_add([peer.clone()], None).await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        self.spawn(at);
        let client = self.client_of(at).await;
        eventually(async || client.get("/x").await.map(drop)).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|member| member.child.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn member(at: usize) -> Member {
    let (client, peer) = (free_addr(), free_addr());
    Member { name: format!("m{at}"), client, peer, state: "new", child: None }
}

fn free_addr() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Calls until it succeeds; returns how long that took.
pub async fn eventually<T>(mut call: impl AsyncFnMut() -> Result<T, EtcdError>) -> Duration {
    let begun = Instant::now();
    soon(async {
        while call().await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    begun.elapsed()
}

/// Writes a key.
pub fn put(key: &str, value: impl Into<Vec<u8>>) -> Txn {
    let op = Op::Put { key: key.to_owned(), value: value.into(), lease: None };
    Txn { compares: Vec::new(), ops: vec![op] }
}
