//! Debian's etcd, to compare with.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{PATIENCE, free_addr};

/// A single etcd, killed with this value.
pub struct RealEtcd {
    child: Child,
    pub addr: SocketAddr,
    /// Removed with this value.
    dir: Option<TempDir>,
}

impl RealEtcd {
    pub fn start() -> RealEtcd {
        let dir = tempfile::tempdir().unwrap();
        let mut etcd = RealEtcd::start_in(&dir.path().join("etcd"));
        etcd.dir = Some(dir);
        etcd
    }

    /// The same on data that is there, or is to stay.
    pub fn start_in(data_dir: &Path) -> RealEtcd {
        let (addr, peer) = (free_addr(), free_addr());
        let (client_url, peer_url) = (format!("http://{addr}"), format!("http://{peer}"));
        let child = Command::new("/usr/bin/etcd")
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("default={peer_url}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let etcd = RealEtcd { child, addr, dir: None };
        let start = Instant::now();
        while !etcd.is_healthy() {
            assert!(start.elapsed() < PATIENCE, "etcd does not become healthy");
            std::thread::sleep(Duration::from_millis(50));
        }
        etcd
    }

    fn is_healthy(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(self.addr) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut answer = String::new();
        let asked = stream.write_all(b"GET /health HTTP/1.0\r\n\r\n");
        asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains("\"true\"")
    }
}

impl RealEtcd {
    pub async fn client(&self) -> etcd_client::Client {
        etcd_client::Client::connect([self.addr.to_string()], None).await.unwrap()
    }
}

impl Drop for RealEtcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
