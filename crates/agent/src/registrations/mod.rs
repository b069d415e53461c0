//! Keys in the store that live exactly as long as a unit of this machine is active.
//!
//! One lease per unit, granted at its first key, kept alive while systemd says that the unit is active under the
//! invocation that registered, and revoked when it is not.

mod bound;
mod event;
mod held;
mod machine;

pub use event::{Effect, Event, Life, Listed, Outcome, PutResult, Refusal, Register, RenewResult, Ticket};
pub use held::{Held, HeldKey, HeldUnit};
pub use machine::Registrations;

/// Seconds that a unit's keys outlive a machine that died, unless asked for otherwise.
pub const DEFAULT_TTL: u32 = 10;
/// Shortest and longest that can be asked for, in seconds. A daemon that restarts must be back before a lease ends.
pub const TTL_SECONDS: std::ops::RangeInclusive<u32> = 5..=3600;
/// Most units of one machine that have keys.
pub const MAX_UNITS: usize = 256;
/// Most keys of one unit.
pub const MAX_KEYS_PER_UNIT: usize = 32;
/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// Longest value, in bytes: it is kept on the machine too.
pub const MAX_VALUE_BYTES: usize = 4096;
/// Most requests that wait for the store.
pub const MAX_WAITING: usize = 256;
/// Most leases that wait to be revoked; beyond that one of them is left to end by itself.
pub const MAX_ENDING: usize = 1024;
