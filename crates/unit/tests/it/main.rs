//! The tests of `flota-unit`, in one binary.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod diagnostics;
mod files;
mod fleet;
mod globs;
mod kinds;
mod limits;
mod names;
mod properties;
