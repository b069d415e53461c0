//! How users authenticate: which tokens they get, for how long, and what a guess at a password costs.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::SignMethod;

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
    /// A signed claim that nobody needs to remember. Any change of auth makes users authenticate again.
    Jwt(JwtConfig),
}

/// How JSON web tokens are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// How they are signed.
    pub method: SignMethod,
    /// PEM of a public key or a certificate; with this one alone tokens are only verified.
    pub public_key: Option<PathBuf>,
    /// PEM of the private key; for HMAC any file.
    pub private_key: Option<PathBuf>,
    /// How long a token lives, whether used or not.
    pub ttl: Duration,
}

/// Reads the value of etcd's `--auth-token`.
impl FromStr for TokenKind {
    type Err = AuthTokenError;

    fn from_str(text: &str) -> Result<TokenKind, AuthTokenError> {
        let (kind, options) = text.split_once(',').unwrap_or((text, ""));
        match kind {
            "simple" if options.is_empty() => Ok(TokenKind::Simple),
            "simple" => Err(AuthTokenError::Option { option: options.to_owned() }),
            "jwt" => jwt(options).map(TokenKind::Jwt),
            _ => Err(AuthTokenError::Kind { kind: kind.to_owned() }),
        }
    }
}

fn jwt(options: &str) -> Result<JwtConfig, AuthTokenError> {
    let mut given = BTreeMap::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let refused = || AuthTokenError::Option { option: option.to_owned() };
        let (name, value) = option.split_once('=').ok_or_else(refused)?;
        let known = ["sign-method", "pub-key", "priv-key", "ttl"].contains(&name);
        if !known || given.insert(name, value).is_some() {
            return Err(refused());
        }
    }
    let method = given.get("sign-method").copied().unwrap_or_default();
    let ttl = match given.get("ttl") {
        None => DEFAULT_TOKEN_TTL,
        Some(ttl) => duration(ttl).ok_or_else(|| AuthTokenError::Option { option: format!("ttl={ttl}") })?,
    };
    Ok(JwtConfig {
        method: SignMethod::new(method).ok_or_else(|| AuthTokenError::Method { method: method.to_owned() })?,
        public_key: given.get("pub-key").map(PathBuf::from),
        private_key: given.get("priv-key").map(PathBuf::from),
        ttl,
    })
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `300ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// An `--auth-token` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthTokenError {
    /// A kind that does not exist here.
    #[error("unknown kind of auth token `{kind}`: there are `simple` and `jwt`")]
    Kind {
        /// What was asked for.
        kind: String,
    },
    /// A way to sign that is not known here.
    #[error(
        "unknown sign-method `{method}` of the auth token: there are RS, PS and HS with 256, 384 and 512, ES256 and ES384"
    )]
    Method {
        /// What was asked for.
        method: String,
    },
    /// A file that does not hold the key.
    #[error("cannot use {} for auth tokens: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Neither of the keys was given, or not the one that the method takes.
    #[error("an auth token of kind `jwt` needs priv-key, or pub-key to verify only")]
    NoKey,
    /// The keys are not of one pair.
    #[error("the private and the public key for auth tokens do not match")]
    KeyMismatch,
    /// An option that means nothing, or is missing its value.
    #[error("unknown option `{option}` of the auth token")]
    Option {
        /// What was given.
        option: String,
    },
}
