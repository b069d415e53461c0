//! Who a caller is: passwords, tokens, certificates and the door it came through.
//!
//! What a caller may do is decided by `flota_mvcc`, on the state that its request is evaluated on.

mod authenticator;
mod caller;
mod common_name;
mod config;
mod der;
mod jwt;
mod keys;
mod passwords;
mod tokens;

pub(crate) use authenticator::Authenticator;
pub(crate) use caller::Credentials;
pub use config::{AuthConfig, AuthTokenError, BCRYPT_COSTS, JwtConfig, TokenKind};
pub use jwt::{Digest, SignMethod};
