//! What confd is told: flags win over the environment, that over `confd.toml`, and that over the defaults.

mod environment;
mod file;
mod gather;
mod layer;

pub use environment::from_environment;
pub use file::from_file;
pub use gather::{CONFIG_FILE, GatherError, gather};
pub use layer::{BackendKind, Layer, LogLevel, Settings, SettingsError};
