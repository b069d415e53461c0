//! The file format: what is written is read back, etcdctl agrees, and damage is found.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod damage;
mod etcdctl;
mod round_trip;
mod support;
