//! What the command line and the environment say, and what is wrong with a configuration.

use std::path::PathBuf;

use flota_etcd::MembershipError;

/// Read when no file is named; it may be missing.
pub const DEFAULT_FILE: &str = "/etc/flota/flota.toml";

/// What the command line and the environment say; it wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The configuration file; one that is named must exist.
    pub config: Option<PathBuf>,
    /// Where the daemon keeps what must outlive it.
    pub data_dir: Option<PathBuf>,
    /// The store's endpoints, if it is not the embedded one.
    pub store_endpoints: Vec<String>,
    /// Where the embedded store listens.
    pub store_listen: Vec<String>,
    /// The API's unix sockets, where systemd passes none.
    pub api_listen: Vec<PathBuf>,
    /// Where the discovery gateway listens, or `off`.
    pub gateway_listen: Vec<String>,
    /// Where other machines ask whether this one lives, or `off`.
    pub peer_listen: Option<String>,
    /// Where other machines join the cluster, or `off`.
    pub join_listen: Option<String>,
    /// The address that other machines reach this one at.
    pub address: Option<String>,
    /// Machine metadata as `key=value,key=value`.
    pub metadata: Option<String>,
    /// Log more.
    pub verbose: bool,
}

impl Options {
    /// Whether the command line says where the store is: no file can say otherwise then.
    pub fn fixes_store(&self) -> bool {
        !self.store_endpoints.is_empty() || !self.store_listen.is_empty()
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not understood.
    #[error("configuration file {path}: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where in it, and why.
        message: String,
    },
    /// What the machine was told when it joined cannot be read.
    #[error("where this machine's cluster is")]
    Membership(#[from] MembershipError),
    /// A value is not acceptable.
    #[error("configuration: {0}")]
    Value(String),
}

/// A value that is not acceptable.
pub(super) fn value(message: impl Into<String>) -> ConfigError {
    ConfigError::Value(message.into())
}
