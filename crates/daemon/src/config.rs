//! Configuration: built-in values, then the file, then environment and flags.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flota_etcd::{ClientConfig, Membership, MembershipError, TlsFiles};
use flota_gateway::listen::Listen as GatewayListen;
use flota_registry::Millis;
use flota_store::Listen;
use serde::Deserialize;

use crate::join::pki;

/// Read when no file is named; it may be missing.
pub const DEFAULT_FILE: &str = "/etc/flota/flota.toml";
/// Where the daemon keeps what must outlive it.
const DEFAULT_DATA_DIR: &str = "/var/lib/flota";
/// The embedded store's socket where nothing else is configured.
const DEFAULT_STORE_SOCKET: &str = "/run/flota/store.sock";
/// Where the discovery gateway listens where nothing else is configured.
const DEFAULT_GATEWAY: &str = "127.0.0.1:4001";
/// Docker's own bridge.
const DEFAULT_BRIDGE: &str = "docker0";
/// In place of addresses: no discovery gateway, no peer port.
const OFF: &str = "off";
/// Where other machines ask whether this one lives, where nothing else is configured.
const DEFAULT_PEER_PORT: u16 = 4002;
/// Where other machines join the cluster, where nothing else is configured.
const DEFAULT_JOIN_PORT: u16 = 4003;
/// Where certificates lie, in the data directory.
const PKI_DIR: &str = "pki";
/// Longest name of an interface that the kernel takes.
const MAX_INTERFACE_NAME: usize = 15;
/// The API's socket where systemd passes none.
const DEFAULT_API_SOCKET: &str = "/run/flota/api.sock";
/// Bounds of the lease that a machine lives by, in seconds. etcd's own minimum is 2.
const LEASE_SECONDS: std::ops::RangeInclusive<u64> = 2..=600;
/// Bounds of the grace after it, in seconds.
const GRACE_SECONDS: std::ops::RangeInclusive<u64> = 0..=86_400;
/// Bounds of how many units of lost machines are on their way at once.
const MAX_MOVES: std::ops::RangeInclusive<u64> = 1..=100_000;

/// What the command line and the environment say; it wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The configuration file; one that is named must exist.
    pub config: Option<PathBuf>,
    /// Where the daemon keeps what must outlive it.
    pub data_dir: Option<PathBuf>,
    /// The store's endpoints, if it is not the embedded one.
    pub store_endpoints: Vec<String>,
    /// Where the embedded store listens.
    pub store_listen: Vec<String>,
    /// The API's unix sockets, where systemd passes none.
    pub api_listen: Vec<PathBuf>,
    /// Where the discovery gateway listens, or `off`.
    pub gateway_listen: Vec<String>,
    /// Where other machines ask whether this one lives, or `off`.
    pub peer_listen: Option<String>,
    /// Where other machines join the cluster, or `off`.
    pub join_listen: Option<String>,
    /// The address that other machines reach this one at.
    pub address: Option<String>,
    /// Machine metadata as `key=value,key=value`.
    pub metadata: Option<String>,
    /// Log more.
    pub verbose: bool,
}

impl Options {
    /// Whether the command line says where the store is: no file can say otherwise then.
    pub fn fixes_store(&self) -> bool {
        !self.store_endpoints.is_empty() || !self.store_listen.is_empty()
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not understood.
    #[error("configuration file {path}: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where in it, and why.
        message: String,
    },
    /// What the machine was told when it joined cannot be read.
    #[error("where this machine's cluster is")]
    Membership(#[from] MembershipError),
    /// A value is not acceptable.
    #[error("configuration: {0}")]
    Value(String),
}

fn value(message: impl Into<String>) -> ConfigError {
    ConfigError::Value(message.into())
}

/// Where the cluster's knowledge is.
#[derive(Debug, Clone)]
pub enum StoreChoice {
    /// In this daemon.
    Embedded {
        /// Where the store listens.
        listen: Vec<Listen>,
    },
    /// Elsewhere.
    Remote,
}

impl StoreChoice {
    /// Whether other machines can use the same store: then this is no lone machine.
    pub fn is_shared(&self) -> bool {
        match self {
            StoreChoice::Remote => true,
            StoreChoice::Embedded { listen } => listen.iter().any(|listen| matches!(listen, Listen::Tls { .. })),
        }
    }
}

/// Whether and where a port is open for other machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortChoice {
    /// Nowhere.
    Off,
    /// This port of the address that the machine announces.
    Announced(u16),
    /// There.
    At(SocketAddr),
}

