//! What a lab is made from, and every name that derives from the lab's own.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use flota_image::Suite;
use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};

/// A lab's longest name: with `vb-`, `-m99` it must fit the kernel's 15 characters of an interface name.
const MAX_LAB_NAME: usize = 8;

/// The most machines in a lab; two digits, and their addresses end at .109.
pub(crate) const MAX_MACHINES: u8 = 99;

/// What a lab is made from.
#[derive(Debug, Clone)]
pub struct LabConfig {
    /// Several labs live side by side under different names and subnets.
    pub name: LabName,
    /// Where labs live; each has a directory of its name in it. Must not be on an overlay file system.
    pub state_dir: PathBuf,
    /// Node images and container images; `down` leaves it.
    pub cache_dir: PathBuf,
    /// The network of a new lab; a lab that exists keeps its own.
    pub subnet: Subnet,
    /// How many machines `up` shall see to; it never takes one away.
    pub machines: u8,
    /// Debian of new machines.
    pub suite: Suite,
    /// The tree or archive of an image for new machines, instead of one that the lab makes.
    pub image: Option<PathBuf>,
    /// What keeps the state of a new lab's cluster; a lab that exists keeps its own.
    pub store: Store,
    /// What is installed on new machines.
    pub base: Base,
    /// Debian packages on new machines beside those of `base`.
    pub packages: Vec<String>,
    /// The `flota` program to install into machines; none leaves them without Flota.
    pub binary: Option<PathBuf>,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            name: LabName("flota".to_owned()),
            state_dir: PathBuf::from("/var/lib/flota-lab"),
            cache_dir: PathBuf::from("/var/cache/flota-lab"),
            subnet: Subnet([10, 78, 0]),
            machines: 3,
            suite: Suite::Trixie,
            image: None,
            store: Store::Embedded,
            base: Base::Node,
            packages: Vec::new(),
            binary: None,
        }
    }
}

/// A lab's name: 1 to 8 of `a-z0-9-`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabName(String);

impl LabName {
    /// The host's bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("flab-{}", self.0)
    }

    /// The host's end of a machine's cable (systemd-nspawn names it after its machine).
    pub(crate) fn cable(&self, machine: &str) -> String {
        format!("vb-{}", self.nspawn_machine(machine))
    }

    /// The machine's name for systemd-nspawn, unique on the host.
    pub(crate) fn nspawn_machine(&self, machine: &str) -> String {
        format!("{}-{machine}", self.0)
    }

    /// The parent cgroup of the lab's machines where no systemd rules the host.
    pub(crate) fn cgroup(&self) -> String {
        format!("flota-lab-{}", self.0)
    }

    /// The transient unit of a machine where systemd rules the host.
    pub(crate) fn host_unit(&self, machine: &str) -> String {
        format!("flota-lab-{}-{machine}.service", self.0)
    }

    /// The nftables table of a machine's faulty cable.
    pub(crate) fn nft_table(&self, machine: &str) -> String {
        format!("{}{machine}", self.nft_tables())
    }

    /// How the names of all the lab's nftables tables begin (nft knows no `-` in names; lab names no `_` and no `.`).
    pub(crate) fn nft_tables(&self) -> String {
        format!("flota_lab_{}.", self.0.replace('-', "_"))
    }
}

impl FromStr for LabName {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.len() <= MAX_LAB_NAME && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(good) {
            return Ok(Self(text.to_owned()));
        }
        Err(LabError::Config {
            what: "lab name",
            value: text.to_owned(),
            why: "must be 1 to 8 of a-z, 0-9 and -, a letter first",
        })
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An IPv4 network of 24 bits, the host at .1 and machine N at .(10+N).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Subnet([u8; 3]);

impl Subnet {
    /// The host's address, on the bridge.
    pub fn host(self) -> Ipv4Addr {
        self.address(1)
    }

    /// The address of machine `index`, counted from 1.
    pub fn machine(self, index: u8) -> Ipv4Addr {
        self.address(10 + index)
    }

