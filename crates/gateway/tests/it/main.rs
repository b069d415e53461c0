//! The gateway over the embedded store and over Debian's etcd.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper fails the test")]

mod leases;
mod model;
mod service;
mod spelled;
mod support;
mod watches;
