//! Joining: what a machine is told to join, and the tokens that let machines in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Tells a machine's daemon to join a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// How it gets in.
    pub way: JoinWay,
    /// Destroy the units of the machine's own cluster, if it has any.
    #[serde(default)]
    pub force: bool,
}

/// How a machine gets into a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinWay {
    /// It asks a machine of the cluster for certificates.
    Token {
        /// `ADDRESS` or `ADDRESS:PORT` of that machine.
        address: String,
        /// The whole token.
        token: String,
    },
    /// It knows where the store is.
    Store {
        /// The store's endpoints.
        endpoints: Vec<String>,
        /// The certificates to go there with.
        tls: Option<JoinTls>,
    },
}

/// Certificates that a machine was given; absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTls {
    /// Who signs the store's certificate.
    pub ca: PathBuf,
    /// The machine's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A machine may be in the cluster as soon as its daemon starts anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The cluster.
    pub cluster: String,
    /// The machine belonged to it before: it has new certificates, that is all.
    pub was_member: bool,
    /// The units of the machine's own cluster that were destroyed.
    #[serde(default)]
    pub destroyed: Vec<String>,
    /// The process of the daemon that is to start anew.
    pub daemon_pid: u32,
}

/// Asks for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// How long it lets machines in, in seconds.
    pub ttl_seconds: u64,
}

/// A token that was made. It is shown this once: the cluster keeps a hash of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// Its name.
    pub id: String,
    /// The whole token.
    pub token: String,
    /// Where machines join with it, as `ADDRESS:PORT`.
    pub address: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_unix_ms: u64,
}

/// One token of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Its name.
    pub id: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_unix_ms: u64,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_unix_ms: u64,
}

/// The tokens that let machines in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// By name.
    pub tokens: Vec<TokenView>,
}
