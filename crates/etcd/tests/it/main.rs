//! The client beside a real etcd of three members, and what becomes of them.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper fails the test")]

mod faults;
mod limits;
mod rig;
