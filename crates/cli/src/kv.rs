//! What the verbs of `kv` share: the way to the store, ranges of keys, times, leases, the calling unit.

mod caller;
mod connection;
mod failures;
mod lease;
mod pair;
mod range;
mod seconds;

pub use caller::calling_unit;
pub use connection::{KvSettings, Store};
pub use failures::{call_failed, error_text};
pub use lease::{LeaseChoice, LeaseNumber};
pub use pair::{Pair, shown};
pub use range::{Range, page, pages, refuse_reserved};
pub use seconds::parse_seconds;
