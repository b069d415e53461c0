//! IO. The embedded store: the mvcc state machine on an append-only log, served as etcd v3: gRPC, JSON and metrics on one port.
//!
//! In: etcd v3 requests on unix, TCP and TLS sockets. Out: answers and watch events, never before what they tell is on disk.
//!
//! ```text
//! gRPC task --bounded queue--> writer thread: evaluate batch, one write, one fdatasync, apply, answer, tell the hub
//! gRPC task <--read lock------ Mvcc (durable state only)                                                     |
//! watch stream <--reads history at its own pace-- Mvcc  <------------- wakes the streams that care ----------+
//! ```
//!
//! Invariant: one thread changes the state and the log. A reader can see only what is durable.
//!
//! Invariant: nobody waits for a watch. A stream keeps a revision, not a queue, and reads from history what it has not sent.

mod auth;
mod clock;
mod config;
pub mod disk;
mod error;
mod etcd_file;
mod hub;
mod listener;
mod lock;
mod log;
mod metrics;
mod service;
mod shared;
mod store;
mod tls;
mod writer;

pub use auth::{AuthConfig, AuthTokenError, BCRYPT_COSTS, Digest, JwtConfig, SignMethod, TokenKind};
pub use config::{Listen, StoreConfig};
pub use error::StoreError;
pub use etcd_file::{FileStatus, ImportError, RestoreError, Restored, restore, status};
pub use flota_mvcc::{Limits, Retention};
pub use log::{RecoveryReport, TornTail};
pub use store::Store;
