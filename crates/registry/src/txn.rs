//! Intents as transactions: what must still be true, and what is then written at once.

use flota_unit::{UnitFile, UnitHash, UnitName};
use serde::{Deserialize, Serialize};

use crate::codec::encode;
use crate::snapshot::FileText;
use crate::{
    Cluster, ConfReport, Cordon, DesiredState, DesiredUnit, Door, JoinToken, Key, Leader, LeaderNotes, Machine,
    MachineId, Member, MetadataOverlay, Report, Schedule, TokenId,
};

/// Most writes in one transaction. etcd's own default limit is 128 per branch, compares counted apart.
pub const MAX_OPS_PER_TXN: usize = 100;
/// Most bytes of values in one transaction; etcd refuses a request above 1.5 MiB.
pub const MAX_TXN_BYTES: usize = 1_200_000;

/// A lease's number in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// The top 16 bits of the ids of Flota's own leases: "fl", so that a person knows them in `etcdctl lease list`.
    const OWN: u64 = 0x666c;

    /// An id for a lease of Flota's own, told apart from other such leases by the low 48 bits of `number`.
    pub const fn own(number: u64) -> LeaseId {
        LeaseId(((LeaseId::OWN << 48) | (number & 0xffff_ffff_ffff)) as i64)
    }

    /// Whether this is the id of a lease of Flota's own, which applications cannot touch (promise P9).
    pub const fn is_own(self) -> bool {
        (self.0 as u64) >> 48 == LeaseId::OWN
    }
}

/// What must hold for a transaction to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key does not exist.
    Absent(String),
    /// The key was last changed by this revision.
    Unchanged {
        /// Which key.
        key: String,
        /// Its `mod_revision`.
        mod_revision: i64,
    },
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put {
        /// Which.
        key: String,
        /// To what.
        value: Vec<u8>,
        /// The lease that it dies with.
        lease: Option<LeaseId>,
    },
    /// Removes a key.
    Delete {
        /// Which.
        key: String,
    },
}

/// Compares and, if all hold, writes: one step in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold.
    pub compares: Vec<Compare>,
    /// Carried out together, or not at all.
    pub ops: Vec<Op>,
}

impl Txn {
    /// The bytes of all values.
    pub fn value_bytes(&self) -> usize {
        self.ops.iter().map(|op| if let Op::Put { value, .. } = op { value.len() } else { 0 }).sum()
    }

    fn put<T: Serialize>(mut self, key: &Key, value: &T, lease: Option<LeaseId>) -> Txn {
        self.ops.push(Op::Put { key: key.to_string(), value: encode(value), lease });
        self
    }

    fn delete(mut self, key: &Key) -> Txn {
        self.ops.push(Op::Delete { key: key.to_string() });
        self
    }

    fn if_at(mut self, key: &Key, seen: Option<i64>) -> Txn {
        let key = key.to_string();
        self.compares.push(match seen {
            Some(mod_revision) => Compare::Unchanged { key, mod_revision },
            None => Compare::Absent(key),
        });
        self
    }
}

/// Proof of leadership: the leader key as the leader wrote it. Every schedule write compares it (promise P3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The `mod_revision` of [`Key::Leader`]; a leader writes the key once.
    pub mod_revision: i64,
}

/// A schedule to write, and the `mod_revision` of the one that it follows (none: there is none yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleWrite {
    /// Whose.
    pub machine: MachineId,
    /// The new value.
    pub schedule: Schedule,
    /// What it replaces.
    pub seen: Option<i64>,
    /// Whether the machine is away, as far as the leader knows. One that comes back meanwhile has not lost anything.
    pub is_away: bool,
}

/// Founds the cluster, unless somebody did.
pub fn create_cluster(cluster: &Cluster) -> Txn {
    Txn::default().if_at(&Key::Cluster, None).put(&Key::Cluster, cluster, None)
}

/// Takes a store for the truth that machines do not believe: replaces the cluster's record, if it is still as `seen`
/// (none: there is none, for the store was wiped).
pub fn accept_store(cluster: &Cluster, seen: Option<i64>) -> Txn {
    Txn::default().if_at(&Key::Cluster, seen).put(&Key::Cluster, cluster, None)
}

