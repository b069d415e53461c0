//! IO. The discovery gateway: etcd v3 and etcd v2 for applications, without the cluster's own keys.
//!
//! ```text
//! v2 keys API --+
//! /v3/ JSON ----+--> filter: nothing under /flota/ --> the store (embedded, or a real etcd)
//! gRPC ---------+
//! ```
//!
//! Invariant: what is above the filter cannot see below it: it is handed an [`flota_etcd::Upstream`] that has the filter inside.

pub mod filter;
pub mod listen;
mod serve;
pub mod v2;

pub use serve::Gateway;
