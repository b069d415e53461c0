//! Leaving the cluster: the order, and what the daemon does instead of everything else from then on.
//!
//! Once a machine leaves, its note says so on its disk: the agent, the engine and the session end and do not come
//! back. What is left of the daemon finishes the steps of the note, as often as it is started, and answers that the
//! machine has left.

mod cluster;
mod desk;
mod files;
mod removed;
mod run;

pub use desk::Desk;
pub use files::plan;
pub use removed::when_removed;
pub use run::{Departure, run, text};
