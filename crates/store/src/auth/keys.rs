//! The keys of tokens, from the PEM files that etcd takes.

use std::fs;
use std::path::Path;

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use webpki::EndEntityCert;

use super::der::{BIT_STRING, INTEGER, OCTET_STRING, SEQUENCE, any_element, bits, element};
use super::jwt::{Digest, PrivateKey, SignMethod};
use super::{AuthTokenError, JwtConfig};

/// The private key, if there is one, and the public one.
pub(super) fn load(config: &JwtConfig) -> Result<(Option<PrivateKey>, Option<Vec<u8>>), AuthTokenError> {
    let private = config.private_key.as_deref().map(|path| private_key(path, config.method)).transpose()?;
    if let SignMethod::Hmac(_) = config.method {
        return if private.is_some() { Ok((private, None)) } else { Err(AuthTokenError::NoKey) };
    }
    let public = config.public_key.as_deref().map(public_key).transpose()?;
    let own = match &private {
        Some(PrivateKey::Rsa(pair)) => Some(pair.public_key().as_ref().to_vec()),
        Some(PrivateKey::Ecdsa(pair)) => Some(pair.public_key().as_ref().to_vec()),
        Some(PrivateKey::Hmac(_)) | None => None,
    };
    match (own, public) {
        (None, None) => Err(AuthTokenError::NoKey),
        (Some(own), Some(public)) if own != public => Err(AuthTokenError::KeyMismatch),
        (own, public) => Ok((private, own.or(public))),
    }
}

fn private_key(path: &Path, method: SignMethod) -> Result<PrivateKey, AuthTokenError> {
    let bytes = fs::read(path).map_err(|source| unusable(path, &source.to_string()))?;
    if let SignMethod::Hmac(digest) = method {
        let algorithm = match digest {
            Digest::Sha256 => hmac::HMAC_SHA256,
            Digest::Sha384 => hmac::HMAC_SHA384,
            Digest::Sha512 => hmac::HMAC_SHA512,
        };
        // The bytes of the file, whatever they are.
        return Ok(PrivateKey::Hmac(hmac::Key::new(algorithm, &bytes)));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| unusable(path, &error.to_string()))?;
    let parsed = match method {
        SignMethod::Rsa(_) | SignMethod::RsaPss(_) => rsa(&key).map(PrivateKey::Rsa),
        SignMethod::Ecdsa(Digest::Sha384) => {
            ecdsa(&key, &signature::ECDSA_P384_SHA384_FIXED_SIGNING).map(PrivateKey::Ecdsa)
        }
        SignMethod::Ecdsa(_) => ecdsa(&key, &signature::ECDSA_P256_SHA256_FIXED_SIGNING).map(PrivateKey::Ecdsa),
        SignMethod::Hmac(_) => None,
    };
    parsed.ok_or_else(|| unusable(path, "it is no private key for the signing method"))
}

fn rsa(key: &PrivateKeyDer<'_>) -> Option<RsaKeyPair> {
    match key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        _ => None,
    }
}

fn ecdsa(key: &PrivateKeyDer<'_>, algorithm: &'static EcdsaSigningAlgorithm) -> Option<EcdsaKeyPair> {
    let random = SystemRandom::new();
    match key {
        PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der(), &random).ok(),
        PrivateKeyDer::Sec1(key) => {
            let (private, public) = sec1(key.secret_sec1_der())?;
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random).ok()
        }
        _ => None,
    }
}

/// Both keys in the form that `openssl ecparam -genkey` writes.
fn sec1(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const PUBLIC: u8 = 0xa1;
    let (content, _) = element(der, SEQUENCE)?;
    let (_, rest) = element(content, INTEGER)?;
    let (private, mut rest) = element(rest, OCTET_STRING)?;
    loop {
        let (kind, content, after) = any_element(rest)?;
        if kind == PUBLIC {
            return Some((private, bits(element(content, BIT_STRING)?.0)?));
        }
        rest = after;
    }
}

/// From a public key or a certificate.
fn public_key(path: &Path) -> Result<Vec<u8>, AuthTokenError> {
    let bytes = fs::read(path).map_err(|source| unusable(path, &source.to_string()))?;
    let spki = match SubjectPublicKeyInfoDer::from_pem_slice(&bytes) {
        Ok(spki) => spki.to_vec(),
        Err(_) => of_certificate(&bytes).ok_or_else(|| unusable(path, "it holds no public key and no certificate"))?,
    };
    in_spki(&spki).map(<[u8]>::to_vec).ok_or_else(|| unusable(path, "its public key cannot be read"))
}

fn of_certificate(pem: &[u8]) -> Option<Vec<u8>> {
    let certificate = CertificateDer::from_pem_slice(pem).ok()?;
    Some(EndEntityCert::try_from(&certificate).ok()?.subject_public_key_info().to_vec())
}

fn in_spki(spki: &[u8]) -> Option<&[u8]> {
    let (content, _) = element(spki, SEQUENCE)?;
    let (_algorithm, rest) = element(content, SEQUENCE)?;
    bits(element(rest, BIT_STRING)?.0)
}

fn unusable(path: &Path, reason: &str) -> AuthTokenError {
    AuthTokenError::Key { path: path.to_owned(), reason: reason.to_owned() }
}
