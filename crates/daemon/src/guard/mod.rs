//! The guard: a small process of its own that ends exclusive units when the daemon cannot.
//!
//! A daemon that was killed, or hangs, stops nothing. The guard is a service beside it (`flota-fence.service`) that
//! reads the daemon's file and does what `flota_agent::fence` says is due.

mod file;
mod process;

pub use file::GuardFile;
pub use process::run;
