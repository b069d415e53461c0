//! Tells the cluster how this machine's configuration files are: what processes tell in, one key out.

mod process;
mod task;
#[cfg(test)]
mod tests;

pub use task::{ConfHandle, ConfTask, Unheard};
