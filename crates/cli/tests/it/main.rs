//! Whole commands against a small daemon that keeps fleet's v1 API in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod analyze;
mod cluster;
mod errors;
mod flags;
mod global_units;
mod kv;
mod lists;
mod machines;
mod patterns;
mod restart;
mod ssh;
mod tunnel;
mod verbs;
