//! A certificate authority, and certificates for machines, as text.
//!
//! Inputs: names, addresses, public keys. Outputs: PEM. Where it is kept is the caller's business; keys are drawn from
//! the kernel's randomness.

mod authority;

pub use authority::{Authority, Identity, Lifetime, PkiError, Purpose, Subject, new_key};
