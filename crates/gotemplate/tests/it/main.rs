//! Tests of the template language.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cases;
mod corpus;
mod extraction;
mod functions;
mod limits;
mod oracle;
mod properties;
mod speed;
