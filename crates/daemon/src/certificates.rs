//! What certificates say of themselves: how long they are good, and who signed them.

use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

/// The year 10000: later than any certificate can be good.
const NEVER: Duration = Duration::from_secs(253_402_300_800);

/// From when until when a certificate is good, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifespan {
    /// Not before.
    pub from: i64,
    /// Not after.
    pub until: i64,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No PEM, or none of a certificate.
    #[error("holds no certificate")]
    Pem,
    /// Not what a certificate looks like.
    #[error("holds a certificate that is damaged: {0}")]
    Der(webpki::Error),
    /// Somebody else signed it, or not for this purpose.
    #[error("does not go with the authority beside it: {0}")]
    Stranger(webpki::Error),
}

/// How long the first certificate of a PEM file is good.
pub fn lifespan(pem: &[u8]) -> Result<Lifespan, CertificateError> {
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| CertificateError::Pem)?;
    // Whoever verifies looks at the dates first, of an authority too, and names the one that does not fit.
    let from = match verified(&certificate, &[], Duration::ZERO) {
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => not_before,
        Err(error) => return Err(CertificateError::Der(error)),
        Ok(()) => UnixTime::since_unix_epoch(Duration::ZERO),
    };
    let until = match verified(&certificate, &[], NEVER) {
        Err(webpki::Error::CertExpired { not_after, .. }) => not_after,
        Err(error) => return Err(CertificateError::Der(error)),
        Ok(()) => UnixTime::since_unix_epoch(NEVER),
    };
    let seconds = |time: UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Ok(Lifespan { from: seconds(from), until: seconds(until) })
}

/// Whether the first certificate of a PEM file is signed by one of those in another, whenever that was.
pub fn signed_by(pem: &[u8], authorities: &[u8]) -> Result<(), CertificateError> {
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| CertificateError::Pem)?;
    let until = u64::try_from(lifespan(pem)?.until).unwrap_or(0);
    let roots: Vec<_> = CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok).collect();
    let anchors: Vec<_> = roots.iter().filter_map(|root| webpki::anchor_from_trusted_cert(root).ok()).collect();
    verified(&certificate, &anchors, Duration::from_secs(until)).map_err(CertificateError::Stranger)
}

fn verified(certificate: &CertificateDer<'_>, anchors: &[TrustAnchor<'_>], at: Duration) -> Result<(), webpki::Error> {
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    let at = UnixTime::since_unix_epoch(at);
    let certificate = EndEntityCert::try_from(certificate)?;
    certificate.verify_for_usage(algorithms, anchors, &[], at, KeyUsage::client_auth(), None, None).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use flota_pki::{Authority, Lifetime, Purpose, Subject};

    use super::*;

    /// An authority and a certificate of it, PEM, both good for these seconds since 1970.
    fn made(from: u64, until: u64) -> (String, String) {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let lifetime = Lifetime { from: at(from), until: at(until) };
        let (authority, _) = Authority::create("test", lifetime).unwrap();
        let subject = Subject { name: "m", hosts: Vec::new(), addresses: Vec::new(), purpose: Purpose::Both };
        let machine = authority.issue(&subject, lifetime).unwrap().certificate;
        (authority.certificate().to_owned(), machine)
    }

    #[test]
    fn the_dates_of_a_machines_certificate_and_of_an_authoritys() {
        let (authority, machine) = made(1_700_000_000, 1_800_000_000);
        for pem in [authority, machine] {
            let span = lifespan(pem.as_bytes()).unwrap();
            assert_eq!(span, Lifespan { from: 1_700_000_000, until: 1_800_000_000 });
        }
        assert!(matches!(lifespan(b"nothing"), Err(CertificateError::Pem)));
        let damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(lifespan(damaged), Err(CertificateError::Der(_))));
    }

    #[test]
    fn who_signed_counts_also_when_the_time_is_over() {
        let (authority, machine) = made(1_500_000_000, 1_600_000_000);
        let (stranger, _) = made(1_500_000_000, 1_600_000_000);
        signed_by(machine.as_bytes(), authority.as_bytes()).unwrap();
        let refused = signed_by(machine.as_bytes(), stranger.as_bytes()).unwrap_err();
        assert!(refused.to_string().starts_with("does not go with the authority beside it"), "{refused}");
    }
}
