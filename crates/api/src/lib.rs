//! The HTTP contract: fleet's v1 JSON types, Flota's native types, errors, and a typed client.
//!
//! Input: JSON from the network. Output: types the daemon serves and the command line reads.
//! Invariant: no server framework here, and nothing that decides; both sides import this crate.

pub mod client;
pub mod conf;
pub mod discovery;
pub mod endpoint;
pub mod error;
pub mod events;
pub mod join;
pub mod machines;
pub mod native;
pub mod page;
pub mod paths;
pub mod registrations;
pub mod trust;
pub mod v1;

pub use client::{Client, ClientError, Condition};
pub use endpoint::Endpoint;
pub use error::ErrorBody;
