//! Looks at who has the ports that the configuration gives to Flota, in the kernel's own tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use flota_daemon::{Config, StoreChoice, default_address};
use flota_doctor::{Blind, Holder, Look, Port, Transport};
use flota_store::Listen;

use super::known;
use super::names::{at, of_interface};

/// The states of `/proc/net` that hold a port: TCP's LISTEN, and that of a UDP socket without a peer.
const LISTENS: [&str; 2] = ["0A", "07"];
/// The daemon's unit.
const SERVICE: &str = "flota.service";

/// A socket that holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    transport: Transport,
    address: SocketAddr,
    inode: u64,
}

pub fn ports(config: Option<&Config>) -> Look<Vec<Port>> {
    let wanted = wanted(known(config)?)?;
    let bound = all_bound()?;
    let holding: BTreeSet<u64> = bound
        .iter()
        .filter(|socket| wanted.iter().any(|port| covers(socket, port)))
        .map(|socket| socket.inode)
        .collect();
    let owners = owners(&holding);
    let held = wanted.into_iter().map(|port| {
        let sockets = bound.iter().filter(|socket| covers(socket, &port)).map(|socket| socket.inode);
        Port { holder: holder(sockets, &owners), ..port }
    });
    Ok(held.collect())
}

/// The ports that the configuration gives to Flota; held by nobody as far as it knows.
fn wanted(config: &Config) -> Look<Vec<Port>> {
    let address = match &config.address {
        Some(address) => address.clone(),
        None => default_address().map_err(|error| Blind::Because(format!("{error:#}")))?,
    };
    let port =
        |purpose, setting, transport, address| Port { purpose, setting, transport, address, holder: Holder::Nobody };
    let tcp = |purpose, setting, address| port(purpose, setting, Transport::Tcp, address);
    let mut ports = Vec::new();
    if let Some(gateway) = &config.gateway {
        ports.extend(gateway.addresses.iter().map(|address| tcp("gateway", "gateway.listen", *address)));
        let bridges = gateway.bridges.iter().filter_map(|name| of_interface(name));
        ports.extend(bridges.map(|ip| tcp("gateway", "gateway.bridges", at(ip, gateway.bridge_port()))));
    }
    if let Some(peer) = config.peer.listen(&address) {
        ports.extend([Transport::Tcp, Transport::Udp].map(|transport| port("peer", "peer.listen", transport, peer)));
    }
    ports.extend(config.join.listen(&address).map(|join| tcp("join", "join.listen", join)));
    if let StoreChoice::Embedded { listen } = &config.store {
        ports.extend(listen.iter().filter_map(|listen| match listen {
            Listen::Tcp(address) | Listen::Tls { addr: address, .. } => Some(tcp("store", "store.listen", *address)),
            Listen::Unix(_) => None,
        }));
    }
    Ok(ports)
}

/// Whether nobody else can have that port while this socket is there.
fn covers(socket: &Bound, port: &Port) -> bool {
    let (has, wants) = (socket.address.ip(), port.address.ip());
    // A socket at all addresses of IPv6 has those of IPv4 too, unless it says otherwise, which the tables do not tell.
    let has_all = has.is_unspecified() && (has.is_ipv6() || wants.is_ipv4());
    socket.transport == port.transport
        && socket.address.port() == port.address.port()
        && (has == wants || has_all || wants.is_unspecified())
}

fn all_bound() -> Look<Vec<Bound>> {
    let tables = [("tcp", Transport::Tcp), ("tcp6", Transport::Tcp), ("udp", Transport::Udp), ("udp6", Transport::Udp)];
    let mut bound = Vec::new();
    for (name, transport) in tables {
        // One without IPv6 has no table of it.
        let Ok(text) = fs::read_to_string(format!("/proc/net/{name}")) else { continue };
        bound.extend(text.lines().filter_map(|line| parse(line, transport)));
    }
    if bound.is_empty() && !super::exists("/proc/net/tcp") {
        return Err(Blind::Because("there is no /proc/net".to_owned()));
    }
    Ok(bound)
}

/// A line of `/proc/net/tcp` and its like, if its socket holds a port.
fn parse(line: &str, transport: Transport) -> Option<Bound> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if !LISTENS.contains(state) {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Bound { transport, address: SocketAddr::new(address(ip)?, port), inode: inode.parse().ok()? })
}

/// An address as the kernel writes it there: words of 32 bits in its own byte order.
fn address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)).to_canonical())
        }
        _ => None,
    }
}

/// A process that has a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    pid: u32,
    program: String,
    unit: Option<String>,
}

impl Owner {
    fn read(pid: u32) -> Owner {
        let text = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        Owner { pid, program: text("comm").trim().to_owned(), unit: unit(&text("cgroup")) }
    }

