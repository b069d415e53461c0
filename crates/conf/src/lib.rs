//! Configuration that follows keys: confd's template resources, rendered, checked, committed together and reloaded.
//!
//! Inputs: `confd.toml`, `conf.d/**/*.toml`, templates, and keys from etcd, files or the environment. Outputs: files, each the
//! old one or the new one; reloads.
//!
//! Invariant: [`plan`] decides and does nothing; everything else does and decides nothing.
//! Invariant: what is rendered together is rendered from one revision.

pub mod apply;
pub mod backend;
mod document;
pub mod functions;
pub mod group;
mod inotify;
pub mod inspect;
pub mod keys;
pub mod plan;
pub mod resource;
pub mod run;
pub mod settings;
mod templates;

pub use document::{FileError, MAX_FILE_BYTES};
pub use functions::{hostname, timestamp};
pub use templates::TemplateError;
