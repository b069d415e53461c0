//! A store in a process of its own, on a free port of loopback.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest that a store may take to start.
const START: Duration = Duration::from_secs(20);

/// How often a store is started, on other ports each time.
const MAX_STARTS: usize = 4;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's etcd.
    Etcd,
    /// The embedded store of the program under test.
    Flota,
}

/// A running store; killed with this value, and its data removed.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    options: Vec<String>,
    addr: SocketAddr,
    peer: SocketAddr,
    child: Child,
    dir: TempDir,
}

impl Server {
    /// Starts an empty store, its data in memory: what a disk does is not what is compared.
    pub fn start(kind: Kind) -> Server {
        Server::start_with(kind, &[])
    }

    /// The same with further flags, those of etcd.
    pub fn start_with(kind: Kind, options: &[String]) -> Server {
        // A port that was free may be taken before the store gets to it.
        let started = (0..MAX_STARTS).find_map(|_| Server::try_start(kind, options));
        started.unwrap_or_else(|| panic!("{kind:?} does not start"))
    }

    fn try_start(kind: Kind, options: &[String]) -> Option<Server> {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let (addr, peer) = (free_addr(), free_addr());
        let child = spawn(kind, addr, peer, dir.path(), options);
        let mut server = Server { kind, options: options.to_vec(), addr, peer, child, dir };
        server.is_up().then_some(server)
    }

    /// Which store it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data and address.
    pub fn start_again(&mut self) {
        self.child = spawn(self.kind, self.addr, self.peer, self.dir.path(), &self.options);
        assert!(self.is_up(), "{:?} does not start again", self.kind);
    }

    /// Waits until it listens; false if it ends instead.
    fn is_up(&mut self) -> bool {
        let start = Instant::now();
        while TcpStream::connect(self.addr).is_err() {
            if start.elapsed() > START || self.child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(kind: Kind, addr: SocketAddr, peer: SocketAddr, dir: &Path, options: &[String]) -> Child {
    let mut command = match kind {
        Kind::Etcd => Command::new("etcd"),
        Kind::Flota => Command::new(flota()),
    };
    if kind == Kind::Flota {
        command.args(["store", "serve"]);
    }
    command.arg("--data-dir").arg(dir.join("data"));
    let (client, peer) = (format!("http://{addr}"), format!("http://{peer}"));
    command.args(["--name", "one", "--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("one={peer}")]).args(options);
    let log = std::fs::File::create(dir.join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{kind:?}: {error}"))
}

/// `$FLOTA_BIN`, or what cargo has built beside the test program.
fn flota() -> PathBuf {
    if let Some(path) = std::env::var_os("FLOTA_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    let path = own.ancestors().nth(2).unwrap().join("flota");
    assert!(path.exists(), "no {}: build it, or name the program in FLOTA_BIN", path.display());
    path
}

fn free_addr() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}
