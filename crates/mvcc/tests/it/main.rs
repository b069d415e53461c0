//! Tests of the state machine: etcd's rules one by one, and random operations against a naive model.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod auth;
mod hard_cases;
mod leases;
mod model;
mod records;
mod rules;
mod support;
