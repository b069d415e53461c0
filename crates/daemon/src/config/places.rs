//! Where the store, the gateway and the ports for other machines are.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use flota_etcd::{ClientConfig, TlsFiles};
use flota_gateway::listen::Listen as GatewayListen;
use flota_store::Listen;

use super::file::GatewaySection;
use super::options::{ConfigError, value};

/// The embedded store's socket where nothing else is configured.
const DEFAULT_STORE_SOCKET: &str = "/run/flota/store.sock";
/// In place of addresses: no discovery gateway, no peer port.
const OFF: &str = "off";
/// Longest name of an interface that the kernel takes.
const MAX_INTERFACE_NAME: usize = 15;

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

    /// Where the embedded store listens.
    pub(super) fn listen(self) -> Option<Vec<Listen>> {
        match self {
            StoreChoice::Embedded { listen } => Some(listen),
            StoreChoice::Remote => None,
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

pub(super) fn chosen<T: Clone>(option: &[T], file: Vec<T>) -> Vec<T> {
    if option.is_empty() { file } else { option.to_vec() }
}

pub(super) fn gateway(option: &[String], section: GatewaySection) -> Result<Option<GatewayListen>, ConfigError> {
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
pub(super) fn port(
    name: &str,
    configured: Option<&str>,
    is_wanted: bool,
    port: u16,
) -> Result<PortChoice, ConfigError> {
    match configured {
        Some(OFF) => Ok(PortChoice::Off),
        Some(text) => match text.parse() {
            Ok(address) => Ok(PortChoice::At(address)),
            Err(_) => Err(value(format!("{name} `{text}` is not of the form ADDRESS:PORT, and not `{OFF}`"))),
        },
        None => Ok(if is_wanted { PortChoice::Announced(port) } else { PortChoice::Off }),
    }
}

pub(super) fn store(
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
