//! The lab's certificate authority, and a certificate for each machine.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::error::{LabError, Result};
use crate::{files, state};

/// Signs for the machines of one lab.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
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
        let params = authority_params();
        // The certificate is written last: where it is, the key is.
        if let Some(certificate) = files::read_optional(&path)? {
            let text = std::fs::read_to_string(&key_path).map_err(LabError::io("read", &key_path))?;
            let issuer = Issuer::new(params, KeyPair::from_pem(&text)?);
            return Ok(Self { dir, certificate, issuer });
        }
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        files::write(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
        files::write(&path, certificate.as_bytes(), 0o644)?;
        Ok(Self { dir, certificate, issuer: Issuer::new(params, key) })
    }

    /// The identity of a machine, good as server and as client; made at the first call.
    pub(crate) fn identity(&self, machine: &str, address: Ipv4Addr) -> Result<Identity> {
        let key_path = self.dir.join(format!("{machine}-key.pem"));
        let path = self.dir.join(format!("{machine}.pem"));
        let authority = self.certificate.clone();
        if let Some(certificate) = files::read_optional(&path)? {
            let key = std::fs::read_to_string(&key_path).map_err(LabError::io("read", &key_path))?;
            return Ok(Identity { authority, certificate, key });
        }
        let key = KeyPair::generate()?;
        let certificate = machine_params(machine, address)?.signed_by(&key, &self.issuer)?.pem();
        let key = key.serialize_pem();
        files::write(&key_path, key.as_bytes(), 0o600)?;
        files::write(&path, certificate.as_bytes(), 0o644)?;
        Ok(Identity { authority, certificate, key })
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    named(&mut params, "Flota lab");
    params
}

fn machine_params(machine: &str, address: Ipv4Addr) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec![machine.to_owned(), "localhost".to_owned()])?;
    for address in [address, Ipv4Addr::LOCALHOST] {
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(address)));
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    named(&mut params, machine);
    Ok(params)
}

/// Fixed, wide dates: a lab lives for hours, and its machines' clocks may be set for a test.
fn named(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
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
