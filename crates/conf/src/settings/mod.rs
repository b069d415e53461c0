//! What confd is told: flags win over the environment, that over `confd.toml`, and that over the defaults.

mod environment;
mod file;
mod layer;

pub use environment::from_environment;
pub use file::from_file;
pub use layer::{BackendKind, Layer, LogLevel, Settings, SettingsError};
