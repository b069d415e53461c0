//! The program itself: what can only be seen from outside of its process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conf_exec;
mod conf_rig;
mod conf_run;
mod conf_verbs;
mod guard;
mod kv;
mod process;
mod store;
