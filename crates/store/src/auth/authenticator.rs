//! Turns passwords into tokens and credentials into callers.

use std::sync::atomic::{AtomicBool, Ordering};

use flota_mvcc::{Auth, AuthError, Caller, Millis};

use super::caller::{Credentials, Door};
use super::common_name::common_name;
use super::jwt::Jwt;
use super::passwords::{Busy, Passwords};
use super::tokens::SimpleTokens;
use super::{AuthConfig, AuthTokenError, TokenKind};
use crate::shared::Refusal;

/// Knows passwords and tokens.
#[derive(Debug)]
pub(crate) struct Authenticator {
    /// What the state says, where it can be read without a lock. Behind by a moment at most, and what it lets through is checked
    /// against the state itself.
    enabled: AtomicBool,
    passwords: Passwords,
    tokens: Tokens,
}

#[derive(Debug)]
enum Tokens {
    Simple(SimpleTokens),
    Jwt(Box<Jwt>),
}

impl From<Busy> for Refusal {
    fn from(_: Busy) -> Refusal {
        Refusal::Busy
    }
}

impl Authenticator {
    pub(crate) fn new(config: &AuthConfig) -> Result<Authenticator, AuthTokenError> {
        let tokens = match &config.token {
            TokenKind::Simple => Tokens::Simple(SimpleTokens::new(config.token_ttl)),
            TokenKind::Jwt(jwt) => Tokens::Jwt(Box::new(Jwt::new(jwt)?)),
        };
        Ok(Authenticator { enabled: AtomicBool::new(false), passwords: Passwords::new(config), tokens })
    }

    /// Whether callers need to be known.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    /// Takes note of a changed state; called while nobody else can read it.
    pub(crate) fn follow(&self, auth: &Auth) {
        self.enabled.store(auth.is_enabled(), Ordering::Release);
    }

    /// Who sent a request: what a token says, else a certificate, else the door.
    pub(crate) fn identify(&self, credentials: &Credentials, auth: &Auth, now: Millis) -> Result<Caller, AuthError> {
        let revision = auth.revision();
        if let Some(token) = &credentials.token {
            let told = match &self.tokens {
                Tokens::Simple(tokens) => tokens.user(token, auth, now).map(|name| (name, revision)),
                // As old as the token is: one from before the last change of auth will be refused.
                Tokens::Jwt(jwt) => jwt.user(token).map(|(name, revision)| (name.into(), revision)),
            };
            let (name, revision) = told.ok_or(AuthError::InvalidToken)?;
            return Ok(Caller::User { name, revision });
        }
        Ok(match &credentials.door {
            Door::Private => Caller::Trusted,
            Door::Public => Caller::Anonymous,
            Door::Certificate(chain) => {
                // A certificate without a name is a user without a name: known to be nobody.
                let name = chain.first().and_then(common_name).unwrap_or_default();
                Caller::User { name: name.into(), revision }
            }
        })
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<Box<[u8]>, Refusal> {
        Ok(self.passwords.hash(password).await?)
    }

    /// Whether the hash is the password's.
    pub(crate) async fn matches(&self, password: String, hash: Box<[u8]>) -> Result<bool, Refusal> {
        Ok(self.passwords.matches(password, hash).await?)
    }

    /// A token for a user whose password was right at this auth revision.
    pub(crate) fn assign(&self, user: &str, revision: u64, index: i64, now: Millis) -> Result<String, Refusal> {
        match &self.tokens {
            Tokens::Simple(tokens) => tokens.assign(user, revision, index, now).map_err(|_| Refusal::Stopped),
            Tokens::Jwt(jwt) => Ok(jwt.assign(user, revision)?),
        }
    }
}
