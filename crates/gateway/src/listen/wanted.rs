//! Which addresses to listen at, from the configuration and the machine's interfaces. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// etcd's first client port, which clients of its v2 API still try by themselves.
pub const DEFAULT_PORT: u16 = 4001;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Addresses, whether they are there yet or not.
    pub addresses: Vec<SocketAddr>,
    /// Interfaces whose IPv4 addresses are listened at too, at [`Listen::bridge_port`].
    pub bridges: Vec<String>,
}

impl Listen {
    /// The port at the bridges: that of the first address.
    pub fn bridge_port(&self) -> u16 {
        self.addresses.first().map_or(DEFAULT_PORT, SocketAddr::port)
    }

    /// The addresses to listen at now. An address that another one covers (`0.0.0.0`) is left out.
    pub(super) fn wanted(&self, interfaces: &[(String, Ipv4Addr)]) -> BTreeSet<SocketAddr> {
        let port = self.bridge_port();
        let bridges = interfaces.iter().filter(|(name, _)| self.bridges.contains(name));
        let bridges = bridges.map(|(_, address)| SocketAddr::new(IpAddr::V4(*address), port));
        let all: BTreeSet<SocketAddr> = self.addresses.iter().copied().chain(bridges).collect();
        let is_covered = |address: &SocketAddr| {
            all.iter().any(|other| {
                let same_kind = other.is_ipv4() == address.is_ipv4();
                other != address && other.ip().is_unspecified() && other.port() == address.port() && same_kind
            })
        };
        all.iter().filter(|address| !is_covered(address)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(addresses: &[&str], interfaces: &[(&str, [u8; 4])]) -> Vec<String> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let listen = Listen { addresses, bridges: vec!["docker0".to_owned()] };
        let interfaces: Vec<_> =
            interfaces.iter().map(|(name, ip)| ((*name).to_owned(), Ipv4Addr::from(*ip))).collect();
        listen.wanted(&interfaces).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_bridge_is_listened_at_as_long_as_it_has_an_address() {
        let loopback = ["127.0.0.1:4001"];
        assert_eq!(wanted(&loopback, &[("eth0", [192, 0, 2, 1])]), loopback);
        let with_bridge = [("eth0", [192, 0, 2, 1]), ("docker0", [172, 17, 0, 1]), ("docker0", [172, 18, 0, 1])];
        assert_eq!(wanted(&loopback, &with_bridge), ["127.0.0.1:4001", "172.17.0.1:4001", "172.18.0.1:4001"]);
    }

    #[test]
    fn bridges_have_the_port_of_the_first_address() {
        let bridge = [("docker0", [172, 17, 0, 1])];
        assert_eq!(wanted(&["127.0.0.1:2379"], &bridge), ["127.0.0.1:2379", "172.17.0.1:2379"]);
        assert_eq!(wanted(&[], &bridge), ["172.17.0.1:4001"]);
    }

    #[test]
    fn all_addresses_cover_each_one() {
        assert_eq!(wanted(&["0.0.0.0:4001"], &[("docker0", [172, 17, 0, 1])]), ["0.0.0.0:4001"]);
        assert_eq!(wanted(&["127.0.0.1:2379", "0.0.0.0:4001"], &[]), ["0.0.0.0:4001", "127.0.0.1:2379"]);
    }
}
