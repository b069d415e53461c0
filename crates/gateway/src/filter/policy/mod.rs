//! What applications may do, as functions over requests: no store, no clock, no connection.
//!
//! Each function takes a request and gives back what the store may be asked instead, or a [`Refusal`]. What comes back is, together with
//! the way to read the store's answer, what a store without `/flota/` would have answered at the same revision.

mod keys;
mod lease;
mod range;
mod refusal;
mod txn;
mod watch;

#[cfg(test)]
mod tests;

pub use keys::{Beside, Keys, beside, is_reserved};
pub use lease::{KeepAlivePolicy, NO_LEASE, check_grant, check_lease, masked, visible_leases, visible_time_to_live};
pub use range::{RangePlan, range};
pub use refusal::Refusal;
pub use txn::{TxnPlan, delete, put, txn};
pub use watch::WatchPolicy;

/// Most transactions within each other. etcd counts operations down through nesting, which allows more; nobody nests that deep.
pub const MAX_TXN_DEPTH: usize = 32;

/// Most requests of one stream whose answers are outstanding; a client that does not read its answers loses the stream.
pub const MAX_OUTSTANDING: usize = 4096;
