//! PURE. A seeded world: the production engine, agent, registry and mvcc under faults, with the promises checked at each step.
//!
//! Inputs: a seed and a [`Script`]. Outputs: a [`Summary`], or a [`Violation`] with what led to it. The same seed gives the same
//! world, step by step.
//!
//! ```text
//! Machine: Host (disk, systemd) <- agent   engine -> Daemon (session) --- Link --- Store (mvcc)
//! ```
//!
//! Invariant: what decides here is what decides in production: this crate only carries effects out, later, out of order, or never.
//! Invariant: no wall clock, no threads; all that is random comes from the seed.

mod call;
mod constraints;
mod daemon;
mod effects;
mod fault;
mod host;
mod jobs;
mod link;
mod people;
mod promises;
mod serve;
mod session;
mod store;
mod watches;
mod world;

pub use constraints::broken;
pub use fault::Script;
pub use world::{Summary, Violation, run};
