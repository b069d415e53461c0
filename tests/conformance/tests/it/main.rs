//! The embedded store beside Debian's etcd.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper fails the test")]

mod checks;
mod differential;
mod histories;
