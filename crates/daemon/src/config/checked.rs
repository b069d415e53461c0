//! A complete configuration, checked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flota_etcd::{ClientConfig, Membership};
use flota_gateway::listen::Listen as GatewayListen;
use flota_registry::Millis;
use flota_store::Listen;

use super::file::{self, File};
use super::options::{ConfigError, DEFAULT_FILE, Options, value};
use super::places::{PortChoice, StoreChoice, chosen, gateway, port, store};
use crate::join::pki;

/// Where the daemon keeps what must outlive it.
const DEFAULT_DATA_DIR: &str = "/var/lib/flota";
/// Where other machines ask whether this one lives, where nothing else is configured.
const DEFAULT_PEER_PORT: u16 = 4002;
/// Where other machines join the cluster, where nothing else is configured.
const DEFAULT_JOIN_PORT: u16 = 4003;
/// Where certificates lie, in the data directory.
const PKI_DIR: &str = "pki";
/// The API's socket where systemd passes none.
const DEFAULT_API_SOCKET: &str = "/run/flota/api.sock";
/// Bounds of the lease that a machine lives by, in seconds. etcd's own minimum is 2.
const LEASE_SECONDS: std::ops::RangeInclusive<u64> = 2..=600;
/// Bounds of the grace after it, in seconds.
const GRACE_SECONDS: std::ops::RangeInclusive<u64> = 0..=86_400;
/// Bounds of how many units of lost machines are on their way at once.
const MAX_MOVES: std::ops::RangeInclusive<u64> = 1..=100_000;

/// A complete, checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the daemon keeps what must outlive it.
    pub data_dir: PathBuf,
    /// The address that other machines reach this one at; none: found out at start.
    pub address: Option<String>,
    /// What `MachineMetadata=` is matched against.
    pub metadata: BTreeMap<String, String>,
    /// Embedded or elsewhere.
    pub store: StoreChoice,
    /// How the daemon itself reaches the store.
    pub client: ClientConfig,
    /// What the machine was told when it joined, or when its cluster moved; none: the store is as the configuration says.
    pub membership: Option<Membership>,
    /// Where the embedded store would listen that counts no more because of `membership`.
    pub left: Option<Vec<Listen>>,
    /// The API's unix sockets, where systemd passes none.
    pub api_listen: Vec<PathBuf>,
    /// Where the discovery gateway listens; none: there is no gateway.
    pub gateway: Option<GatewayListen>,
    /// Where other machines ask whether this one lives.
    pub peer: PortChoice,
    /// Where other machines join the cluster; only where this one has the cluster's certificate authority.
    pub join: PortChoice,
    /// Whether this machine is in no cluster, and may not be one of its own: it has to join one.
    pub must_join: bool,
    /// Where this machine keeps the cluster's own certificate authority; none where `[tls]` names other certificates.
    pub own_pki: Option<PathBuf>,
    /// How long a machine lives without a sign of life.
    pub lease: Duration,
    /// How long after that it is still waited for.
    pub grace: Millis,
    /// Most units of lost machines that are on their way at once.
    pub max_moves: usize,
    /// Log more.
    pub verbose: bool,
}

