//! What the leader remembers beyond the snapshot; a new leader knows of it who is held off, and errs on the safe side.

mod flapping;
mod progress;
mod whereabouts;

pub(crate) use flapping::Flapping;
pub(crate) use progress::Progress;
pub(crate) use whereabouts::{Doubt, Whereabouts};
