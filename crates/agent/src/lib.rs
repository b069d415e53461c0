//! PURE. One machine's mind: from a schedule and observed units to ordered operations.
//!
//! Inputs: [`Event`]s (what the disk held at boot, schedules and texts from the store, unit states from systemd,
//! results of operations, time). Outputs: [`Effect`]s (persist, fetch a text, change unit files with one reload,
//! start, stop, observe, publish).
//!
//! Invariant: a unit is stopped only because a schedule that this agent accepted says so: of the same cluster and
//! of a higher generation than the one it held (promises P1, P3). Silence, whatever its cause, changes nothing.
//! The one exception is asked for by the unit itself: an exclusive one runs only while the machine's lease holds ([`fence`]).
//! Invariant: a schedule is persisted before it is acted on, so that a machine can boot alone (P2).
//! Invariant: one unit's failure never holds another one up: each unit has its own steps; only file changes are
//! batched, for the sake of one daemon-reload.
//!
//! [`trust`] judges the store before any of its words gets here.
//!
//! [`registrations`] is a second, smaller mind beside it: keys in the store that live as long as a unit does. [`conf`] is a third:
//! what confd tells of this machine's configuration files.

mod agent;
pub mod conf;
mod event;
pub mod fence;
mod held;
mod leave;
mod local;
mod reconcile;
pub mod registrations;
mod report;
pub mod trust;

pub use agent::Agent;
pub use event::{Effect, Event, FileOp, FileResults, Installed, JobResult, Observation, Token};
pub use held::Held;
pub use leave::{AtBoot, Here, Keep, Kept, Leave, Leaving, Refusal, Stage, keep, may_leave};
