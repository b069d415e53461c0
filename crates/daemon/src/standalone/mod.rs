//! The store alone, as `flota store serve` runs it: no engine, no agent, nothing but etcd's API.

mod config;
mod run;
mod urls;

pub use config::{CompactionOptions, LimitOptions, LogOptions, ServeOptions, TlsOptions, TokenOptions};
pub use run::run;
