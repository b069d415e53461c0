//! What can keep a cluster from moving to another store.

use crate::EtcdError;

/// Why a move did not happen. The old store is as it was, unless a message says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A call to the store that is left.
    #[error("the cluster's store")]
    From(#[source] EtcdError),
    /// A call to the store that is moved to.
    #[error("the new store")]
    To(#[source] EtcdError),
    /// There is nothing to move.
    #[error("there is no cluster in the store that is to be left")]
    NoCluster,
    /// A record of the cluster cannot be read.
    #[error("{key} cannot be read")]
    Value {
        /// Which one.
        key: String,
        /// Why.
        source: flota_registry::CodecError,
    },
    /// A move is under way, or was broken off without a trace of why.
    #[error("a move is under way already; if nobody is at it, `flota store migrate --abort` takes it back")]
    UnderWay,
    /// The store is not the cluster's any more.
    #[error("the cluster has left this store for the one at {endpoints}")]
    Left {
        /// Where it is.
        endpoints: String,
    },
    /// There is no move to take back.
    #[error("no move is under way")]
    NotUnderWay,
    /// Users would be lost.
    #[error(
        "store has users and roles (etcd's auth), which are not moved: remove them, or move with `flota store backup` and restore"
    )]
    HasUsers,
    /// The new store is somebody else's.
    #[error("the new store is not empty: it holds {keys} keys, and none says that this cluster left it")]
    NotEmpty {
        /// How many.
        keys: i64,
    },
    /// Old and new are one.
    #[error("the new store is the one that the cluster is in")]
    Same,
    /// A machine cannot go there.
    #[error("machine {machine} cannot go there: {problem}")]
    Machine {
        /// Which one.
        machine: String,
        /// Its words.
        problem: String,
    },
    /// More leases than are renewed in time.
    #[error("there are more than {limit} leases of applications")]
    TooManyLeases {
        /// The bound.
        limit: usize,
    },
    /// The copy is not the same.
    #[error("the copy differs from the original at key `{key}`")]
    Differs {
        /// Where.
        key: String,
    },
    /// Changes came faster than they could be copied.
    #[error("the copy did not catch up with the store within {seconds} s")]
    Behind {
        /// How long was waited.
        seconds: u64,
    },
}
