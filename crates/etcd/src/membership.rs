//! What a machine was told when it joined a cluster, or when its cluster moved to another store: where the store is.
//!
//! It lies in the data directory, and counts more than the `[store]` and `[tls]` of the configuration file: what was told
//! last is where the cluster is.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use flota_registry::ClusterId;
use serde::{Deserialize, Serialize};

use crate::TlsFiles;

/// Its name in the data directory.
const FILE: &str = "membership.toml";
/// What people who find it are told.
const HEAD: &str =
    "# Written by flota. It counts more than [store] and [tls] in flota.toml; without it those count again.\n";

/// Where the store of this machine's cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its store.
    pub store: MembershipStore,
    /// The certificates to go there with, for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
}

/// The store of a [`Membership`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipStore {
    /// As in `[store]` of the configuration; none: the store is in this machine's daemon, where the configuration says.
    pub endpoints: Vec<String>,
}

/// Why a membership cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// The disk refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not understood.
    #[error("{path}: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where in it, and why.
        message: String,
    },
}

impl Membership {
    /// Where it lies.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    /// Reads it; none on a machine that was never told.
    pub fn read(data_dir: &Path) -> Result<Option<Membership>, MembershipError> {
        let path = Membership::path(data_dir);
        match fs::read_to_string(&path) {
            Ok(text) => match toml::from_str(&text) {
                Ok(membership) => Ok(Some(membership)),
                Err(error) => Err(MembershipError::Parse { path, message: error.to_string() }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(MembershipError::Io { action: "read", path, source }),
        }
    }

    /// Writes it so that a crash at any moment leaves the old one or the new.
    pub fn write(&self, data_dir: &Path) -> Result<(), MembershipError> {
        let path = Membership::path(data_dir);
        let text = toml::to_string(self)
            .map_err(|error| MembershipError::Parse { path: path.clone(), message: error.to_string() })?;
        let write = || {
            let beside = data_dir.join(format!(".new {FILE}"));
            let mut file = File::create(&beside)?;
            file.write_all(HEAD.as_bytes())?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(data_dir)?.sync_all()
        };
        write().map_err(|source| MembershipError::Io { action: "write", path: path.clone(), source })
    }

    /// Removes it; from the next start on the configuration file counts again.
    pub fn remove(data_dir: &Path) -> Result<(), MembershipError> {
        let path = Membership::path(data_dir);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(MembershipError::Io { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        Membership {
            cluster: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            store: MembershipStore { endpoints: vec!["https://10.0.0.1:2379".to_owned()] },
            tls: Some(TlsFiles { ca: "/p/ca.pem".into(), cert: "/p/m.pem".into(), key: "/p/k.pem".into() }),
        }
    }

    #[test]
    fn what_was_told_last_is_read_until_it_is_removed() {
        let folder = std::env::temp_dir().join(format!("flota-membership-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(Membership::read(&folder).unwrap(), None);
        for cluster in [membership(), Membership { tls: None, ..membership() }] {
            cluster.write(&folder).unwrap();
            assert_eq!(Membership::read(&folder).unwrap(), Some(cluster));
        }
        fs::write(Membership::path(&folder), "cluster = 1\n").unwrap();
        let error = Membership::read(&folder).unwrap_err().to_string();
        assert!(error.contains("membership.toml") && error.contains("line 1"), "{error}");
        Membership::remove(&folder).unwrap();
        Membership::remove(&folder).unwrap();
        assert_eq!(Membership::read(&folder).unwrap(), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
