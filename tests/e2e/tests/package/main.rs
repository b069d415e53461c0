//! The Debian package, on machines of each Debian: whatever comes and goes, what Flota started runs on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod clean;
mod lifecycle;
