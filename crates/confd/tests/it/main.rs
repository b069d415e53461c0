//! The program `confd` from outside: what people copy into container images.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;