/// Puts a schedule back into a store that lost it, unless there is one again. The one case in which the machine itself
/// writes it: nobody else knows what it held.
pub fn put_back_schedule(id: &MachineId, schedule: &Schedule) -> Txn {
    let key = Key::Schedule(id.clone());
    Txn::default().if_at(&key, None).put(&key, schedule, None)
}

/// Stores a unit and its text, if the unit is still as `seen` (its `mod_revision`; none: it did not exist).
///
/// The text is written every time, even when it is known: its new `mod_revision` tells the collector of
/// unused texts ([`collect_files`]) that somebody wants it.
pub fn put_unit(name: &UnitName, unit: &DesiredUnit, file: &UnitFile, seen: Option<i64>) -> Txn {
    let key = Key::Unit(name.clone());
    let text = FileText { text: file.text().to_owned() };
    Txn::default().if_at(&key, seen).put(&Key::File(unit.hash), &text, None).put(&key, unit, None)
}

/// Forgets a unit, if it is still as `seen`.
pub fn destroy_unit(name: &UnitName, seen: i64) -> Txn {
    let key = Key::Unit(name.clone());
    Txn::default().if_at(&key, Some(seen)).delete(&key)
}

/// Announces a machine for as long as `lease` lives.
pub fn put_machine(id: &MachineId, machine: &Machine, lease: LeaseId) -> Txn {
    Txn::default().put(&Key::Machine(id.clone()), machine, Some(lease))
}

/// Writes that a machine belongs to the cluster, or that it goes down.
pub fn put_member(id: &MachineId, member: &Member) -> Txn {
    Txn::default().put(&Key::Member(id.clone()), member, None)
}

/// Metadata to write, and the `mod_revision` of what it follows (none: there is none yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataWrite {
    /// Whose.
    pub machine: MachineId,
    /// The new value.
    pub overlay: MetadataOverlay,
    /// What it replaces.
    pub seen: Option<i64>,
}

/// Changes the metadata of some machines at once, if all are still as they were seen.
pub fn put_metadata(writes: &[MetadataWrite]) -> Txn {
    writes.iter().fold(Txn::default(), |txn, write| {
        let key = Key::Metadata(write.machine.clone());
        txn.if_at(&key, write.seen).put(&key, &write.overlay, None)
    })
}

/// Says what is asked of a machine as a whole, if nobody said otherwise since `seen` (the `mod_revision` of what it
/// replaces; none: nothing was asked).
pub fn put_cordon(id: &MachineId, cordon: &Cordon, seen: Option<i64>) -> Txn {
    let key = Key::Cordon(id.clone());
    Txn::default().if_at(&key, seen).put(&key, cordon, None)
}

/// Takes back what is asked of a machine as a whole, if it is still as `seen`.
pub fn remove_cordon(id: &MachineId, seen: i64) -> Txn {
    let key = Key::Cordon(id.clone());
    Txn::default().if_at(&key, Some(seen)).delete(&key)
}

/// What a removed machine's records were when the leader found that nothing is left to be done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// Whose.
    pub machine: MachineId,
    /// The `mod_revision` of the word that removes it.
    pub cordon: i64,
    /// The `mod_revision` of its empty schedule, if it ever had one.
    pub schedule: Option<i64>,
}

/// Forgets a removed machine: everything that the store knows of it goes, if the writer still leads, the word that
/// removes it and its schedule are as they were seen, and the machine is not there.
pub fn forget_machine(fence: Fence, left: &Leftovers) -> Txn {
    let (cordon, schedule) = (Key::Cordon(left.machine.clone()), Key::Schedule(left.machine.clone()));
    let txn = Txn::default()
        .if_at(&Key::Leader, Some(fence.mod_revision))
        .if_at(&cordon, Some(left.cordon))
        .if_at(&schedule, left.schedule)
        .if_at(&Key::Machine(left.machine.clone()), None);
    let others = [Key::Report, Key::Metadata, Key::Member].map(|key| key(left.machine.clone()));
    others.iter().fold(txn.delete(&schedule).delete(&cordon), Txn::delete)
}

