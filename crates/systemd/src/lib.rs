//! IO. The machine's systemd over D-Bus: links, jobs, unit states, signals, sd_notify, socket activation.
//!
//! Inputs: unit names and paths from the agent, signals from PID 1. Outputs: job outcomes, unit states, and hints
//! ([`Signal`]) that something changed.
//!
//! Invariant: a [`Signal`] carries no state; the truth is always read again with [`Systemd::states`].
//! Invariant: nothing here decides what runs; every method does one thing that the caller asked for.

mod activation;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod jobs;
mod manager;
mod notify;
mod proxy;
mod pump;
mod signals;
mod transient;

pub use activation::inherited_listeners;
pub use error::SystemdError;
pub use jobs::JobOutcome;
pub use manager::{Systemd, UnitLife, UnitState};
pub use notify::Notifier;
pub use signals::{MAX_PENDING_SIGNALS, Signal, Signals};
pub use transient::Transient;
