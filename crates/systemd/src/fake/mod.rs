//! A systemd for tests: the real D-Bus messages over a socket pair, behind them a small model of units and jobs.
//!
//! It follows what systemd 252 and 257 were seen to do: a unit that is not loaded is read from its link when it is asked for, one that
//! is loaded keeps its file until a reload, one name that is not valid fails a whole `ListUnitsByNames`.

mod objects;
mod world;

pub use world::{FakeSystemd, Script};
