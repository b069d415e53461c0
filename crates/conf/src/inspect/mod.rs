//! What resources and templates say about themselves, without a store.

mod graph;
mod lint;

pub use graph::{Edge, graph};
pub use lint::{Finding, lint};
