//! The cluster's own certificates: an authority that is made once, and this machine's certificate, anew at each start.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use flota_etcd::TlsFiles;
use flota_pki::{Authority, Lifetime, Purpose, Subject};
use flota_registry::MachineId;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::certificates::lifespan;
use crate::disk;

/// The authority's name in its certificate.
const NAME: &str = "Flota cluster";
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The authority outlives the hardware.
const AUTHORITY_YEARS: u32 = 30;
/// A machine's certificate; joining again gives it a new one.
const MACHINE_YEARS: u32 = 10;
/// Certificates are good from long before they are made (1 January 2020): a new machine's clock may be behind.
const FROM: Duration = Duration::from_secs(1_577_836_800);
/// How long before its end the log speaks of a certificate at each start, in seconds.
const WARN_BEFORE: i64 = 90 * 24 * 60 * 60;

/// This machine's certificates in a folder.
pub fn machine_files(folder: &Path) -> TlsFiles {
    let [ca, cert, key] = ["ca.pem", "machine.pem", "machine-key.pem"].map(|name| folder.join(name));
    TlsFiles { ca, cert, key }
}

/// The cluster's authority; made, with its folder, where there is none yet.
pub fn ensure_authority(folder: &Path) -> anyhow::Result<Authority> {
    let (path, key_path) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
    make_folder(folder)?;
    // The certificate is written last: where it is, the key is.
    match fs::read_to_string(&path) {
        Ok(certificate) => {
            let key = fs::read_to_string(&key_path).with_context(|| format!("cannot read {}", key_path.display()))?;
            Authority::load(NAME, certificate, &key).with_context(|| format!("cannot use {}", key_path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let (authority, key) = Authority::create(NAME, lifetime(AUTHORITY_YEARS))?;
            write_private(&key_path, &key)?;
            write_private(&path, authority.certificate())?;
            Ok(authority)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A new certificate of this machine, for its store and door, at `addresses` and for programs on the machine itself.
/// The authority's goes along, for those who know that one only by its hash.
pub fn issue_own(authority: &Authority, folder: &Path, me: &MachineId, addresses: &[String]) -> anyhow::Result<()> {
    let mut subject = Subject {
        name: me.as_str(),
        hosts: vec!["localhost".to_owned()],
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        purpose: Purpose::Both,
    };
    for address in addresses {
        match address.parse::<IpAddr>() {
            Ok(ip) => subject.addresses.push(ip),
            Err(_) => subject.hosts.push(address.clone()),
        }
    }
    let identity = authority.issue(&subject, lifetime(MACHINE_YEARS))?;
    let files = machine_files(folder);
    write_private(&files.key, &identity.key)?;
    write_private(&files.cert, &format!("{}{}", identity.certificate, authority.certificate()))
}

/// A certificate for a machine that was let in.
pub(super) fn certify(authority: &Authority, machine: &MachineId, key: &[u8]) -> Result<String, flota_pki::PkiError> {
    let subject =
        Subject { name: machine.as_str(), hosts: Vec::new(), addresses: Vec::new(), purpose: Purpose::Client };
    authority.certify(&subject, key, lifetime(MACHINE_YEARS))
}

/// What a token says of an authority: the SHA-256 of its certificate, as `openssl x509 -fingerprint -sha256` shows it.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let hash = digest(&SHA256, certificate);
    std::array::from_fn(|at| hash.as_ref()[at])
}

/// The same of one in PEM.
pub fn fingerprint_of_pem(certificate: &str) -> anyhow::Result<[u8; 32]> {
    Ok(fingerprint(&CertificateDer::from_pem_slice(certificate.as_bytes()).context("cannot read the certificate")?))
}

/// What there is to say of a certificate that ends soon, or has ended; `None` where all is well, or nobody can tell.
pub fn ends_soon(files: &TlsFiles, now: SystemTime) -> Option<String> {
    let now = i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()).ok()?;
    let until = lifespan(&fs::read(&files.cert).ok()?).ok()?.until;
    if until > now + WARN_BEFORE {
        return None;
    }
    let days = (until - now).div_euclid(24 * 60 * 60);
    let path = files.cert.display();
    Some(if days < 0 {
        format!("certificate {path} has expired: the store does not let this machine in")
    } else {
        format!("certificate {path} expires in {days} days")
    })
}

fn lifetime(years: u32) -> Lifetime {
    Lifetime { from: SystemTime::UNIX_EPOCH + FROM, until: SystemTime::now() + YEAR * years }
}

/// A folder for root only.
pub(super) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))
}

/// Writes a file for root only.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    disk::write_private(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn me() -> MachineId {
        "0123456789abcdef0123456789abcdef".parse().unwrap()
    }

    #[test]
    fn the_authority_is_made_once_and_the_machines_certificate_at_each_start() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("pki");
        let first = ensure_authority(&folder).unwrap();
        issue_own(&first, &folder, &me(), &["10.0.0.1".to_owned(), "m1".to_owned()]).unwrap();
        let before = fs::read_to_string(folder.join("machine.pem")).unwrap();
        assert_eq!(before.matches("BEGIN CERTIFICATE").count(), 2, "the authority's goes along");

        let second = ensure_authority(&folder).unwrap();
        assert_eq!(second.certificate(), first.certificate());
        issue_own(&second, &folder, &me(), &["10.0.0.2".to_owned()]).unwrap();
        assert_ne!(fs::read_to_string(folder.join("machine.pem")).unwrap(), before);
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }

    #[test]
    fn a_key_without_its_certificate_is_an_interrupted_start() {
        let folder = tempfile::tempdir().unwrap();
        ensure_authority(folder.path()).unwrap();
        fs::remove_file(folder.path().join("ca.pem")).unwrap();
        ensure_authority(folder.path()).unwrap();
        fs::remove_file(folder.path().join("ca-key.pem")).unwrap();
        let error = format!("{:#}", ensure_authority(folder.path()).unwrap_err());
        assert!(error.contains("ca-key.pem"), "{error}");
    }

    #[test]
    fn the_end_of_a_certificate_is_told_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        let authority = ensure_authority(folder.path()).unwrap();
        issue_own(&authority, folder.path(), &me(), &[]).unwrap();
        let files = machine_files(folder.path());
        let now = SystemTime::now();
        assert_eq!(ends_soon(&files, now), None);
        let soon = ends_soon(&files, now + YEAR * MACHINE_YEARS - Duration::from_secs(10 * 24 * 60 * 60)).unwrap();
        assert!(soon.contains("expires in 9 days") || soon.contains("expires in 10 days"), "{soon}");
        let late = ends_soon(&files, now + YEAR * MACHINE_YEARS + Duration::from_secs(2 * 24 * 60 * 60)).unwrap();
        assert!(late.contains("has expired"), "{late}");
        let missing = machine_files(Path::new("/nonexistent"));
        assert_eq!(ends_soon(&missing, now), None);
    }

    #[test]
    fn the_fingerprint_is_the_one_that_openssl_shows() {
        let folder = tempfile::tempdir().unwrap();
        let authority = ensure_authority(folder.path()).unwrap();
        let path = folder.path().join("ca.pem");
        let mut command = std::process::Command::new("openssl");
        command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&path);
        let Ok(output) = command.output() else { return };
        let shown = String::from_utf8(output.stdout).unwrap();
        let shown: String = shown.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
        assert_eq!(shown, super::super::token::hex(&fingerprint_of_pem(authority.certificate()).unwrap()));
    }
}
