//! A store with v2 over it, Debian's etcd, and a client for both.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flota_gateway::v2::{self, Info};
use flota_store::{Listen, Store, StoreConfig};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Every wait of a test ends with this.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// A store in this process with v2 on its port.
pub struct Served {
    pub addr: SocketAddr,
    pub stop: CancellationToken,
    pub end: tokio::task::JoinHandle<()>,
    pub dir: TempDir,
}

impl Served {
    pub async fn start() -> Served {
        Served::start_in(tempfile::tempdir().unwrap()).await
    }

    pub async fn start_in(dir: TempDir) -> Served {
        let loopback = Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let store = Store::open(StoreConfig::new(dir.path(), vec![loopback])).await.unwrap();
        let addr = match store.addresses()[0] {
            Listen::Tcp(addr) => addr,
            ref other => panic!("{other}"),
        };
        let info = Info {
            name: "default".to_owned(),
            peer_urls: vec!["http://localhost:2380".to_owned()],
            client_urls: vec![format!("http://{addr}")],
        };
        let routes = v2::router(store.upstream(), info);
        let store = store.with_routes(routes);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let end = tokio::spawn(async move { store.serve(stopped).await.unwrap() });
        Served { addr, stop, end, dir }
    }

    pub async fn v3(&self) -> etcd_client::Client {
        etcd_client::Client::connect([self.addr.to_string()], None).await.unwrap()
    }

    pub async fn close(self) -> TempDir {
        self.stop.cancel();
        soon(self.end).await.unwrap();
        self.dir
    }
}

/// Debian's etcd with v2, ended with this value.
pub struct Etcd {
    child: Child,
    pub addr: SocketAddr,
    _dir: TempDir,
}

impl Etcd {
    pub async fn start() -> Etcd {
        let dir = tempfile::tempdir().unwrap();
        let (addr, peer) = (free_addr(), free_addr());
        let (url, peer) = (format!("http://{addr}"), format!("http://{peer}"));
        let child = Command::new("/usr/bin/etcd")
            .args(["--enable-v2", "--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}"), "--data-dir"])
            .arg(dir.path().join("data"))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let etcd = Etcd { child, addr, _dir: dir };
        let start = Instant::now();
        loop {
            if let Some(answer) = try_request(addr, "GET", "/health", "").await
                && answer.body.contains("true")
            {
                return etcd;
            }
            assert!(start.elapsed() < PATIENCE, "etcd does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_addr() -> SocketAddr {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub index: Option<i64>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// One request of a key; `form` is its body.
pub async fn request(addr: SocketAddr, method: &str, path: &str, form: &str) -> Answer {
    soon(try_request(addr, method, path, form)).await.expect("no answer")
}

async fn try_request(addr: SocketAddr, method: &str, path: &str, form: &str) -> Option<Answer> {
    let response = open(addr, method, path, form).await?;
    let index = response.headers().get("x-etcd-index").and_then(|index| index.to_str().ok()?.parse().ok());
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some(Answer { status, index, body: String::from_utf8(body.to_vec()).unwrap() })
}

/// Sends a request and returns when the headers are there.
pub async fn open(
    addr: SocketAddr,
    method: &str,
    path: &str,
    form: &str,
) -> Option<http::Response<hyper::body::Incoming>> {
    let stream = tokio::net::TcpStream::connect(addr).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", addr.to_string())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::copy_from_slice(form.as_bytes())))
        .unwrap();
    sender.send_request(request).await.ok()
}
