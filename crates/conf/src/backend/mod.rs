//! Where keys come from.

pub mod environment;
mod etcd2;
mod etcd3;
pub mod file;
mod follow;
mod roots;
mod source;
pub mod srv;
mod tls;
mod yaml;

pub use follow::{Feed, MAX_FEEDS};
pub use roots::{common, covering};
pub use source::{Source, SourceError};
