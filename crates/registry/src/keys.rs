//! The key schema: one variant per kind of key, all under one reserved prefix.

use std::fmt;

use flota_unit::{UnitHash, UnitName};

use crate::{MachineId, TokenId};

/// The prefix that is kept for Flota in every version; applications cannot reach what is under it (promise P9).
pub const RESERVED: &str = "/flota/";
/// The prefix of everything that this version writes.
pub const PREFIX: &str = "/flota/v1/";
/// The prefix of all desired units.
pub const UNITS: &str = "/flota/v1/units/";
/// The prefix of all unit file texts.
pub const FILES: &str = "/flota/v1/files/";
/// The prefix of all living machines.
pub const MACHINES: &str = "/flota/v1/machines/";
/// The prefix of all machines that belong to the cluster, alive or not.
pub const MEMBERS: &str = "/flota/v1/members/";
/// The prefix of what people ask of machines as a whole.
pub const CORDONS: &str = "/flota/v1/cordons/";
/// The prefix of what the API says of machines' metadata.
pub const METADATA: &str = "/flota/v1/metadata/";
/// The prefix of all schedules.
pub const SCHEDULES: &str = "/flota/v1/schedules/";
/// The prefix of all reports.
pub const REPORTS: &str = "/flota/v1/reports/";
/// The prefix of what is known of a move of the cluster to another store.
pub const STORE: &str = "/flota/v1/store/";
/// The prefix of what machines say to that.
pub const MOVERS: &str = "/flota/v1/movers/";
/// The prefix of what machines say of the configuration files that confd keeps on them.
pub const CONF: &str = "/flota/v1/conf/";
/// The prefix of all tokens that let machines join.
pub const TOKENS: &str = "/flota/v1/tokens/";

/// A key of Flota's own, and who writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The birth record. Writer: the first daemon; the API when people accept a store.
    Cluster,
    /// A unit file's text, shared by all units with the same content. Writer: the API; the leader collects unused ones.
    File(UnitHash),
    /// A desired unit. Writer: the API; a machine puts one back that an accepted store has lost.
    Unit(UnitName),
    /// A living machine. Writer: that machine.
    Machine(MachineId),
    /// A machine that belongs to the cluster, alive or not. Writer: that machine; the leader removes it.
    Member(MachineId),
    /// What people ask of a machine as a whole. Writer: the API; the leader removes it with the machine.
    Cordon(MachineId),
    /// What a machine's metadata is over its configuration, whether it lives or not. Writer: the API.
    Metadata(MachineId),
    /// A machine's schedule. Writer: the leader, fenced; the machine puts it back where an accepted store has lost it.
    Schedule(MachineId),
    /// A machine's report. Writer: that machine.
    Report(MachineId),
    /// The leader's name. Writer: the leader.
    Leader,
    /// What the leader knows beyond the other keys. Writer: the leader, fenced.
    LeaderNotes,
    /// Where machines join. Writer: the machine with the cluster's certificate authority.
    Door,
    /// What lets machines join. Writer: the API.
    Token(TokenId),
    /// The store that the cluster is to move to, or has moved to. Writer: `flota store migrate`.
    StoreTarget,
    /// There while the cluster has not moved yet; whoever finds a target without it goes there. Writer: `flota store migrate`.
    StoreHold,
    /// What a machine says to a move, for as long as its lease lives. Writer: that machine.
    Mover(MachineId),
    /// How a machine's configuration files are, for as long as its lease lives. Writer: that machine.
    Conf(MachineId),
}

impl Key {
    /// Reads a key back; `None` for a key that this version does not know.
    pub fn parse(text: &str) -> Option<Key> {
        let rest = text.strip_prefix(PREFIX)?;
        match rest.split_once('/') {
            None if rest == "cluster" => Some(Key::Cluster),
            None if rest == "leader" => Some(Key::Leader),
            None if rest == "leader-notes" => Some(Key::LeaderNotes),
            None if rest == "door" => Some(Key::Door),
            None => None,
            Some(("store", "target")) => Some(Key::StoreTarget),
            Some(("store", "hold")) => Some(Key::StoreHold),
            Some(("conf", id)) => id.parse().ok().map(Key::Conf),
            Some(("movers", id)) => id.parse().ok().map(Key::Mover),
            Some(("files", id)) => id.parse().ok().map(Key::File),
            Some(("tokens", id)) => id.parse().ok().map(Key::Token),
            Some(("units", id)) => id.parse().ok().map(Key::Unit),
            Some(("machines", id)) => id.parse().ok().map(Key::Machine),
            Some(("members", id)) => id.parse().ok().map(Key::Member),
            Some(("cordons", id)) => id.parse().ok().map(Key::Cordon),
            Some(("metadata", id)) => id.parse().ok().map(Key::Metadata),
            Some(("schedules", id)) => id.parse().ok().map(Key::Schedule),
            Some(("reports", id)) => id.parse().ok().map(Key::Report),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Cluster => write!(f, "{PREFIX}cluster"),
            Key::File(hash) => write!(f, "{FILES}{hash}"),
            Key::Unit(name) => write!(f, "{UNITS}{name}"),
            Key::Machine(id) => write!(f, "{MACHINES}{id}"),
            Key::Member(id) => write!(f, "{MEMBERS}{id}"),
            Key::Cordon(id) => write!(f, "{CORDONS}{id}"),
            Key::Metadata(id) => write!(f, "{METADATA}{id}"),
            Key::Schedule(id) => write!(f, "{SCHEDULES}{id}"),
            Key::Report(id) => write!(f, "{REPORTS}{id}"),
            Key::Leader => write!(f, "{PREFIX}leader"),
            Key::LeaderNotes => write!(f, "{PREFIX}leader-notes"),
            Key::Door => write!(f, "{PREFIX}door"),
            Key::Token(id) => write!(f, "{TOKENS}{id}"),
            Key::StoreTarget => write!(f, "{STORE}target"),
            Key::StoreHold => write!(f, "{STORE}hold"),
            Key::Mover(id) => write!(f, "{MOVERS}{id}"),
            Key::Conf(id) => write!(f, "{CONF}{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_back() {
        let machine: MachineId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let keys = [
            Key::Cluster,
            Key::Leader,
            Key::LeaderNotes,
            Key::Door,
            Key::Token(TokenId::of(7)),
            Key::File("1c6fb6f3684bafb0c173d8b8b957ceff031180c1".parse().unwrap()),
            Key::Unit("web@1.service".parse().unwrap()),
            Key::Machine(machine.clone()),
            Key::Member(machine.clone()),
            Key::Cordon(machine.clone()),
            Key::Metadata(machine.clone()),
            Key::Schedule(machine.clone()),
            Key::Report(machine.clone()),
            Key::StoreTarget,
            Key::StoreHold,
            Key::Mover(machine.clone()),
            Key::Conf(machine),
        ];
        for key in keys {
            let text = key.to_string();
            assert!(text.starts_with(PREFIX), "{text}");
            assert_eq!(Key::parse(&text), Some(key));
        }
    }

    #[test]
    fn a_foreign_or_malformed_key_is_none() {
        for text in [
            "/elasticsearch/host",
            "/flota/v1/units/",
            "/flota/v1/units/no-suffix",
            "/flota/v1/machines/xyz",
            "/flota/v1/tokens/0000000g",
            "/flota/v1/later/a",
        ] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
    }
}
