//! examples/galera on three machines: a database that starts, survives a machine and starts again by itself.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod image;
mod nodes;
mod scene;
