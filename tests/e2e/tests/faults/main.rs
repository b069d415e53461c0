//! Faults of machines, networks and stores, on five machines with a real etcd on three of them: what runs, runs on.
//!
//! Each test says in its name what must hold; figures are told as lines. The default run has the faults
//! short; `cargo xtask test --e2e` gives them the minutes that they have in earnest.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod failover;
mod figures;
mod machine_faults;
mod partition;
mod scale;
mod scene;
mod store_loss;
