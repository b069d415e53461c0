//! Tests of the store as its clients see it, and as crashes, full and failing disks leave it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper fails the test")]

mod abuse;
mod auth;
mod auth_etcdctl;
mod clients;
mod crash;
mod disk_faults;
mod errors;
mod etcdctl;
mod http;
mod moving;
mod real_etcd;
mod services;
mod snapshots;
mod startup;
mod support;
