//! The host that trees and machines are made on: its programs, files and mounts.

mod error;
pub mod files;
pub mod mounts;
pub mod needs;
pub mod progress;
pub mod run;

pub use error::{HostError, Missing, Result};
pub use progress::{Plain, Progress, Silent};
