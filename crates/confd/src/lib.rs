//! IO shell. confd as a program of its own: its command line, its log, its life.
//!
//! Inputs: arguments, environment, `confd.toml`. Outputs: an exit code; what `flota-conf` does meanwhile. The program `flota`
//! lives in the same way as `flota conf run` and `flota conf exec`, and when it is called `confd`.
//! Invariant: nothing of the daemon, the store or the other verbs is linked here. This program is copied into container images.

mod flags;
mod go;
mod life;
mod line;
mod log;
mod reporter;

pub use flags::{ConfExecArgs, ConfSource, ConfUnused, ConfWork, ConfdArgs, layer};
pub use go::{go_flag, go_flags};
pub use life::{ConfStart, run};
pub use line::{Line, VERSION, command, read};
