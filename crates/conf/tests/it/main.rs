//! Resources, keys and files together: with Debian's etcd, and through failures and crashes.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod crash;
mod embedded;
mod etcd;
mod nginx;
mod property;
mod rig;
mod secure;