    /// The daemon: in its unit, or started by hand. In another one's unit it may be a store that runs alone.
    fn is_daemon(&self) -> bool {
        match self.unit.as_deref() {
            Some(unit) if unit.ends_with(".service") => unit == SERVICE,
            _ => self.program == "flota",
        }
    }
}

/// The unit that a process belongs to, by the last part of its control group. In a container the host's hierarchies are seen
/// beside the machine's own, and tell nothing.
fn unit(cgroup: &str) -> Option<String> {
    let paths = cgroup.lines().filter(|line| line.starts_with("0::") || line.contains(":name=systemd:"));
    let is_unit = |part: &&str| matches!(part.rsplit_once('.'), Some((_, "service" | "scope")));
    paths.filter_map(|path| path.rsplit('/').find(is_unit)).map(str::to_owned).next()
}

/// Who has these sockets, as far as this process may see.
fn owners(inodes: &BTreeSet<u64>) -> BTreeMap<u64, Vec<Owner>> {
    let mut owners: BTreeMap<u64, Vec<Owner>> = BTreeMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let sockets: BTreeSet<u64> = files
            .filter_map(|file| {
                let link = fs::read_link(file.path()).ok()?;
                link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
            })
            .filter(|inode| inodes.contains(inode))
            .collect();
        for inode in sockets {
            owners.entry(inode).or_default().push(Owner::read(pid));
        }
    }
    owners
}

fn holder(sockets: impl Iterator<Item = u64>, owners: &BTreeMap<u64, Vec<Owner>>) -> Holder {
    let mut holder = Holder::Nobody;
    for inode in sockets {
        let known = owners.get(&inode).map_or(&[][..], Vec::as_slice);
        if known.iter().any(Owner::is_daemon) {
            return Holder::Flota;
        }
        // A socket that systemd opened for somebody is held by both: the latter says more.
        holder = match known.iter().max_by_key(|owner| owner.pid != 1) {
            Some(Owner { pid, program, unit }) => {
                Holder::Other { program: program.clone(), pid: *pid, unit: unit.clone() }
            }
            None => Holder::Somebody,
        };
    }
    holder
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn port(transport: Transport, address: SocketAddr) -> Port {
        Port { purpose: "test", setting: "test.listen", transport, address, holder: Holder::Nobody }
    }

    #[test]
    fn sockets_of_this_program_are_found_with_their_owner() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp6 = TcpListener::bind("[::]:0").ok();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let wanted = [
            Some(port(Transport::Tcp, tcp.local_addr().unwrap())),
            tcp6.as_ref().map(|it| port(Transport::Tcp, at([127, 0, 0, 1].into(), it.local_addr().unwrap().port()))),
            Some(port(Transport::Udp, udp.local_addr().unwrap())),
        ];
        let bound = all_bound().unwrap();
        for port in wanted.into_iter().flatten() {
            let inodes: BTreeSet<u64> = bound.iter().filter(|it| covers(it, &port)).map(|it| it.inode).collect();
            let found = holder(inodes.iter().copied(), &owners(&inodes));
            assert!(matches!(found, Holder::Other { pid, .. } if pid == std::process::id()), "{port:?}: {found:?}");
        }
        let free = tcp.local_addr().unwrap();
        drop(tcp);
        assert!(!all_bound().unwrap().iter().any(|it| covers(it, &port(Transport::Tcp, free))));
    }

    #[test]
    fn a_socket_at_all_addresses_has_each_of_them() {
        let has = |text: &str, wants: &str| {
            let socket = Bound { transport: Transport::Tcp, address: text.parse().unwrap(), inode: 1 };
            covers(&socket, &port(Transport::Tcp, wants.parse().unwrap()))
        };
        assert!(has("0.0.0.0:4001", "127.0.0.1:4001") && has("[::]:4001", "127.0.0.1:4001"));
        assert!(has("127.0.0.1:4001", "0.0.0.0:4001") && has("127.0.0.1:4001", "127.0.0.1:4001"));
        assert!(!has("0.0.0.0:4001", "[::1]:4001") && !has("127.0.0.1:4001", "127.0.0.2:4001"));
        assert!(!has("127.0.0.1:4001", "127.0.0.1:4002"));
    }

    #[test]
    fn the_unit_of_a_process() {
        assert_eq!(unit("0::/system.slice/nginx.service\n").as_deref(), Some("nginx.service"));
        assert_eq!(unit("1:name=systemd:/system.slice/a.service/sub\n").as_deref(), Some("a.service"));
        assert_eq!(unit("0::/init.scope\n").as_deref(), Some("init.scope"));
        assert_eq!(unit("9:name=systemd:/\n0::/system.slice/a.service\n").as_deref(), Some("a.service"));
        assert_eq!(unit("0::/\n"), None);
    }
}
