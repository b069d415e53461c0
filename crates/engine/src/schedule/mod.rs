//! Placement: filter the machines with reasons, score the rest, pick one, and write down why.

mod board;
mod filter;
mod group;
mod plan;

pub(crate) use board::Board;
pub(crate) use filter::{Ignoring, first_reason, reasons};
pub use filter::{MAX_UNITS_PER_MACHINE, Reason};
pub use plan::Decision;
pub(crate) use plan::plan;
