//! The lab's ssh keys: one for people and machines, one that every machine shows as its own.

use std::path::{Path, PathBuf};

use crate::error::{LabError, Result};
use crate::run::{command, run};
use crate::{files, state};

/// Key texts as they go into machines.
#[derive(Debug, Clone)]
pub(crate) struct SshKeys {
    pub(crate) user: String,
    pub(crate) user_public: String,
    pub(crate) host: String,
    pub(crate) host_public: String,
}

/// The private key that opens every machine of the lab.
pub(crate) fn identity(lab_dir: &Path) -> PathBuf {
    lab_dir.join(state::KEYS_DIR).join("id_ed25519")
}

/// Loads the keys, made at the first call.
pub(crate) fn ensure(lab_dir: &Path) -> Result<SshKeys> {
    let user = identity(lab_dir);
    let host = user.with_file_name("ssh_host_ed25519_key");
    for (path, comment) in [(&user, "flota-lab"), (&host, "flota-lab-machine")] {
        if public(path).exists() {
            continue;
        }
        if let Some(parent) = path.parent() {
            files::make_dir(parent)?;
        }
        // A private key without its public one is of an interrupted run, and ssh-keygen would ask.
        files::remove(path)?;
        let path = path.to_string_lossy();
        run(&mut command("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &path]))?;
    }
    let read = |path: &Path| std::fs::read_to_string(path).map_err(LabError::io("read", path));
    Ok(SshKeys {
        user: read(&user)?,
        user_public: read(&public(&user))?,
        host: read(&host)?,
        host_public: read(&public(&host))?,
    })
}

fn public(private: &Path) -> PathBuf {
    private.with_extension("pub")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_mended() {
        let dir = tempfile::tempdir().unwrap();
        let first = ensure(dir.path()).unwrap();
        assert!(first.user.contains("OPENSSH PRIVATE KEY"));
        assert!(first.user_public.starts_with("ssh-ed25519 "));
        assert_eq!(ensure(dir.path()).unwrap().host_public, first.host_public);
        std::fs::remove_file(public(&identity(dir.path()))).unwrap();
        assert_ne!(ensure(dir.path()).unwrap().user_public, first.user_public);
    }
}
