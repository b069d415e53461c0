//! From what a machine is told to what is to be done, in order.

use std::collections::BTreeMap;
use std::fmt;

use super::coreos::UnitEntry;
use super::metadata::MetaData;
use super::settings::{JoinEntry, Settings};
use super::userdata::{FileEntry, UserData, UserEntry};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Give the machine its name, and the full one if there is one.
    Name {
        /// The host name.
        hostname: String,
        /// With its domain.
        fqdn: Option<String>,
    },
    /// Add a user, or its groups and rights where it is there.
    User(UserEntry),
    /// Let these keys log in.
    Keys {
        /// As this user.
        user: String,
        /// The public keys.
        keys: Vec<String>,
    },
    /// Variables for `/etc/environment`.
    Environment(BTreeMap<String, String>),
    /// Write a file.
    File(FileEntry),
    /// Write into `flota.toml`.
    Flota(Settings),
    /// Settings of Debian's etcd, without `ETCD_`.
    Etcd(BTreeMap<String, String>),
    /// Write, enable and start units, in order.
    Units(Vec<UnitEntry>),
    /// Join a cluster, once the daemon runs.
    Join(JoinEntry),
}

/// What is to be done. Users come before files, which may be theirs, and files before units, which may read them.
pub fn plan(metadata: &MetaData, data: UserData, default_user: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let full = data.fqdn.clone().or_else(|| data.hostname.clone()).or_else(|| metadata.hostname.clone());
    if let Some(full) = full {
        let hostname = data.hostname.clone().unwrap_or_else(|| short(&full));
        steps.push(Step::Name { hostname: short(&hostname), fqdn: full.contains('.').then_some(full) });
    }
    for user in &data.users {
        steps.push(Step::User(user.clone()));
        if !user.ssh_keys.is_empty() {
            steps.push(Step::Keys { user: user.name.clone(), keys: user.ssh_keys.clone() });
        }
    }
    let keys: Vec<String> = metadata.ssh_keys.iter().chain(&data.ssh_keys).cloned().collect();
    if !keys.is_empty() {
        steps.push(Step::Keys { user: default_user.to_owned(), keys });
    }
    // Units of 2015 read these.
    let addresses = [("COREOS_PRIVATE_IPV4", &metadata.private_ipv4), ("COREOS_PUBLIC_IPV4", &metadata.public_ipv4)];
    let environment: BTreeMap<String, String> =
        addresses.into_iter().filter_map(|(name, address)| Some((name.to_owned(), address.clone()?))).collect();
    if !environment.is_empty() {
        steps.push(Step::Environment(environment));
    }
    steps.extend(data.files.into_iter().map(Step::File));
    let coreos = data.coreos;
    let mut flota = data.flota;
    let join = flota.join.take();
    // What is said in the section of today counts more.
    flota.address = flota.address.or(coreos.address);
    flota.metadata = coreos.metadata.into_iter().chain(flota.metadata).collect();
    if flota.endpoints.is_empty() {
        flota.endpoints = coreos.endpoints;
    }
    if flota != Settings::default() {
        steps.push(Step::Flota(flota));
    }
    if !coreos.etcd.is_empty() {
        steps.push(Step::Etcd(coreos.etcd));
    }
    if !coreos.units.is_empty() {
        steps.push(Step::Units(coreos.units));
    }
    steps.extend(join.map(Step::Join));
    steps
}

/// In words; secrets are not among them.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &BTreeMap<String, String>| pairs.keys().cloned().collect::<Vec<_>>().join(", ");
        match self {
            Self::Name { hostname, fqdn: None } => write!(f, "host name {hostname}"),
            Self::Name { hostname, fqdn: Some(fqdn) } => write!(f, "host name {hostname} ({fqdn})"),
            Self::User(user) => write!(f, "user {}", user.name),
            Self::Keys { user, keys } => write!(f, "{} ssh keys of {user}", keys.len()),
            Self::Environment(variables) => write!(f, "{} in /etc/environment", names(variables)),
            Self::File(file) => write!(f, "file {} ({} bytes, mode {:04o})", file.path, file.content.len(), file.mode),
            Self::Flota(_) => f.write_str("settings in /etc/flota/flota.toml"),
            Self::Etcd(variables) => write!(f, "settings of etcd: {}", names(variables)),
            Self::Units(units) => {
                let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
                write!(f, "units {}", names.join(", "))
            }
            Self::Join(join) => write!(f, "join the cluster at {}", join.address),
        }
    }
}
