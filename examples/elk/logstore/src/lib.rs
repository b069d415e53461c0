//! A small stand-in for Elasticsearch and Kibana: documents come by the bulk API, are found by the search API, and one
//! page shows them.
//!
//! In: JSON over HTTP as log shippers send it. Out: what Elasticsearch answers to the requests that this knows; any other
//! request is refused with a reason. Documents are held in memory, the latest [`MAX_DOCUMENTS`] of them, and go when the
//! process ends.

mod bulk;
mod error;
mod http;
mod index;
mod query;
mod request;

pub use error::Error;
pub use http::router;
pub use index::{Found, Index, MAX_DOCUMENTS, REFRESH_EVERY};
pub use request::{MAX_HITS, SearchRequest};