/// Makes units inactive that stay on a machine which leaves: nobody is to start a second copy. Their texts stay. Each
/// has its content and the `mod_revision` that it was seen at.
pub fn withdraw_units(units: &[(UnitName, UnitHash, i64)]) -> Txn {
    units.iter().fold(Txn::default(), |txn, (name, hash, seen)| {
        let key = Key::Unit(name.clone());
        let unit = DesiredUnit { hash: *hash, desired: DesiredState::Inactive };
        txn.if_at(&key, Some(*seen)).put(&key, &unit, None)
    })
}

/// Takes a machine's own leave: it is removed by its own word, and does not live any more. What else the store knows of
/// it is for the leader to forget.
pub fn leave_cluster(id: &MachineId, cordon: &Cordon, seen: Option<i64>) -> Txn {
    let own = [Key::Report, Key::Machine, Key::Conf].map(|key| key(id.clone()));
    own.iter().fold(put_cordon(id, cordon, seen), Txn::delete)
}

/// Publishes a machine's report for as long as `lease` lives.
pub fn publish_report(id: &MachineId, report: &Report, lease: LeaseId) -> Txn {
    Txn::default().put(&Key::Report(id.clone()), report, Some(lease))
}

/// Tells how a machine's configuration files are, for as long as `lease` lives; where there are none, nothing is told.
pub fn publish_conf(id: &MachineId, report: &ConfReport, lease: LeaseId) -> Txn {
    let key = Key::Conf(id.clone());
    if report.sources.is_empty() {
        return Txn::default().delete(&key);
    }
    Txn::default().put(&key, report, Some(lease))
}

/// Says where machines join, for as long as `lease` lives.
pub fn open_door(door: &Door, lease: LeaseId) -> Txn {
    Txn::default().put(&Key::Door, door, Some(lease))
}

/// Makes a token that lets machines in until `lease` ends, if there is none of that name.
pub fn put_token(id: &TokenId, token: &JoinToken, lease: LeaseId) -> Txn {
    let key = Key::Token(id.clone());
    Txn::default().if_at(&key, None).put(&key, token, Some(lease))
}

/// Takes a token away, if it is still as `seen`.
pub fn revoke_token(id: &TokenId, seen: i64) -> Txn {
    let key = Key::Token(id.clone());
    Txn::default().if_at(&key, Some(seen)).delete(&key)
}

/// Takes the lead for as long as `lease` lives, if the leader key is still as `seen`. `seen` is a revision
/// only where a machine takes over its own key of before its daemon restarted.
pub fn campaign(machine: &MachineId, lease: LeaseId, seen: Option<i64>) -> Txn {
    let leader = Leader { machine: machine.clone() };
    Txn::default().if_at(&Key::Leader, seen).put(&Key::Leader, &leader, Some(lease))
}

/// Writes schedules, if the writer still leads, each schedule is still the one it was derived from, and who was away is.
pub fn commit_schedules(fence: Fence, writes: &[ScheduleWrite]) -> Txn {
    let txn = Txn::default().if_at(&Key::Leader, Some(fence.mod_revision));
    writes.iter().fold(txn, |txn, write| {
        let key = Key::Schedule(write.machine.clone());
        let txn = txn.if_at(&key, write.seen).put(&key, &write.schedule, None);
        if write.is_away { txn.if_at(&Key::Machine(write.machine.clone()), None) } else { txn }
    })
}

/// Writes down what the leader knows, if the writer still leads.
pub fn put_leader_notes(fence: Fence, notes: &LeaderNotes) -> Txn {
    Txn::default().if_at(&Key::Leader, Some(fence.mod_revision)).put(&Key::LeaderNotes, notes, None)
}

