//! Whole commands against a small daemon that keeps fleet's v1 API in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod errors;
mod lists;
mod verbs;
