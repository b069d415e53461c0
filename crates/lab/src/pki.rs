//! The lab's certificate authority, and a certificate for each machine, kept in the lab's folder.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flota_pki::{Lifetime, Purpose, Subject};

use crate::error::{LabError, Result};
use crate::{files, state};

const NAME: &str = "Flota lab";
const DAY: u64 = 24 * 60 * 60;

/// Signs for the machines of one lab.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: PathBuf,
    signer: flota_pki::Authority,
}

/// A machine's certificate and key in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// Loads it, made at the first call.
    pub(crate) fn ensure(lab_dir: &Path) -> Result<Self> {
        let dir = lab_dir.join(state::KEYS_DIR);
        let (key_path, path) = (dir.join("ca-key.pem"), dir.join("ca.pem"));
        // The certificate is written last: where it is, the key is.
        if let Some(certificate) = files::read_optional(&path)? {
            let text = std::fs::read_to_string(&key_path).map_err(LabError::io("read", &key_path))?;
            let signer = flota_pki::Authority::load(NAME, certificate, &text)?;
            return Ok(Self { dir, signer });
        }
        let (signer, key) = flota_pki::Authority::create(NAME, lifetime())?;
        files::write(&key_path, key.as_bytes(), 0o600)?;
        files::write(&path, signer.certificate().as_bytes(), 0o644)?;
        Ok(Self { dir, signer })
    }

    /// The identity of a machine, good as server and as client; made at the first call.
    pub(crate) fn identity(&self, machine: &str, address: Ipv4Addr) -> Result<Identity> {
        let key_path = self.dir.join(format!("{machine}-key.pem"));
        let path = self.dir.join(format!("{machine}.pem"));
        let authority = self.signer.certificate().to_owned();
        if let Some(certificate) = files::read_optional(&path)? {
            let key = std::fs::read_to_string(&key_path).map_err(LabError::io("read", &key_path))?;
            return Ok(Identity { authority, certificate, key });
        }
        let subject = Subject {
            name: machine,
            hosts: vec![machine.to_owned(), "localhost".to_owned()],
            addresses: [address, Ipv4Addr::LOCALHOST].map(IpAddr::V4).to_vec(),
            purpose: Purpose::Both,
        };
        let flota_pki::Identity { certificate, key } = self.signer.issue(&subject, lifetime())?;
        files::write(&key_path, key.as_bytes(), 0o600)?;
        files::write(&path, certificate.as_bytes(), 0o644)?;
        Ok(Identity { authority, certificate, key })
    }
}

/// Fixed, wide dates, 2020 to 2049: a lab lives for hours, and its machines' clocks may be set for a test.
fn lifetime() -> Lifetime {
    let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * DAY);
    Lifetime { from: day(18_262), until: day(29_219) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_last_and_share_one_authority() {
        let dir = tempfile::tempdir().unwrap();
        let address = Ipv4Addr::new(10, 78, 0, 11);
        let first = Authority::ensure(dir.path()).unwrap().identity("m1", address).unwrap();
        let authority = Authority::ensure(dir.path()).unwrap();
        assert_eq!(authority.identity("m1", address).unwrap(), first);
        let second = authority.identity("m2", Ipv4Addr::new(10, 78, 0, 12)).unwrap();
        assert_eq!(second.authority, first.authority);
        assert_ne!(second.certificate, first.certificate);
        assert!(first.key.contains("PRIVATE KEY"));
    }
}
