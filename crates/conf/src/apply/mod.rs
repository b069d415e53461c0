//! Files and commands: staged, compared, checked, put in place together, put back, reloaded.

mod command;
mod commit;
mod diff;
mod disk;
mod journal;
mod leftovers;
mod place;
mod reload;
mod stage;

pub use command::{CommandOutcome, run_shell};
pub use commit::{CommitError, Committed, commit, roll_back};
pub(crate) use commit::{sync, sync_staged};
pub use diff::unified;
pub use journal::{Journal, JournalError, Owed, default_state_dir};
pub use leftovers::sweep;
pub use reload::{ReloadError, Reloader};
pub use stage::{Compared, Find, StageError, Staged, compare, stage};
