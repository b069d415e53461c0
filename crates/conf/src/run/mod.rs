//! Everything together: keys in, files and reloads out, until it is done or told to end.

mod engine;
mod exec;
mod init;
mod render;
mod session;
mod status;

pub use engine::{Engine, Told};
pub use exec::{ExecError, exec};
pub use init::init;
pub use render::{Difference, Differing, Mode, Rendered, render_all};
pub use session::{Ended, RunError, Session, run};
pub use status::{GroupStatus, StatusSender};
