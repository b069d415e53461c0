//! Looks at names: this machine's, those of the store's members, and who tells them.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use flota_daemon::Config;
use flota_doctor::{Blind, Identity, Look, NameServer, Names, StoreMember};
use flota_registry::MachineId;
use futures_util::future::join_all;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::known;
use super::look::within;

/// Name servers that the C library asks.
const MAX_SERVERS: usize = 3;
/// How long a name server has for each of two questions, and a member of the store for a connection.
const ANSWER: Duration = Duration::from_secs(2);
/// The question for the root's name servers, which every name server takes: DNS header, empty name, type NS, class IN.
const QUESTION: [u8; 17] = [0xf1, 0x07, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

pub async fn names() -> Look<Names> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let addresses = async {
        let found = lookup_host((host.as_str(), 0)).await;
        Ok(found.map(|found| found.map(|at| at.ip()).collect()).map_err(|error| error.to_string()))
    };
    let configured = servers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let asked = join_all(
        configured.into_iter().map(|address| async move { NameServer { address, answers: answers(address).await } }),
    );
    let (resolved, servers) = tokio::join!(within("the resolver", addresses), asked);
    Ok(Names { host, resolved, servers })
}

/// The name servers of a `resolv.conf`.
fn servers(resolv_conf: &str) -> Vec<IpAddr> {
    let lines = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
    addresses.take(MAX_SERVERS).collect()
}

/// Whether a name server says anything; datagrams get lost, so it is asked twice.
async fn answers(server: IpAddr) -> bool {
    for _ in 0..2 {
        if let Ok(Ok(())) = timeout(ANSWER, ask(server)).await {
            return true;
        }
    }
    false
}

async fn ask(server: IpAddr) -> io::Result<()> {
    let own = if server.is_ipv4() { IpAddr::from([0, 0, 0, 0]) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect((server, 53)).await?;
    socket.send(&QUESTION).await?;
    let mut answer = [0; 512];
    while socket.recv(&mut answer).await? < 12 || answer[..2] != QUESTION[..2] {}
    Ok(())
}

/// Whether a connection can be made to each member of a store that is elsewhere.
pub async fn store(config: Option<&Config>) -> Look<Vec<StoreMember>> {
    let config = known(config)?;
    if config.has_store() {
        return Ok(Vec::new());
    }
    let member = async |endpoint: &String| StoreMember { endpoint: endpoint.clone(), reached: reached(endpoint).await };
    Ok(join_all(config.client.endpoints.iter().map(member)).await)
}

async fn reached(endpoint: &str) -> Result<(), String> {
    let Some((_, place)) = endpoint.split_once("://") else { return Ok(()) };
    match timeout(ANSWER, TcpStream::connect(place)).await {
        Ok(connected) => connected.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no connection within {} s", ANSWER.as_secs())),
    }
}

/// Who this machine is, to itself and to the cluster.
pub fn identity(config: Option<&Config>, announced: Option<String>) -> Look<Identity> {
    let text = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let machine_id: Result<MachineId, _> = text.trim().parse();
    let addresses =
        if_addrs::get_if_addrs().map_err(|error| Blind::Because(format!("cannot list addresses: {error}")))?;
    Ok(Identity {
        machine_id: machine_id.map(|id| id.to_string()).map_err(|error| format!("/etc/machine-id: {error}")),
        announced,
        addresses: addresses.iter().map(if_addrs::Interface::ip).collect(),
        configured: config.and_then(|config| config.address.clone()),
    })
}

/// The first address of an interface, if it has one of IPv4.
pub fn of_interface(name: &str) -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().find(|it| it.name == name && it.ip().is_ipv4()).map(|it| it.ip())
}

/// An address with a port.
pub fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_of_the_file_that_the_resolver_reads() {
        let text = "# made by hand\nnameserver 10.0.0.53\nsearch example\n  nameserver ::1 # local\nnameserver x\n";
        assert_eq!(servers(text), [IpAddr::from([10, 0, 0, 53]), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert_eq!(servers(&"nameserver 10.0.0.1\n".repeat(5)).len(), MAX_SERVERS);
    }

    #[tokio::test]
    async fn a_member_that_nobody_listens_for_is_told_with_the_reason() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        assert_eq!(reached(&endpoint).await, Ok(()));
        drop(listener);
        assert!(reached(&endpoint).await.unwrap_err().contains("refused"));
        assert!(reached("https://no-such-host.invalid:2379").await.is_err());
    }
}
