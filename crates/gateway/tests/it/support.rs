//! Stores to put a gateway before, and short ways to ask.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::proto::{
    PbDeleteRequest, PbDeleteResponse, PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse, PbTxnRequest,
    PbTxnResponse, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse,
};
use flota_etcd::{ClientConfig, Upstream};
use flota_gateway::filter::{self, FilteredStore};
use flota_store::{Listen, Store, StoreConfig};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, Streaming};

/// Every wait of a test ends with this.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the gateway calls itself in these tests.
pub const OWN_URL: &str = "http://gateway.test:4001";

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// A store, ended with this value.
pub struct Backend {
    pub config: ClientConfig,
    pub upstream: Upstream,
    _dir: TempDir,
    _running: Running,
}

enum Running {
    Embedded(CancellationToken, JoinHandle<()>),
    Etcd(Child),
}

impl Drop for Running {
    fn drop(&mut self) {
        match self {
            Running::Embedded(stop, task) => {
                stop.cancel();
                task.abort();
            }
            Running::Etcd(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// In memory where there is such a place: these tests are not about disks.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A port that was free a moment ago.
pub fn free_addr() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

impl Backend {
    /// The embedded store, on a unix socket as in the daemon.
    pub async fn embedded() -> Backend {
        let dir = scratch();
        let socket = dir.path().join("store.sock");
        let config = StoreConfig::new(dir.path().join("data"), vec![Listen::Unix(socket.clone())]);
        let store = Store::open(config).await.unwrap();
        let stop = CancellationToken::new();
        let served = store.serve(stop.clone());
        let task = tokio::spawn(async move { served.await.unwrap() });
        Backend::new(format!("unix:{}", socket.display()), dir, Running::Embedded(stop, task))
    }

    /// Debian's etcd.
    pub async fn etcd() -> Backend {
        let dir = scratch();
        let (client, peer) = (free_addr(), free_addr());
        let url = format!("http://{client}");
        let child = Command::new("/usr/bin/etcd")
            .arg("--data-dir")
            .arg(dir.path().join("etcd"))
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &format!("http://{peer}")])
            .args(["--heartbeat-interval", "50", "--election-timeout", "250"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's etcd-server is installed");
        let backend = Backend::new(url, dir, Running::Etcd(child));
        let began = Instant::now();
        while get(&backend.upstream, "/x").await.is_err() {
            assert!(began.elapsed() < PATIENCE, "etcd does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        backend
    }

    fn new(endpoint: String, dir: TempDir, running: Running) -> Backend {
        let config = ClientConfig { endpoints: vec![endpoint], tls: None };
        let upstream = config.upstream().unwrap();
        Backend { config, upstream, _dir: dir, _running: running }
    }

    /// A gateway's filter before it.
    pub fn filtered(&self) -> Upstream {
        let store = FilteredStore::new(self.upstream.clone(), &self.config.endpoints[0]);
        filter::upstream(&store, OWN_URL)
    }
}

// === Short ways to ask ===

pub async fn range(to: &Upstream, request: PbRangeRequest) -> Result<PbRangeResponse, Status> {
    Ok(soon(to.unary("/etcdserverpb.KV/Range", request)).await?.into_inner())
}

pub async fn put_request(to: &Upstream, request: PbPutRequest) -> Result<PbPutResponse, Status> {
    Ok(soon(to.unary("/etcdserverpb.KV/Put", request)).await?.into_inner())
}

pub async fn delete(to: &Upstream, request: PbDeleteRequest) -> Result<PbDeleteResponse, Status> {
    Ok(soon(to.unary("/etcdserverpb.KV/DeleteRange", request)).await?.into_inner())
}

pub async fn txn(to: &Upstream, request: PbTxnRequest) -> Result<PbTxnResponse, Status> {
    Ok(soon(to.unary("/etcdserverpb.KV/Txn", request)).await?.into_inner())
}

pub async fn put(to: &Upstream, key: &str, value: &str) {
    let request = PbPutRequest { key: key.into(), value: value.into(), ..PbPutRequest::default() };
    put_request(to, request).await.unwrap();
}

/// The value of one key.
pub async fn get(to: &Upstream, key: &str) -> Result<Option<String>, Status> {
    let answer = range(to, PbRangeRequest { key: key.into(), ..PbRangeRequest::default() }).await?;
    Ok(answer.kvs.into_iter().next().map(|kv| String::from_utf8(kv.value).unwrap()))
}

/// All keys of a range.
pub async fn keys(to: &Upstream, key: &[u8], range_end: &[u8]) -> Vec<String> {
    let request = PbRangeRequest { key: key.to_vec(), range_end: range_end.to_vec(), ..PbRangeRequest::default() };
    let kvs = range(to, request).await.unwrap().kvs;
    kvs.into_iter().map(|kv| String::from_utf8(kv.key).unwrap()).collect()
}

/// A stream of watches.
pub struct Watches {
    pub requests: mpsc::Sender<PbWatchRequest>,
    answers: Streaming<PbWatchResponse>,
}

impl Watches {
    /// Opens a stream with these first requests.
    pub async fn open(to: &Upstream, first: Vec<PbWatchRequest>) -> Watches {
        let (requests, outbound) = mpsc::channel(first.len() + 64);
        for request in first {
            requests.try_send(request).unwrap();
        }
        let outbound = futures_util::stream::unfold(outbound, |mut outbound| async move {
            let request = outbound.recv().await?;
            Some((request, outbound))
        });
        let answers = soon(to.streaming("/etcdserverpb.Watch/Watch", Request::new(outbound))).await.unwrap();
        Watches { requests, answers: answers.into_inner() }
    }

    pub async fn next(&mut self) -> PbWatchResponse {
        soon(self.answers.message()).await.unwrap().expect("the stream goes on")
    }
}

pub fn watch(key: &[u8], range_end: &[u8], start_revision: i64) -> PbWatchRequest {
    let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
    if let PbWatchRequestUnion::CreateRequest(create) = &mut union {
        create.key = key.to_vec();
        create.range_end = range_end.to_vec();
        create.start_revision = start_revision;
        create.prev_kv = true;
    }
    PbWatchRequest { request_union: Some(union) }
}
