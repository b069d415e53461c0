//! A directory of resources, an etcd on loopback, and a confd in this process.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flota_conf::apply::{Journal, Reloader};
use flota_conf::group::Group;
use flota_conf::plan::Policy;
use flota_conf::resource::load;
use flota_conf::run::{Ended, Engine, RunError, Session, StatusSender, Told, run};
use flota_conf::settings::{Layer, Settings};
use tempfile::TempDir;

/// Every wait of a test ends with this.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Place {
    pub dir: TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place::in_dir(tempfile::tempdir().unwrap())
    }

    /// One that waits for no disk.
    pub fn in_memory() -> Place {
        Place::in_dir(in_memory())
    }

    fn in_dir(dir: TempDir) -> Place {
        for name in ["conf.d", "templates", "out"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Place { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A resource; `OUT` in its text is the directory of the files.
    pub fn resource(&self, name: &str, text: &str) {
        let text = text.replace("OUT", &self.path("out").display().to_string());
        fs::write(self.path("conf.d").join(name), text).unwrap();
    }

    pub fn template(&self, name: &str, text: &str) {
        fs::write(self.path("templates").join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("out").join(name)).unwrap_or_default()
    }

    pub fn journal(&self) -> Journal {
        Journal::new(self.path("state"))
    }

    pub fn groups(&self) -> Vec<Group> {
        let loaded = load(self.dir.path(), None).unwrap();
        assert_eq!(loaded.errors, []);
        Group::all(loaded.resources, self.dir.path())
    }

    /// An engine that is quick to try again.
    pub fn engine(&self) -> Engine {
        let policy = Policy { quiet: 1, max_wait: 10, first_retry: 5, max_retry: 20, retry: true };
        Engine::new(self.groups(), policy, Told::default(), Some(self.journal()), Arc::default())
    }

    pub fn settings(&self, layer: Layer) -> Settings {
        Settings::new(Layer { confdir: Some(self.dir.path().to_owned()), ..layer }).unwrap()
    }

    pub async fn run(&self, layer: Layer) -> Result<Ended, RunError> {
        Box::pin(run(&self.session(layer, None))).await
    }

    pub fn session(&self, layer: Layer, listener: Option<StatusSender>) -> Session {
        Session {
            settings: self.settings(layer),
            reloader: Arc::new(Reloader::default()),
            journal: Some(self.journal()),
            restarts_child: false,
            without_reloads: false,
            listener,
        }
    }

    pub async fn eventually(&self, name: &str, content: &str) {
        let begun = Instant::now();
        while self.read(name) != content {
            assert!(begun.elapsed() < PATIENCE, "{name} is {:?}, not {content:?}", self.read(name));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// An etcd of one member; its data outlives a restart.
pub struct Etcd {
    dir: TempDir,
    ports: (u16, u16),
    certificates: Option<Certificates>,
    child: Child,
}

/// Who signs, and an identity that is good as server and as client: files.
#[derive(Clone)]
pub struct Certificates {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Etcd {
    pub async fn start() -> Etcd {
        Etcd::start_with(None).await
    }

    /// With certificates: only TLS, and only for clients with one of the same authority.
    pub async fn start_with(certificates: Option<Certificates>) -> Etcd {
        let dir = in_memory();
        let ports = (free_port(), free_port());
        let child = spawn(dir.path(), ports, certificates.as_ref());
        let etcd = Etcd { dir, ports, certificates, child };
        etcd.serves().await;
        etcd
    }

    async fn serves(&self) {
        let begun = Instant::now();
        while !self.try_ctl(3, &["get", "/x"]) {
            assert!(begun.elapsed() < PATIENCE, "etcd does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn node(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.ports.0)
    }

    pub fn try_ctl(&self, api: u8, arguments: &[&str]) -> bool {
        try_etcdctl(&self.node(), api, self.certificates.as_ref(), arguments)
    }

    pub fn ctl(&self, api: u8, arguments: &[&str]) {
        assert!(self.try_ctl(api, arguments), "etcdctl {arguments:?}");
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn start_again(&mut self) {
        self.child = spawn(self.dir.path(), self.ports, self.certificates.as_ref());
        self.serves().await;
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Debian's etcdctl, with the names that each of its APIs has for certificates.
pub fn try_etcdctl(node: &str, api: u8, certificates: Option<&Certificates>, arguments: &[&str]) -> bool {
    let mut etcdctl = Command::new("etcdctl");
    etcdctl.env("ETCDCTL_API", api.to_string()).args(["--endpoints", node]).args(arguments);
    if let Some(Certificates { ca, cert, key }) = certificates {
        let names = if api == 3 { ["CACERT", "CERT", "KEY"] } else { ["CA_FILE", "CERT_FILE", "KEY_FILE"] };
        etcdctl.envs(names.map(|name| format!("ETCDCTL_{name}")).into_iter().zip([ca, cert, key]));
    }
    etcdctl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

fn spawn(dir: &Path, (client, peer): (u16, u16), certificates: Option<&Certificates>) -> Child {
    let scheme = if certificates.is_some() { "https" } else { "http" };
    let (client, peer) = (format!("{scheme}://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut etcd = Command::new("etcd");
    if let Some(Certificates { ca, cert, key }) = certificates {
        etcd.arg("--client-cert-auth").arg("--trusted-ca-file").arg(ca);
        etcd.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
    }
    etcd.args(["--enable-v2", "--data-dir"])
        .arg(dir.join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
