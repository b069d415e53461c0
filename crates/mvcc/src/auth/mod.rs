//! Users, roles and what they may do: etcd's Auth as part of the pure state machine.
//!
//! Hashes of passwords and tokens are made outside: here a password is bytes that are kept, and a token has already become a [`Caller`].

mod change;
mod check;
mod error;
mod grants;
mod record;
mod request;
mod state;
mod types;

pub use change::AuthChange;
pub use error::AuthError;
pub use request::AuthRequest;
pub use state::Auth;
pub use types::{Caller, Permission, PermissionKind, ROOT, Role, User};
