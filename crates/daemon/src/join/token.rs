//! The token that a person carries from a machine of the cluster to a new one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flota_etcd::{EtcdError, random_number};
use flota_registry::TokenId;
use ring::digest::{SHA256, digest};

/// What lets machines in: 128 bits that nobody can guess.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    /// A new one.
    pub fn draw() -> Result<Secret, EtcdError> {
        let (first, second) = (random_number()?.to_le_bytes(), random_number()?.to_le_bytes());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first);
        bytes[8..].copy_from_slice(&second);
        Ok(Secret(bytes))
    }

    /// What the cluster keeps of it, as hexadecimal digits. A plain hash does: there is nothing to guess it from.
    pub fn sha256(&self) -> String {
        hex(digest(&SHA256, &self.0).as_ref())
    }

    /// Whether it is the one with that hash; takes the same time whatever differs.
    pub fn is(&self, sha256: &str) -> bool {
        let own = self.sha256();
        let differs = own.bytes().zip(sha256.bytes()).fold(0, |differs, (own, other)| differs | (own ^ other));
        own.len() == sha256.len() && differs == 0
    }

    /// As text.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// From text.
    pub fn decode(text: &str) -> Option<Secret> {
        Some(Secret(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

/// Keeps it out of logs.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// All that a new machine must know: which token it has, and whom to believe. As text `ID.SECRET.AUTHORITY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub id: TokenId,
    /// What lets the machine in.
    pub secret: Secret,
    /// The SHA-256 of the authority's certificate (DER).
    pub authority: [u8; 32],
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a token: expected what `flota token create` printed, ID.SECRET.AUTHORITY")]
pub struct TokenError;

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Token, TokenError> {
        let mut parts = text.trim().split('.');
        let (Some(id), Some(secret), Some(authority), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError);
        };
        let authority = URL_SAFE_NO_PAD.decode(authority).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Token {
            id: id.parse().map_err(|_| TokenError)?,
            secret: Secret::decode(secret).ok_or(TokenError)?,
            authority: authority.ok_or(TokenError)?,
        })
    }
}

/// With the secret: for the person who carries it.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = URL_SAFE_NO_PAD.encode(self.authority);
        write!(f, "{}.{}.{authority}", self.id, self.secret.encode())
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// The 32 bytes that hexadecimal digits stand for.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_fits_on_a_command_line() {
        let token = Token { id: TokenId::of(0xf1), secret: Secret::draw().unwrap(), authority: [7; 32] };
        let text = token.to_string();
        assert_eq!(text.parse::<Token>().unwrap(), token);
        assert!(text.starts_with("000000f1.") && text.len() == 75, "{text}");
        assert!(!text.contains(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))), "{text}");
        assert!(!format!("{token:?}").contains(&token.secret.encode()), "a secret in a log");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = Token { id: TokenId::of(1), secret: Secret::draw().unwrap(), authority: [0; 32] }.to_string();
        for wrong in ["", "a.b.c", &good[1..], &good[..70], &format!("{good}.x"), &good.replace('.', " ")] {
            assert_eq!(wrong.parse::<Token>(), Err(TokenError), "{wrong}");
        }
    }

    #[test]
    fn only_its_own_hash_fits_a_secret() {
        let (secret, other) = (Secret::draw().unwrap(), Secret::draw().unwrap());
        assert!(secret.is(&secret.sha256()));
        for wrong in [&other.sha256()[..], "", &secret.sha256()[..63], &format!("{}0", secret.sha256())] {
            assert!(!secret.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn digits_read_back() {
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 * 7);
        assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        for wrong in ["", "0", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }
}
