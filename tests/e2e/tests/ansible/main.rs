//! The Ansible collection of deploy/ansible: stock Debian machines become a cluster, stay one, and leave it.
//!
//! The default run has ansible-lint judge it. The full one (`cargo xtask test --e2e`) has Debian's own Ansible bring up a cluster
//! over ssh, and tells its times as lines that begin with `figure:`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod cluster;
mod controller;
mod lint;
