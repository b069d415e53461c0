//! The promises of Flota, shown on real machines: each test says in its name what it shows.
//!
//! They share one cluster and run one at a time (`--test-threads=1` keeps their output apart; they would wait for each
//! other in any case). Their order is of no matter.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod conf;
mod daemon_faults;
mod doctor;
mod exclusive;
mod firstboot;
mod flow;
mod gateway;
mod input;
mod join;
mod machines;
mod never_kill;
mod power;
mod registrations;
mod store;
mod store_moves;
mod trust;
mod unit_types;
mod upgrade;
mod verbs;
