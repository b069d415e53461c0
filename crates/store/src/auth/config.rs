//! How users authenticate: which tokens they get, for how long, and what a guess at a password costs.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The cost that etcd hashes passwords with: a tenth of a second on a small machine.
const DEFAULT_BCRYPT_COST: u32 = 10;

/// The costs that bcrypt knows.
pub const BCRYPT_COSTS: RangeInclusive<u32> = 4..=31;

/// How long a simple token lives without being used (etcd's default).
const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(300);

/// How users authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// What they get for their password.
    pub token: TokenKind,
    /// The base-2 logarithm of the rounds that a password is hashed with; one of [`BCRYPT_COSTS`].
    pub bcrypt_cost: u32,
    /// How long a simple token lives; each use begins this time anew.
    pub token_ttl: Duration,
}

impl Default for AuthConfig {
    fn default() -> AuthConfig {
        AuthConfig { token: TokenKind::Simple, bcrypt_cost: DEFAULT_BCRYPT_COST, token_ttl: DEFAULT_TOKEN_TTL }
    }
}

/// What a user gets for its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A random word that this store remembers.
    Simple,
}

/// Reads the value of etcd's `--auth-token`.
impl FromStr for TokenKind {
    type Err = AuthTokenError;

    fn from_str(text: &str) -> Result<TokenKind, AuthTokenError> {
        let (kind, options) = text.split_once(',').unwrap_or((text, ""));
        match kind {
            "simple" if options.is_empty() => Ok(TokenKind::Simple),
            "simple" => Err(AuthTokenError::Option { option: options.to_owned() }),
            _ => Err(AuthTokenError::Kind { kind: kind.to_owned() }),
        }
    }
}

/// An `--auth-token` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthTokenError {
    /// A kind that does not exist here.
    #[error("unknown kind of auth token `{kind}`: there is `simple`")]
    Kind {
        /// What was asked for.
        kind: String,
    },
    /// An option that means nothing, or is missing its value.
    #[error("unknown option `{option}` of the auth token")]
    Option {
        /// What was given.
        option: String,
    },
}
