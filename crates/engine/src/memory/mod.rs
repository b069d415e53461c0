//! What the leader remembers beyond the snapshot; a new leader begins with nothing of it, and errs on the safe side.

mod flapping;
mod progress;
mod whereabouts;

pub(crate) use flapping::Flapping;
pub(crate) use progress::Progress;
pub(crate) use whereabouts::{Doubt, Whereabouts};
