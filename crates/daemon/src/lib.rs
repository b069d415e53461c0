//! IO shell. Configuration, the tasks that feed the pure machines, HTTP routes.
//!
//! Inputs: configuration, store, systemd, HTTP requests. Outputs: what the engine's and agent's effects say, HTTP
//! answers, log lines.
//! Invariant: no policy here. A task turns what happens into an event, hands it to a pure machine, and carries out
//! the effects in the order in which they come.

mod app;
pub mod certificates;
mod clock;
mod config;
mod disk;
pub mod guard;
mod http;
mod identity;
mod join;
mod leave;
mod left;
mod logging;
mod outside;
pub mod peer;
mod port;
mod readiness;
mod session;
pub mod standalone;
mod tasks;

pub use app::run;
pub use config::{Config, ConfigError, Options, PortChoice, StoreChoice};
pub use identity::default_address;
