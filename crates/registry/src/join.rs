//! How machines come into the cluster: where they knock, and what lets them in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where machines join, at [`crate::Key::Door`], for as long as the lease of the machine lives that has the cluster's
/// certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// `ADDRESS:PORT`.
    pub address: String,
    /// The SHA-256 of the authority's certificate, as hexadecimal digits.
    pub authority: String,
}

/// What lets machines in, at [`crate::Key::Token`], until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The SHA-256 of the secret, as hexadecimal digits.
    pub secret_sha256: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_unix_ms: u64,
    /// When its lease ends, in milliseconds since the Unix epoch, by the clock of the machine that made it.
    pub expires_unix_ms: u64,
}

/// Names a token: the part of it that is no secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(String);

impl TokenId {
    /// The name that this number gives.
    pub fn of(number: u32) -> TokenId {
        TokenId(format!("{number:08x}"))
    }

    /// The eight hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text names no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no token: expected eight hexadecimal digits")]
pub struct TokenIdError(String);

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<TokenId, TokenIdError> {
        let valid = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if valid { Ok(TokenId(text.to_owned())) } else { Err(TokenIdError(text.to_owned())) }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