    /// Whether a network of the host has addresses in common with this one.
    pub(crate) fn overlaps(self, address: Ipv4Addr, prefix: u8) -> bool {
        let common = u32::from(prefix.min(24));
        let mask = u32::MAX.checked_shl(32 - common).unwrap_or(0);
        u32::from(self.address(0)) & mask == u32::from(address) & mask
    }

    fn address(self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, last)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/24", self.address(0))
    }
}

impl FromStr for Subnet {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        let address = text.strip_suffix("/24").and_then(|a| a.parse::<Ipv4Addr>().ok());
        match address.map(|a| a.octets()) {
            Some([a, b, c, 0]) => Ok(Self([a, b, c])),
            _ => Err(LabError::Config { what: "subnet", value: text.to_owned(), why: "must look like 10.78.0.0/24" }),
        }
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = LabError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// What keeps the cluster's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The store in the daemon of the first machine.
    #[default]
    Embedded,
    /// Debian's etcd on the first three machines, or on the only one.
    Etcd,
}

impl Store {
    /// How many of a lab's `machines` have a member of etcd: those with the lowest numbers. Two would need each other.
    pub(crate) fn members(self, machines: u8) -> u8 {
        match self {
            Self::Embedded => 0,
            Self::Etcd if machines < 3 => 1,
            Self::Etcd => 3,
        }
    }
}

impl FromStr for Store {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "etcd" => Ok(Self::Etcd),
            _ => Err(LabError::Config { what: "store", value: text.to_owned(), why: "must be embedded or etcd" }),
        }
    }
}

/// What is installed on a machine before anybody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// All that a node of a cluster needs but Flota itself.
    #[default]
    Node,
    /// Debian as a provider hands it out: systemd, ssh and Python, and neither Docker nor etcd.
    Stock,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_from_the_subnet() {
        let subnet: Subnet = "10.78.4.0/24".parse().unwrap();
        assert_eq!(subnet.host(), Ipv4Addr::new(10, 78, 4, 1));
        assert_eq!(subnet.machine(1), Ipv4Addr::new(10, 78, 4, 11));
        assert_eq!(subnet.machine(MAX_MACHINES), Ipv4Addr::new(10, 78, 4, 109));
        assert_eq!(subnet.to_string(), "10.78.4.0/24");
        for bad in ["10.78.4.1/24", "10.78.4.0/16", "10.78.4.0", "", "fd00::/24"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[track_caller]
    fn check_overlap(network: [u8; 4], prefix: u8, expect: bool) {
        let subnet: Subnet = "10.78.4.0/24".parse().unwrap();
        assert_eq!(subnet.overlaps(Ipv4Addr::from(network), prefix), expect);
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        check_overlap([10, 78, 4, 0], 24, true);
        check_overlap([10, 78, 4, 128], 25, true);
        check_overlap([10, 78, 4, 7], 32, true);
        check_overlap([10, 0, 0, 0], 8, true);
        check_overlap([0, 0, 0, 0], 0, true);
        check_overlap([10, 78, 5, 0], 24, false);
        check_overlap([172, 17, 0, 0], 16, false);
    }

    #[test]
    fn names_fit_the_kernel() {
        let name: LabName = "a-longer".parse().unwrap();
        assert!(name.cable("m99").len() <= 15);
        assert!(name.bridge().len() <= 15);
        assert_eq!(name.nft_table("m1"), "flota_lab_a_longer.m1");
        for bad in ["", "too-long-x", "Upper", "1st", "-x", "a_b", "a/b", "a b"] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subnet_survives_the_state_file() {
        let subnet: Subnet = "10.9.8.0/24".parse().unwrap();
        let text = serde_json::to_string(&subnet).unwrap();
        assert_eq!(text, "\"10.9.8.0/24\"");
        assert_eq!(serde_json::from_str::<Subnet>(&text).unwrap(), subnet);
        assert!(serde_json::from_str::<Subnet>("\"10.9.8.7/24\"").is_err());
    }
}
