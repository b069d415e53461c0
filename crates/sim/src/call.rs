//! What a daemon asks of the store, and what it hears back.

use flota_agent::trust::Shown;
use flota_registry::{ClusterSnapshot, KeyValue, LeaseId, Report, Schedule, Txn};
use flota_unit::UnitHash;

/// Numbers a call within one life of a daemon.
pub(crate) type CallId = u64;

/// A request to the store.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    /// What the store shows of itself.
    Look,
    /// Founds the cluster, if there is none.
    Found,
    /// Renews a lease.
    KeepAlive(LeaseId),
    /// A new lease.
    Grant,
    /// Writes the machine's key.
    Announce(Txn),
    /// What the store has lost of this machine.
    ReadLost,
    /// Puts back what this machine holds.
    PutBack(Schedule),
    /// The leader key and this machine's schedule.
    ReadOwn,
    /// Everything under the prefix.
    Range,
    /// Takes the lead.
    Campaign(Txn),
    /// Writes schedules. `seen` is the revision of what the engine saw.
    Commit { txn: Txn, seen: i64 },
    /// A unit file's text.
    Text(UnitHash),
    /// A report.
    Publish(Report),
}

/// What the store says.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It did it.
    Done,
    /// A compare did not hold, or the lease is gone.
    Refused,
    /// What [`Call::Look`] found, the revision of the cluster's record, the machine's schedule, and whether it is a member.
    Shown(Shown, i64, Option<KeyValue>, bool),
    /// The lease, if it lives, and how far the store is.
    Lease(Option<LeaseId>, i64),
    /// The revision of the machine's schedule, if there is one, and whether the store knows that it belongs to the cluster.
    Lost { schedule: Option<i64>, is_member: bool },
    /// The transaction's revision.
    Committed(i64),
    /// The leader key and the schedule, at a revision.
    Own { revision: i64, leader: Option<KeyValue>, schedule: Option<KeyValue> },
    /// The cluster.
    Cluster(Box<ClusterSnapshot>),
    /// The text's pair, if it is there.
    Text(Option<KeyValue>),
    /// Nothing listens there: the request was not carried out.
    Unreachable,
    /// No answer in time: nobody knows.
    Timeout,
}
