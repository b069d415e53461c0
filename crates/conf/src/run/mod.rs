//! Everything together: keys in, files and reloads out, until it is done or told to end.

mod engine;
mod render;
mod session;

pub use engine::{Engine, Told};
pub use render::{Difference, Differing, Mode, Rendered, render_all};
pub use session::{Ended, RunError, Session, run};
