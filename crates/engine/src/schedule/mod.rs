//! Placement: filter the machines with reasons, score the rest, pick one, and write down why.

mod board;
mod draining;
mod filter;
mod group;
mod placing;
mod plan;
mod planner;
mod writing;

pub(crate) use board::{Board, Seating};
pub(crate) use filter::{Ignoring, first_reason, reasons};
pub use filter::{MAX_UNITS_PER_MACHINE, Reason};
pub use plan::{Decision, Occasion};
pub(crate) use plan::{Origin, Plan, View};
pub(crate) use planner::plan;
