//! Signs certificates.

use std::net::IpAddr;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
};

/// The length of a public key on P-256, not compressed, and the byte that it begins with.
const POINT: (usize, u8) = (65, 4);

/// What is wrong with a key, a name or a certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The library refused.
    #[error("certificate")]
    Certificate(#[from] rcgen::Error),
    /// Not a key that machines have.
    #[error("public key of {length} bytes is not a point on P-256")]
    PublicKey {
        /// How long it is.
        length: usize,
    },
}

/// From when until when a certificate is good.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// Not before.
    pub from: SystemTime,
    /// Not after.
    pub until: SystemTime,
}

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be let in.
    Client,
    /// To be let in, and to let others in.
    Both,
}

/// Whom a certificate is for.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The common name.
    pub name: &'a str,
    /// The host names that it answers to.
    pub hosts: Vec<String>,
    /// The addresses that it answers at.
    pub addresses: Vec<IpAddr>,
    /// What for.
    pub purpose: Purpose,
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// A new key: PEM, and the public half as [`Authority::certify`] takes it.
pub fn new_key() -> Result<(String, Vec<u8>), PkiError> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.der_bytes().to_vec()))
}

/// Signs.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, and its key as PEM.
    pub fn create(name: &str, lifetime: Lifetime) -> Result<(Authority, String), PkiError> {
        let key = KeyPair::generate()?;
        let mut params = authority_params(name);
        set_lifetime(&mut params, lifetime);
        let certificate = params.self_signed(&key)?.pem();
        let text = key.serialize_pem();
        Ok((Authority { certificate, issuer: Issuer::new(params, key) }, text))
    }

    /// The one that was created under `name`, from its certificate and key (PEM).
    pub fn load(name: &str, certificate: String, key: &str) -> Result<Authority, PkiError> {
        let issuer = Issuer::new(authority_params(name), KeyPair::from_pem(key)?);
        Ok(Authority { certificate, issuer })
    }

    /// Its own certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate with a new key.
    pub fn issue(&self, subject: &Subject<'_>, lifetime: Lifetime) -> Result<Identity, PkiError> {
        let key = KeyPair::generate()?;
        let certificate = subject_params(subject, lifetime)?.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// A certificate for a key that stays where it is; PEM. Nothing but the key is taken from whoever asks.
    pub fn certify(&self, subject: &Subject<'_>, public_key: &[u8], lifetime: Lifetime) -> Result<String, PkiError> {
        if (public_key.len(), public_key.first().copied()) != (POINT.0, Some(POINT.1)) {
            return Err(PkiError::PublicKey { length: public_key.len() });
        }
        let params = subject_params(subject, lifetime)?;
        Ok(params.signed_by(&Point(public_key), &self.issuer)?.pem())
    }
}

/// A public key on P-256.
struct Point<'a>(&'a [u8]);

impl PublicKeyData for Point<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_name(&mut params, name);
    params
}

fn subject_params(subject: &Subject<'_>, lifetime: Lifetime) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(subject.hosts.clone())?;
    params.subject_alt_names.extend(subject.addresses.iter().copied().map(SanType::IpAddress));
    params.extended_key_usages = match subject.purpose {
        Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Purpose::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    set_name(&mut params, subject.name);
    set_lifetime(&mut params, lifetime);
    Ok(params)
}

fn set_name(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
}

fn set_lifetime(params: &mut CertificateParams, lifetime: Lifetime) {
    params.not_before = lifetime.from.into();
    params.not_after = lifetime.until.into();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lifetime() -> Lifetime {
        let from = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        Lifetime { from, until: from + Duration::from_secs(1_000_000_000) }
    }

    fn subject() -> Subject<'static> {
        Subject { name: "m1", hosts: vec!["m1".to_owned()], addresses: Vec::new(), purpose: Purpose::Client }
    }

    #[test]
    fn an_authority_that_was_loaded_signs_like_the_one_that_was_created() {
        let (created, key) = Authority::create("a", lifetime()).unwrap();
        let loaded = Authority::load("a", created.certificate().to_owned(), &key).unwrap();
        assert_eq!(loaded.certificate(), created.certificate());
        assert!(loaded.issue(&subject(), lifetime()).unwrap().key.contains("PRIVATE KEY"));
    }

    #[test]
    fn a_key_that_stays_where_it_is_is_certified_and_nothing_else_is() {
        let (authority, _) = Authority::create("a", lifetime()).unwrap();
        let (_, public) = new_key().unwrap();
        assert!(authority.certify(&subject(), &public, lifetime()).unwrap().contains("BEGIN CERTIFICATE"));
        for wrong in [&public[1..], &[], &[0; 65]] {
            let error = authority.certify(&subject(), wrong, lifetime()).unwrap_err();
            assert!(matches!(error, PkiError::PublicKey { .. }), "{error}");
        }
    }
}
