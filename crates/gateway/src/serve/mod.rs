//! One port for everything: gRPC, JSON, the v2 keys API, `/version` and `/health`, over HTTP/1 and HTTP/2 without TLS.

mod gateway;
mod http;

pub use gateway::Gateway;
