//! The application of `examples/elk` over five machines: log store, receiver, five servers, front end, test script.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod application;
mod classic;
mod log_store;
mod today;