impl PortChoice {
    /// Where to listen, on a machine that announces `address`: at all of its addresses where that one is a name.
    pub fn listen(self, address: &str) -> Option<SocketAddr> {
        match self {
            PortChoice::Off => None,
            PortChoice::At(at) => Some(at),
            PortChoice::Announced(port) => {
                let ip = address.parse().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
                Some(SocketAddr::new(ip, port))
            }
        }
    }

    /// Where other machines ask, as `ADDRESS:PORT`.
    pub fn announced(self, address: &str) -> Option<String> {
        let listen = self.listen(address)?;
        if !listen.ip().is_unspecified() {
            return Some(listen.to_string());
        }
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        Some(format!("{host}:{}", listen.port()))
    }
}

impl StoreChoice {
    /// Where the embedded store listens.
    fn listen(self) -> Option<Vec<Listen>> {
        match self {
            StoreChoice::Embedded { listen } => Some(listen),
            StoreChoice::Remote => None,
        }
    }
}

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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data_dir: Option<PathBuf>,
    machine: MachineSection,
    store: StoreSection,
    tls: Option<TlsFiles>,
    api: ApiSection,
    gateway: GatewaySection,
    peer: PortSection,
    join: PortSection,
    cluster: ClusterSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MachineSection {
    address: Option<String>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StoreSection {
    endpoints: Vec<String>,
    listen: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ApiSection {
    listen: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GatewaySection {
    enabled: bool,
    listen: Vec<String>,
    bridges: Vec<String>,
}

impl Default for GatewaySection {
    fn default() -> Self {
        let (listen, bridges) = (vec![DEFAULT_GATEWAY.to_owned()], vec![DEFAULT_BRIDGE.to_owned()]);
        GatewaySection { enabled: true, listen, bridges }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PortSection {
    listen: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ClusterSection {
    lease_seconds: u64,
    grace_seconds: u64,
    max_moves: u64,
}

impl Default for ClusterSection {
    fn default() -> Self {
        ClusterSection { lease_seconds: 5, grace_seconds: 1, max_moves: 50 }
    }
}

impl Config {
    /// Reads the file that `options` name (or the default one, if it is there), and lays `options` over it.
    pub fn load(options: &Options) -> Result<Config, ConfigError> {
        let path = options.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&path, &text)?,
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

    fn build(file: File, membership: Option<Membership>, options: &Options) -> Result<Config, ConfigError> {
        let data_dir = data_dir(&file, options);
        let membership = membership.filter(|_| !options.fixes_store());
        let endpoints = chosen(&options.store_endpoints, file.store.endpoints);
        let listen = chosen(&options.store_listen, file.store.listen);
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

fn chosen<T: Clone>(option: &[T], file: Vec<T>) -> Vec<T> {
    if option.is_empty() { file } else { option.to_vec() }
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string() })
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

fn gateway(option: &[String], section: GatewaySection) -> Result<Option<GatewayListen>, ConfigError> {
    let is_off = option == [OFF] || (option.is_empty() && !section.enabled);
    let parse = |text: &String| {
        text.parse::<SocketAddr>()
            .map_err(|_| value(format!("gateway.listen `{text}` is not of the form ADDRESS:PORT")))
    };
    let addresses = if is_off { Vec::new() } else { chosen(option, section.listen) };
    let addresses = addresses.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let is_name = |name: &&String| {
        (1..=MAX_INTERFACE_NAME).contains(&name.len()) && !name.contains(|c: char| c == '/' || c.is_whitespace())
    };
    if let Some(name) = section.bridges.iter().find(|name| !is_name(name)) {
        return Err(value(format!("gateway.bridges `{name}` is not the name of an interface")));
    }
    let listen = GatewayListen { addresses, bridges: section.bridges };
    let is_nowhere = listen.addresses.is_empty() && listen.bridges.is_empty();
    Ok((!is_off && !is_nowhere).then_some(listen))
}

/// A port for other machines: as configured, else `port` of the machine's address where `is_wanted`.
fn port(name: &str, configured: Option<&str>, is_wanted: bool, port: u16) -> Result<PortChoice, ConfigError> {
    match configured {
        Some(OFF) => Ok(PortChoice::Off),
        Some(text) => match text.parse() {
            Ok(address) => Ok(PortChoice::At(address)),
            Err(_) => Err(value(format!("{name} `{text}` is not of the form ADDRESS:PORT, and not `{OFF}`"))),
        },
        None => Ok(if is_wanted { PortChoice::Announced(port) } else { PortChoice::Off }),
    }
}

fn store(
    endpoints: Vec<String>,
    listen: Vec<String>,
    tls: Option<TlsFiles>,
) -> Result<(StoreChoice, ClientConfig), ConfigError> {
    if !endpoints.is_empty() {
        if !listen.is_empty() {
            return Err(value("store.endpoints and store.listen exclude each other: the store is elsewhere, or here"));
        }
        return Ok((StoreChoice::Remote, ClientConfig { endpoints, tls }));
    }
    let listen = if listen.is_empty() { vec![format!("unix:{DEFAULT_STORE_SOCKET}")] } else { listen };
    let parsed = listen.iter().map(|text| parse_listen(text, tls.as_ref())).collect::<Result<Vec<_>, _>>()?;
    // The daemon takes the shortest way in: a socket, then loopback, then the network.
    let own =
        listen.iter().min_by_key(|text| ["unix:", "http:", "https:"].iter().position(|kind| text.starts_with(kind)));
    let endpoints = own.into_iter().cloned().collect();
    Ok((StoreChoice::Embedded { listen: parsed }, ClientConfig { endpoints, tls }))
}

fn parse_listen(text: &str, tls: Option<&TlsFiles>) -> Result<Listen, ConfigError> {
    let address = |rest: &str| {
        rest.parse::<SocketAddr>()
            .map_err(|_| value(format!("store.listen `{text}` is not of the form http(s)://ADDRESS:PORT")))
    };
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Listen::Unix(path.trim_start_matches("//").into()));
    }
    if let Some(rest) = text.strip_prefix("http://") {
        let address = address(rest)?;
        if !address.ip().is_loopback() {
            return Err(value(format!(
                "store.listen `{text}` would let everyone on the network command this cluster: use https:// with [tls], or a loopback address"
            )));
        }
        return Ok(Listen::Tcp(address));
    }
    if let Some(rest) = text.strip_prefix("https://") {
        let Some(tls) = tls else {
            return Err(value(format!("store.listen `{text}` needs [tls] ca, cert and key")));
        };
        let (cert, key, client_ca) = (tls.cert.clone(), tls.key.clone(), Some(tls.ca.clone()));
        return Ok(Listen::Tls { addr: address(rest)?, cert, key, client_ca });
    }
    Err(value(format!(
        "store.listen `{text}` is not of the form unix:/PATH, http://ADDRESS:PORT or https://ADDRESS:PORT"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(text: &str) -> Result<Config, ConfigError> {
        Config::build(parse(Path::new("flota.toml"), text)?, None, &Options::default())
    }

    #[track_caller]
    fn refused(text: &str, word: &str) {
        let error = build(text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }

    #[test]
    fn nothing_configured_is_one_machine_with_a_private_store() {
        let config = build("").unwrap();
        assert!(
            matches!(config.store, StoreChoice::Embedded { listen } if matches!(listen.as_slice(), [Listen::Unix(_)]))
        );
        assert_eq!(config.client.endpoints, ["unix:/run/flota/store.sock"]);
        assert_eq!((config.lease, config.grace), (Duration::from_secs(5), Millis(1000)));
    }

    #[test]
    fn the_store_for_others_and_a_member() {
        let tls = "[tls]\nca = \"/ca\"\ncert = \"/cert\"\nkey = \"/key\"\n";
        let first = build(&format!("[store]\nlisten = [\"https://10.0.0.1:2379\", \"unix:/run/s\"]\n{tls}")).unwrap();
        assert_eq!(first.client.endpoints, ["unix:/run/s"]);
        let member = build(&format!("[store]\nendpoints = [\"https://10.0.0.1:2379\"]\n{tls}")).unwrap();
        assert!(matches!(member.store, StoreChoice::Remote));
    }

    #[test]
    fn a_store_on_the_network_without_certificates_has_its_own_and_lets_machines_join() {
        let listen = "[store]\nlisten = [\"https://10.0.0.1:2379\"]\n";
        let first = build(listen).unwrap();
        assert_eq!(first.own_pki.as_deref(), Some(Path::new("/var/lib/flota/pki")));
        assert_eq!(first.join.announced("10.0.0.1").as_deref(), Some("10.0.0.1:4003"));
        assert_eq!(first.client.tls.unwrap().ca, Path::new("/var/lib/flota/pki/ca.pem"));
        let tls = "[tls]\nca = \"/ca\"\ncert = \"/cert\"\nkey = \"/key\"\n";
        let with_tls = build(&format!("{listen}{tls}")).unwrap();
        assert_eq!((with_tls.own_pki, with_tls.join), (None, PortChoice::Off));
        let off = build(&format!("{listen}[join]\nlisten = \"off\"\n")).unwrap();
        assert_eq!((off.own_pki.is_some(), off.join), (true, PortChoice::Off));
        assert_eq!(build("").unwrap().own_pki, None);
    }

    #[test]
    fn what_the_machine_was_told_when_it_joined_wins_over_the_file_and_flags_win_over_both() {
        let told = Membership {
            cluster: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            store: flota_etcd::MembershipStore { endpoints: vec!["https://10.0.0.1:2379".to_owned()] },
            tls: Some(TlsFiles { ca: "/a".into(), cert: "/b".into(), key: "/c".into() }),
        };
        let text = "[store]\nlisten = [\"https://10.0.0.2:2379\"]\n";
        let file = || parse(Path::new("f"), text).unwrap();
        let joined = Config::build(file(), Some(told.clone()), &Options::default()).unwrap();
        assert!(matches!(joined.store, StoreChoice::Remote));
        assert_eq!(joined.client.endpoints, ["https://10.0.0.1:2379"]);
        assert_eq!((joined.own_pki, joined.join, joined.membership), (None, PortChoice::Off, Some(told.clone())));
        let options = Options { store_listen: vec!["unix:/run/s".to_owned()], ..Options::default() };
        let flags = Config::build(file(), Some(told.clone()), &options).unwrap();
        assert_eq!((flags.client.endpoints, flags.membership), (vec!["unix:/run/s".to_owned()], None));
        let with_door = parse(Path::new("f"), &format!("{text}[join]\nlisten = \"0.0.0.0:4003\"\n")).unwrap();
        let moved = Config::build(with_door, Some(told.clone()), &Options::default()).unwrap();
        assert_eq!(moved.join, PortChoice::Off);
        // Moved back from a store elsewhere to the one in this daemon.
        let back = flota_etcd::MembershipStore { endpoints: Vec::new() };
        let back = Membership { store: back, tls: None, ..told };
        let config = Config::build(file(), Some(back), &Options::default()).unwrap();
        assert!(matches!(config.store, StoreChoice::Embedded { .. }) && config.own_pki.is_some());
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = parse(Path::new("f"), "data_dir = \"/a\"\n[machine]\nmetadata = { x = \"1\" }\n").unwrap();
        let options =
            Options { data_dir: Some("/b".into()), metadata: Some("k=v, l=w=2".into()), ..Options::default() };
        let config = Config::build(file, None, &options).unwrap();
        assert_eq!(config.data_dir, Path::new("/b"));
        assert_eq!(config.metadata, BTreeMap::from([("k".into(), "v".into()), ("l".into(), "w=2".into())]));
    }

    #[test]
    fn where_the_cluster_moved_to_counts_more_than_the_file_and_less_than_a_flag() {
        let told = Membership {
            cluster: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            store: flota_etcd::MembershipStore { endpoints: vec!["http://10.0.0.9:2379".to_owned()] },
            tls: None,
        };
        let file = || parse(Path::new("f"), "[store]\nlisten = [\"unix:/run/s\"]\n").unwrap();
        let moved = Config::build(file(), Some(told.clone()), &Options::default()).unwrap();
        assert_eq!(moved.client.endpoints, ["http://10.0.0.9:2379"]);
        assert!(matches!(moved.store, StoreChoice::Remote));
        assert!(matches!(moved.left.as_deref(), Some([Listen::Unix(path)]) if path == Path::new("/run/s")));

        let options = Options { store_listen: vec!["unix:/run/t".to_owned()], ..Options::default() };
        let fixed = Config::build(file(), Some(told), &options).unwrap();
        assert_eq!((fixed.client.endpoints, fixed.membership), (vec!["unix:/run/t".to_owned()], None));
    }

    #[test]
    fn the_gateway_is_on_loopback_and_dockers_bridge_until_it_is_told_otherwise() {
        let listens = |config: Config| config.gateway.map(|listen| (listen.addresses, listen.bridges));
        let loopback: SocketAddr = "127.0.0.1:4001".parse().unwrap();
        assert_eq!(listens(build("").unwrap()), Some((vec![loopback], vec!["docker0".to_owned()])));
        let elsewhere = build("[gateway]\nlisten = [\"10.0.0.1:2379\"]\nbridges = []\n").unwrap();
        assert_eq!(listens(elsewhere), Some((vec!["10.0.0.1:2379".parse().unwrap()], Vec::new())));
        assert_eq!(listens(build("[gateway]\nenabled = false\n").unwrap()), None);
        assert_eq!(listens(build("[gateway]\nlisten = []\nbridges = []\n").unwrap()), None);

        let flag = |text: &str| Options { gateway_listen: vec![text.to_owned()], ..Options::default() };
        assert_eq!(listens(Config::build(File::default(), None, &flag("off")).unwrap()), None);
        let config = Config::build(File::default(), None, &flag("127.0.0.1:2379")).unwrap();
        assert_eq!(config.gateway.unwrap().bridge_port(), 2379);
    }

    #[test]
    fn others_can_ask_a_machine_that_shares_its_store() {
        let remote = "[store]\nendpoints = [\"http://10.0.0.1:2379\"]\n";
        assert_eq!(build("").unwrap().peer, PortChoice::Off);
        let peer = build(remote).unwrap().peer;
        assert_eq!(peer.listen("10.0.0.2"), "10.0.0.2:4002".parse().ok());
        assert_eq!(peer.announced("10.0.0.2").as_deref(), Some("10.0.0.2:4002"));
        assert_eq!(peer.announced("fd00::2").as_deref(), Some("[fd00::2]:4002"));
        assert_eq!(peer.listen("m2.example"), "[::]:4002".parse().ok());
        assert_eq!(peer.announced("m2.example").as_deref(), Some("m2.example:4002"));

        let everywhere = build("[peer]\nlisten = \"0.0.0.0:5000\"\n").unwrap().peer;
        assert_eq!(everywhere.announced("10.0.0.2").as_deref(), Some("10.0.0.2:5000"));
        assert_eq!(build(&format!("[peer]\nlisten = \"off\"\n{remote}")).unwrap().peer, PortChoice::Off);
        let options = Options { peer_listen: Some("127.0.0.1:1".to_owned()), ..Options::default() };
        let config = Config::build(parse(Path::new("f"), remote).unwrap(), None, &options).unwrap();
        assert_eq!(config.peer.announced("10.0.0.2").as_deref(), Some("127.0.0.1:1"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        refused("[store]\nlisten = [\"http://0.0.0.0:2379\"]\n", "everyone on the network");
        refused("[join]\nlisten = \"0.0.0.0:4003\"\n", "needs the cluster's own certificates");
        refused("[store]\nlisten = [\"10.0.0.1:2379\"]\n", "not of the form");
        refused("[store]\nlisten = [\"unix:/a\"]\nendpoints = [\"http://b:1\"]\n", "exclude each other");
        refused("[stor]\n", "unknown field `stor`");
        refused("[machine]\nadress = \"x\"\n", "line 2");
        refused("[cluster]\nlease_seconds = 1\n", "expected 2 to 600");
        refused("[gateway]\nlisten = [\"localhost\"]\n", "gateway.listen `localhost` is not of the form ADDRESS:PORT");
        refused("[peer]\nlisten = \"4002\"\n", "not of the form ADDRESS:PORT");
        refused("[gateway]\nbridges = [\"docker0, br0\"]\n", "not the name of an interface");
    }
}
