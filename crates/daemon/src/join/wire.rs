//! What a new machine and the door say to each other: JSON over HTTPS, on one path.

use flota_registry::{ClusterId, MachineId, TokenId};
use serde::{Deserialize, Serialize};

/// The one path: GET says who is there ([`Hello`]), POST asks to be let in ([`Application`] for [`Admission`]).
pub(super) const PATH: &str = "/join";
/// Most bytes of a question or an answer.
pub(super) const MAX_BYTES: usize = 64 << 10;

/// Who is behind the door; told to everyone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The version of its Flota.
    pub(super) version: String,
    /// The format of what it writes into the store.
    pub(super) format: u32,
    /// Its clock, in milliseconds since the Unix epoch.
    pub(super) now_unix_ms: u64,
}

/// Asks to be let in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Application {
    /// Which token.
    pub(super) token: TokenName,
    /// Its secret, as text.
    pub(super) secret: String,
    /// The machine.
    pub(super) machine: MachineId,
    /// The public half of the machine's key, a point on P-256, in base64. The other half never leaves the machine.
    pub(super) public_key: String,
}

/// The name of a token, checked as it is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct TokenName(pub(super) TokenId);

impl TryFrom<String> for TokenName {
    type Error = flota_registry::TokenIdError;

    fn try_from(text: String) -> Result<TokenName, Self::Error> {
        text.parse().map(TokenName)
    }
}

impl From<TokenName> for String {
    fn from(TokenName(id): TokenName) -> String {
        id.to_string()
    }
}

/// Lets a machine in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Admission {
    /// The cluster.
    pub(super) cluster: ClusterId,
    /// Its store.
    pub(super) endpoints: Vec<String>,
    /// Who signs, PEM.
    pub(super) authority: String,
    /// The machine's certificate, PEM.
    pub(super) certificate: String,
}
