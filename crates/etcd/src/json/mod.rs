//! The JSON gateway: each gRPC method at a path of its own, `POST /v3/kv/range` for example, as etcd has it.
//!
//! ```text
//! HTTP body --parse--> JSON --schema--> bytes --gRPC--> upstream --bytes--> schema --> JSON, or lines of it
//! ```
//!
//! No message type is compiled in twice: what a message is made of stands in a table (`schema.rs`), and the upstream is called with
//! bytes. A stream of requests is a body of several values; a stream of answers is one value a line, sent when it is there.

mod body;
mod call;
mod from_json;
mod raw;
mod routes;
mod schema;
mod to_json;
mod wire;

use axum::Router;
use axum::routing::any;

pub use raw::RawCodec;

use crate::Upstream;

/// Serves `/v3/` and its older name `/v3beta/` by calling `upstream`.
pub fn router(upstream: Upstream) -> Router {
    Router::new()
        .route("/v3/{*path}", any(call::handle))
        .route("/v3beta/{*path}", any(call::handle))
        .with_state(upstream)
}
