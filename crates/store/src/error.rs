//! Why a store cannot be opened, or had to stop.

use std::io;
use std::path::PathBuf;

use crate::Listen;

/// A store that cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the lock.
    #[error("data directory {} is in use by process {pid}: stop it, or use another directory", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The other process, as its lock file tells.
        pid: String,
    },
    /// The data directory cannot be made, locked, listed or read.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is damaged where a crash cannot have damaged it.
    #[error(
        "{file} is damaged at byte {offset}: {reason}; restore the data directory from a copy, nothing was changed"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Somebody else listens there.
    #[error("address {listen} is already in use: stop the other server, or listen elsewhere")]
    AddressInUse {
        /// The address.
        listen: Listen,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: Listen,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificates of a TLS address do not work.
    #[error("cannot use the certificates for {listen}")]
    Tls {
        /// The address.
        listen: Listen,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Tokens cannot be made as configured.
    #[error(transparent)]
    AuthToken(#[from] crate::AuthTokenError),
    /// The disk failed a write or a sync: what it holds is unknown until the log is read again.
    #[error("the disk failed: {reason}; the store must be started again")]
    DiskFailed {
        /// What failed.
        reason: String,
    },
    /// The writer ended without being told to.
    #[error("the store's writer ended unexpectedly")]
    WriterEnded,
}
