//! Configuration: built-in values, then the file, then environment and flags.

mod checked;
mod file;
mod options;
mod places;
#[cfg(test)]
mod tests;

pub use self::checked::Config;
pub use self::options::{ConfigError, Options};
pub use self::places::{PortChoice, StoreChoice};
