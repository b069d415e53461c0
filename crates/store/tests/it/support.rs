//! A store in this process or in one of its own, and clients for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::Client;
use flota_store::disk::{Directory, Disk};
use flota_store::{Listen, Store, StoreConfig, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Every wait of a test ends with this.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

pub fn loopback() -> Listen {
    Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub fn config(dir: &Path) -> StoreConfig {
    StoreConfig::new(dir, vec![loopback()])
}

/// A store served in this process.
pub struct Served {
    pub addr: SocketAddr,
    pub stop: CancellationToken,
    pub end: JoinHandle<Result<(), StoreError>>,
}

impl Served {
    pub async fn start(dir: &Path) -> Served {
        Served::start_on(dir, Arc::new(Directory::new(dir))).await
    }

    pub async fn start_on(dir: &Path, disk: Arc<dyn Disk>) -> Served {
        Served::serve(Store::open_on(config(dir), disk).await.unwrap(), CancellationToken::new())
    }

    pub async fn open(config: StoreConfig) -> Served {
        Served::serve(Store::open(config).await.unwrap(), CancellationToken::new())
    }

    pub fn serve(store: Store, stop: CancellationToken) -> Served {
        let addr = match store.addresses()[0] {
            Listen::Tcp(addr) => addr,
            ref other => panic!("{other}"),
        };
        let end = tokio::spawn(store.serve(stop.clone()));
        Served { addr, stop, end }
    }

    pub async fn client(&self) -> Client {
        Client::connect([self.addr.to_string()], None).await.unwrap()
    }

    pub async fn close(self) {
        self.stop.cancel();
        soon(self.end).await.unwrap().unwrap();
    }
}

/// The example program; cargo builds it with the tests.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/store")
}

/// A store in a process of its own, killed with this value.
pub struct Process {
    pub child: Child,
    pub addr: SocketAddr,
}

impl Process {
    /// Starts it on `addr` and waits until it listens.
    pub fn start(dir: &Path, addr: SocketAddr) -> Process {
        let child = Command::new(program())
            .arg("--data-dir")
            .arg(dir)
            .arg("--listen-client-urls")
            .arg(format!("http://{addr}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process { child, addr };
        let start = Instant::now();
        while std::net::TcpStream::connect(addr).is_err() {
            assert!(start.elapsed() < PATIENCE, "the store does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        process
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_addr() -> SocketAddr {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}
