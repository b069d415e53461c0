//! How machines come into a cluster.
//!
//! The first machine has a certificate authority ([`pki`]) and a door ([`Door`]): an HTTPS port where a machine that shows
//! a token gets a certificate of its own. The token says which authority to expect there, so the machine sends nothing
//! to a stranger. On the other side the daemon of the new machine asks there, looks around in the cluster before
//! it belongs to it ([`Joiner`]), and writes down where the store is; it is a member from its next start on.

mod adopt;
mod door;
mod enter;
mod joiner;
pub mod pki;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod wire;

pub use adopt::adopt;
pub use door::{Door, announce};
pub use enter::JoinError;
pub use joiner::{Joiner, Refusal};
pub use token::{Secret, Token};
pub(crate) use token::{from_hex, hex};
