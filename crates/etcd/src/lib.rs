//! IO. The etcd v3 client that every part of Flota speaks to its store with.
//!
//! It turns the registry's [`flota_registry::Txn`], prefixes and watch events into etcd v3 calls, the same whether
//! the store is the embedded one or a real etcd of several members. Every call is bounded in time; a write is never
//! sent twice, because only the caller knows what that means.
//!
//! Beside the client stands what servers of etcd v3 share, the store and the discovery gateway: connections, the JSON API
//! ([`json`]), and locks and elections ([`server`]), all over an [`Upstream`].

mod authority;
mod causes;
mod client;
mod config;
pub mod connection;
mod error;
mod gather;
pub mod json;
mod lease;
mod leased;
mod members;
mod membership;
mod migration;
mod ranges;
pub mod server;
mod upstream;
mod watch;

pub use causes::{chain, root};
pub use client::{Committed, Look, StoreClient};
pub use config::{Access, ClientConfig, TlsFiles};
pub use error::EtcdError;
pub use lease::{KeepAlive, random_number};
pub use leased::Leased;
pub use membership::{Membership, MembershipError, MembershipStore};
pub use migration::{Migration, MigrationError, Moved, abort_migration};
pub use ranges::KeyRange;
pub use upstream::{ON_BEHALF, Upstream};
pub use watch::{Batch, Watch};
