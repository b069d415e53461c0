//! The etcd v2 API over the keys of an etcd v3 store.
//!
//! ```text
//! HTTP --> router --> keys --> request, form, path        what is asked              PURE
//!             |         |----> exec --> change, removal   one v3 transaction         PURE
//!             |         |         `---> store             the calls
//!             |         `----> hub --> infer, waiters     v3 changes as v2 events    PURE
//!             |                   `--> journal            what was asked for here
//!             |----> cluster                              members, stats, auth
//!             `----> reaper                               ends times to live
//! ```
//!
//! File `/a/b` is the v3 key `/a/b`, with the same value; a directory is there because of the keys below it. Key `/a/`,
//! without a value, marks a directory that is empty or has a time to live, and no other: a v3 client that reads a prefix
//! does not meet markers among the keys it is after. The index of v2 is the revision of v3.
//!
//! Invariant: a change is one v3 transaction, whose compares hold exactly if v2 allows the change.
//!
//! Invariant: the moment at which a key goes is in the id of its lease ([`ttl`]) and nowhere else.

mod answer;
mod change;
mod cluster;
mod core;
mod error;
mod exec;
mod facts;
mod form;
mod hub;
mod infer;
mod journal;
mod json;
mod keys;
mod node;
mod path;
mod reaper;
mod removal;
mod request;
mod router;
mod stats;
mod store;
mod time;
mod ttl;
mod waiters;
mod wire;

pub use cluster::Info;
pub use router::router;
