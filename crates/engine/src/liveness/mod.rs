//! When a machine counts as lost: its lease is gone, a grace has passed, and nobody who was asked could reach it.

mod absence;
mod census;

pub(crate) use absence::Loss;
pub use absence::Reach;
pub(crate) use census::{Liveness, Probe, Standing, is_removed};
