//! TLS for the v2 API.

use std::io;
use std::path::Path;
use std::sync::Arc;

use flota_etcd::Access;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::etcd2::Etcd2Error;

/// Whom Debian trusts (package ca-certificates).
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How connections are secured, if they are.
#[derive(Clone)]
pub(super) struct Tls(Option<TlsConnector>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Tls" } else { "no TLS" })
    }
}

impl Tls {
    pub fn none() -> Tls {
        Tls(None)
    }

    pub fn new(access: &Access) -> Result<Tls, Etcd2Error> {
        let ca = access.ca.as_deref().unwrap_or(Path::new(SYSTEM_CA));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(ca)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(ca, &error))?
            .with_root_certificates(roots);
        let config = match &access.identity {
            None => config.with_no_client_auth(),
            Some((cert, key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
                config.with_client_auth_cert(certificates(cert)?, private).map_err(|error| wrong(cert, &error))?
            }
        };
        Ok(Tls(Some(TlsConnector::from(Arc::new(config)))))
    }

    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let connector = self.0.as_ref().ok_or_else(|| io::Error::other("TLS is not set up"))?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        connector.connect(name, stream).await
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Etcd2Error> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    certificates.map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, reason: &dyn std::fmt::Display) -> Etcd2Error {
    Etcd2Error::Tls { path: path.display().to_string(), reason: reason.to_string() }
}
