//! PURE. The leader's mind: who runs what, and why.
//!
//! Inputs: [`Event`]s (store connected, leader changed, cluster snapshot and changes, results of commits, time).
//! Outputs: [`Effect`]s (campaign, watch the cluster, commit one fenced transaction, say what was decided).
//!
//! Invariant: a schedule is written only by [`Effect::Commit`], and each such transaction compares the leader
//! key and every schedule that it replaces (promise P3).
//! Invariant: a unit leaves a machine only because people said so, of the unit or of the machine, because a constraint
//! forbids it there, or because the machine is lost *and* another one can take it (promise P1). A drained machine gives
//! up a unit only when another one can take it; a removed one gives up everything.
//! Invariant: an exclusive unit comes to a machine only when it can run on no other one: it was said to be down there, or
//! the lease that it runs by has ended.
//! Invariant: nothing is written while a living machine takes no orders, or while what is scheduled cannot be read.
//! Invariant: no committed schedule breaks a constraint (promise P5), and every entry carries its cause (P6).

mod demand;
mod engine;
mod event;
mod explain;
mod liveness;
mod memory;
mod schedule;
mod standstill;

pub use engine::Engine;
pub use event::{Effect, Event, Outcome, Settings, Ticket};
pub use explain::{Explanation, Verdict, explain};
pub use liveness::Reach;
pub use schedule::{Decision, MAX_UNITS_PER_MACHINE, Occasion, Reason};
