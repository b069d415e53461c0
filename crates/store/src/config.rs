//! Where the store keeps its data and where it listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::AuthConfig;
use flota_mvcc::Limits;

/// One address to serve on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A unix socket, readable and writable only by its owner. A stale one is replaced.
    Unix(PathBuf),
    /// Plain TCP: for loopback only, there is no authentication.
    Tcp(SocketAddr),
    /// TLS, also for whoever speaks HTTP/1.
    Tls {
        /// The address.
        addr: SocketAddr,
        /// The server's certificate chain, PEM.
        cert: PathBuf,
        /// The server's private key, PEM.
        key: PathBuf,
        /// The authority that signs client certificates, PEM: clients must show one. Without it everybody is let in.
        client_ca: Option<PathBuf>,
    },
}

/// Written as the URL that a client would use.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Unix(path) => write!(f, "unix://{}", path.display()),
            Listen::Tcp(addr) => write!(f, "http://{addr}"),
            Listen::Tls { addr, .. } => write!(f, "https://{addr}"),
        }
    }
}

/// The name of the one member, where none is given.
const DEFAULT_NAME: &str = "flota";

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The data directory; made if missing. One process at a time may use it.
    pub data_dir: PathBuf,
    /// The addresses; none is allowed.
    pub listen: Vec<Listen>,
    /// The member's name, as the member list tells it.
    pub name: String,
    /// Where the member list says that clients find the store; the addresses above if empty.
    pub advertise: Vec<String>,
    /// What the member list tells as the address for other members. There are none, but clients expect to see one.
    pub peer_urls: Vec<String>,
    /// What a single request may ask for.
    pub limits: Limits,
    /// Bytes of keys and values, history included, past which the store only takes requests that make it smaller; 0 is no
    /// bound but the disk's.
    pub quota_bytes: u64,
    /// How users authenticate, once auth is enabled.
    pub auth: AuthConfig,
}

impl StoreConfig {
    /// A store in `data_dir` that listens at `listen`; everything else is as etcd has it by default.
    pub fn new(data_dir: impl Into<PathBuf>, listen: Vec<Listen>) -> StoreConfig {
        StoreConfig {
            data_dir: data_dir.into(),
            listen,
            name: DEFAULT_NAME.to_owned(),
            advertise: Vec::new(),
            peer_urls: vec!["http://localhost:2380".to_owned()],
            limits: Limits::default(),
            quota_bytes: 0,
            auth: AuthConfig::default(),
        }
    }
}
