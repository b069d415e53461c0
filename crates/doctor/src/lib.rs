//! PURE. What is wrong with a machine, and how to mend it.
//!
//! Input: [`Facts`], gathered by whoever can look, each of them perhaps out of sight. Output: [`Finding`]s, at least one
//! for every check.
//!
//! Invariant: what could not be looked at is told as such; it is neither well nor wrong.
//! Invariant: everything that is wrong says in one line what to do about it.

mod facts;
mod finding;
mod judge;
mod latency;

pub use facts::{
    Blind, Bus, Certificate, Cgroups, Clock, Daemon, Daemons, Engine, Facts, Holder, Identity, Issuer, Kernel, Look,
    NameServer, Names, Peer, Port, Reach, Security, Service, Space, StoreMember, Systemd, Transport, Validity,
};
pub use finding::{Finding, Level, worst};
pub use judge::examine;
pub use latency::{Latency, too_slow};
