//! IO. Debian trees, node images built from them, and what a machine does at its first boot.
//!
//! In: a [`Spec`] and a Debian archive; at the first boot what a cloud tells the machine. Out: a tree, an archive or a
//! disk that boots into a node of a cluster. Blocking code: call it from a blocking context.
//!
//! Invariant: what is asked for is there whole under its name, or not at all; work is done beside it and renamed.
//! Invariant: `spec`, `document` and `firstboot::plan` do no IO; what they find wrong has its line and column.

mod build;
pub mod debian;
mod document;
mod error;
pub mod firstboot;
pub mod host;
mod prepare;
mod spec;
mod suite;
mod words;

pub use build::{Built, FlotaSource, Format, Order, build};
pub use document::Finding;
pub use error::{ImageError, Result};
pub use host::Progress;
pub use prepare::{forget_identity, remove_wants};
pub use spec::{Content, File, Spec, User};
pub use suite::{Suite, UnknownSuite};
