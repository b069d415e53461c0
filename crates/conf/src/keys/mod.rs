//! Keys as confd sees them: a tree of texts, seen from below a prefix, at one revision.

mod path;
mod reads;
mod snapshot;
mod view;

pub use path::{KeyPath, base, clean, dir};
pub use reads::{Read, Reads, Settled};
pub use snapshot::{Pair, Snapshot};
pub use view::{MissingKey, PatternError, Scope, View};