impl Config {
    /// Reads the file that `options` name (or the default one, if it is there), and lays `options` over it.
    pub fn load(options: &Options) -> Result<Config, ConfigError> {
        let path = options.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => file::parse(&path, &text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && options.config.is_none() => File::default(),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let membership = Membership::read(&data_dir(&file, options))?;
        Config::build(file, membership, options)
    }

    /// Where the daemon keeps what a restart survives and a reboot does not: beside the API's socket.
    pub fn runtime_dir(&self) -> &Path {
        let socket = self.api_listen.first().map_or(Path::new(DEFAULT_API_SOCKET), PathBuf::as_path);
        socket.parent().unwrap_or(Path::new("/run/flota"))
    }

    /// Whether this daemon has the store.
    pub fn has_store(&self) -> bool {
        matches!(self.store, StoreChoice::Embedded { .. })
    }

    /// The addresses in the certificate of this machine, where it has the cluster's authority: it announces `address`.
    pub fn served_at(&self, address: &str) -> Vec<String> {
        let listens = self.https_listens().map(|at| at.ip()).filter(|ip| !ip.is_unspecified());
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        listens.map(|ip| ip.to_string()).chain([address.to_owned(), name]).collect()
    }

    /// Where other machines find the embedded store of this one, which announces `address`.
    pub fn store_for_others(&self, address: &str) -> Vec<String> {
        let reached = |at: SocketAddr| PortChoice::At(at).announced(address);
        self.https_listens().filter_map(reached).map(|at| format!("https://{at}")).collect()
    }

    fn https_listens(&self) -> impl Iterator<Item = SocketAddr> {
        let listens = match &self.store {
            StoreChoice::Embedded { listen } => listen.as_slice(),
            StoreChoice::Remote => &[],
        };
        listens.iter().filter_map(|listen| match listen {
            Listen::Tls { addr, .. } => Some(*addr),
            Listen::Unix(_) | Listen::Tcp(_) => None,
        })
    }

    pub(super) fn build(file: File, membership: Option<Membership>, options: &Options) -> Result<Config, ConfigError> {
        let data_dir = data_dir(&file, options);
        let membership = membership.filter(|_| !options.fixes_store());
        let endpoints = chosen(&options.store_endpoints, file.store.endpoints);
        let listen = chosen(&options.store_listen, file.store.listen);
        let must_join = file.join.required && membership.is_none() && endpoints.is_empty();
        let own_pki = (endpoints.is_empty() && file.tls.is_none() && listen.iter().any(|at| at.starts_with("https:")))
            .then(|| data_dir.join(PKI_DIR));
        let tls = file.tls.or_else(|| own_pki.as_deref().map(pki::machine_files));
        let (own, client) = store(endpoints, listen, tls)?;
        let (store, client, left, own_pki) = match (&membership, own) {
            (Some(told), own) if !told.store.endpoints.is_empty() => {
                let client = ClientConfig { endpoints: told.store.endpoints.clone(), tls: told.tls.clone() };
                (StoreChoice::Remote, client, own.listen(), None)
            }
            (_, own) => (own, client, None, own_pki),
        };
        let metadata = match &options.metadata {
            Some(text) => parse_metadata(text)?,
            None => file.machine.metadata,
        };
        check_range("cluster.lease_seconds", file.cluster.lease_seconds, &LEASE_SECONDS)?;
        check_range("cluster.grace_seconds", file.cluster.grace_seconds, &GRACE_SECONDS)?;
        check_range("cluster.max_moves", file.cluster.max_moves, &MAX_MOVES)?;
        let api_listen = chosen(&options.api_listen, file.api.listen);
        let gateway = gateway(&options.gateway_listen, file.gateway)?;
        let listen = options.peer_listen.clone().or(file.peer.listen);
        let peer = port("peer.listen", listen.as_deref(), store.is_shared(), DEFAULT_PEER_PORT)?;
        let listen = options.join_listen.clone().or(file.join.listen);
        // The store may be elsewhere since the file was written: that is no error in it.
        let listen = listen.filter(|_| own_pki.is_some() || membership.is_none());
        let join = port("join.listen", listen.as_deref(), own_pki.is_some(), DEFAULT_JOIN_PORT)?;
        if join != PortChoice::Off && own_pki.is_none() {
            return Err(value(
                "join.listen needs the cluster's own certificates: a store that listens at https, and no [tls]",
            ));
        }
        Ok(Config {
            data_dir,
            address: options.address.clone().or(file.machine.address),
            metadata,
            store,
            client,
            membership,
            left,
            api_listen: if api_listen.is_empty() { vec![DEFAULT_API_SOCKET.into()] } else { api_listen },
            gateway,
            peer,
            join,
            must_join,
            own_pki,
            lease: Duration::from_secs(file.cluster.lease_seconds),
            grace: Millis(file.cluster.grace_seconds * 1000),
            max_moves: usize::try_from(file.cluster.max_moves).unwrap_or(usize::MAX),
            verbose: options.verbose,
        })
    }
}

fn data_dir(file: &File, options: &Options) -> PathBuf {
    options.data_dir.clone().or_else(|| file.data_dir.clone()).unwrap_or_else(|| DEFAULT_DATA_DIR.into())
}

fn check_range(name: &str, number: u64, range: &std::ops::RangeInclusive<u64>) -> Result<(), ConfigError> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(value(format!("{name} is {number}, expected {} to {}", range.start(), range.end())))
}

fn parse_metadata(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let split = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(value(format!("metadata `{pair}` is not of the form key=value"))),
    };
    pairs.map(split).collect()
}
