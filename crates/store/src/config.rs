//! Where the store keeps its data and where it listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One address to serve on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A unix socket, readable and writable only by its owner. A stale one is replaced.
    ///
    /// Debian 12's etcdctl sends an absolute path as the HTTP/2 authority, which is refused as malformed: give it a path relative to its
    /// working directory (`unix://store.sock`).
    Unix(PathBuf),
    /// Plain TCP: for loopback only, there is no authentication.
    Tcp(SocketAddr),
    /// TLS; clients must show a certificate signed by `client_ca`.
    Tls {
        /// The address.
        addr: SocketAddr,
        /// The server's certificate chain, PEM.
        cert: PathBuf,
        /// The server's private key, PEM.
        key: PathBuf,
        /// The authority that signs client certificates, PEM.
        client_ca: PathBuf,
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
    /// The name of the one member, as MemberList tells it.
    pub name: String,
    /// The URLs that MemberList tells clients to use; if none, those it listens on.
    pub advertise: Vec<String>,
}

impl StoreConfig {
    /// Everything as it is where nothing is said about it.
    pub fn new(data_dir: impl Into<PathBuf>, listen: Vec<Listen>) -> StoreConfig {
        StoreConfig { data_dir: data_dir.into(), listen, name: DEFAULT_NAME.to_owned(), advertise: Vec::new() }
    }
}
