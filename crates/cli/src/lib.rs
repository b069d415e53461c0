//! IO shell. The commands people type: clap types in one folder, one file per verb, output.
//!
//! Inputs: arguments, environment, unit files, the daemon's HTTP API. Outputs: data on stdout, talk on stderr, an
//! exit code. Invariant: nothing is decided here that the cluster decides; a verb asks, waits and tells.

mod analyze;
mod cli;
mod commands;
mod completion;
mod confd;
mod context;
mod departure;
mod exit;
mod failure;
mod fsync;
mod judge;
mod kv;
mod machines;
mod manual;
mod names;
mod output;
mod remote;
mod report;
mod run;
mod serve;
mod settings;
mod ssh;
mod style;
mod tunnel;
mod units;
mod wait;

pub use cli::{DaemonArgs, LogLevel, ServeArgs};
pub use exit::Exit;
pub use run::{Outcome, Terminal, run, run_with};