/// Removes unit file texts that nothing refers to, if the writer still leads and no submit touched them since
/// (each with the `mod_revision` it was seen at).
pub fn collect_files(fence: Fence, unused: &[(UnitHash, i64)]) -> Txn {
    let txn = Txn::default().if_at(&Key::Leader, Some(fence.mod_revision));
    unused.iter().fold(txn, |txn, (hash, seen)| {
        let key = Key::File(*hash);
        txn.if_at(&key, Some(*seen)).delete(&key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterId, CordonMode, Generation};

    fn machine() -> MachineId {
        "0123456789abcdef0123456789abcdef".parse().unwrap()
    }

    #[test]
    fn a_schedule_write_is_fenced_by_the_lead_by_what_it_replaces_and_by_its_machines_absence() {
        let cluster: ClusterId = "00000000000000000000000000000001".parse().unwrap();
        let schedule = Schedule { cluster, generation: Generation(4), units: Default::default() };
        let write = ScheduleWrite { machine: machine(), schedule, seen: Some(9), is_away: true };
        let txn = commit_schedules(Fence { mod_revision: 7 }, &[write]);
        assert_eq!(
            txn.compares,
            [
                Compare::Unchanged { key: "/flota/v1/leader".into(), mod_revision: 7 },
                Compare::Unchanged { key: format!("/flota/v1/schedules/{}", machine()), mod_revision: 9 },
                Compare::Absent(format!("/flota/v1/machines/{}", machine())),
            ]
        );
        assert_eq!(txn.ops.len(), 1);
    }

    #[test]
    fn a_submit_touches_the_text_so_that_it_is_not_collected() {
        let file = UnitFile::parse("[Service]\nExecStart=/bin/sleep 100\n").unwrap();
        let unit = DesiredUnit { hash: file.hash(), desired: DesiredState::Inactive };
        let txn = put_unit(&"a.service".parse().unwrap(), &unit, &file, None);
        assert_eq!(txn.compares, [Compare::Absent("/flota/v1/units/a.service".into())]);
        let keys: Vec<_> = txn
            .ops
            .iter()
            .map(|op| matches!(op, Op::Put { key, .. } if key.contains(&unit.hash.to_string())))
            .collect();
        assert_eq!(keys, [true, false]);
    }

    #[test]
    fn a_removed_machine_is_forgotten_only_by_the_leader_and_only_while_it_is_away() {
        let left = Leftovers { machine: machine(), cordon: 5, schedule: Some(6) };
        let txn = forget_machine(Fence { mod_revision: 7 }, &left);
        let unchanged =
            |key: String, mod_revision| Compare::Unchanged { key: format!("/flota/v1/{key}"), mod_revision };
        assert_eq!(
            txn.compares,
            [
                unchanged("leader".to_owned(), 7),
                unchanged(format!("cordons/{}", machine()), 5),
                unchanged(format!("schedules/{}", machine()), 6),
                Compare::Absent(format!("/flota/v1/machines/{}", machine())),
            ]
        );
        let gone: Vec<&str> =
            txn.ops.iter().map(|op| if let Op::Delete { key } = op { key.as_str() } else { "" }).collect();
        for kind in ["schedules", "cordons", "reports", "metadata", "members"] {
            assert!(gone.contains(&format!("/flota/v1/{kind}/{}", machine()).as_str()), "{kind}: {gone:?}");
        }
    }

    #[test]
    fn two_people_do_not_overwrite_each_others_cordon() {
        let cordon = Cordon { mode: CordonMode::Draining, reason: None, since_unix_ms: 1 };
        let key = format!("/flota/v1/cordons/{}", machine());
        assert_eq!(put_cordon(&machine(), &cordon, None).compares, [Compare::Absent(key.clone())]);
        let txn = remove_cordon(&machine(), 4);
        assert_eq!(txn.compares, [Compare::Unchanged { key: key.clone(), mod_revision: 4 }]);
        assert_eq!(txn.ops, [Op::Delete { key }]);
    }

    #[test]
    fn the_lead_is_taken_only_from_nobody_or_from_oneself() {
        assert_eq!(campaign(&machine(), LeaseId(1), None).compares, [Compare::Absent("/flota/v1/leader".into())]);
        let txn = campaign(&machine(), LeaseId(1), Some(3));
        assert_eq!(txn.compares, [Compare::Unchanged { key: "/flota/v1/leader".into(), mod_revision: 3 }]);
    }
}
