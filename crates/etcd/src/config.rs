//! Where the store is, and how to be let in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::members::Members;
use crate::{EtcdError, Upstream};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A silent connection with something under way is probed this often: the death of the store's machine is noticed although no packet
/// says so. A real etcd closes one that is probed more often than every 5 s, or while nothing is under way.
const PROBE_INTERVAL: Duration = Duration::from_secs(6);
/// A probe that is not answered for so long ends the connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Whom Debian trusts (package ca-certificates).
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The certificates of this machine, PEM.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Who signs the store's certificate.
    pub ca: PathBuf,
    /// This machine's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`; the members of one store.
    pub endpoints: Vec<String>,
    /// Needed for `https`.
    pub tls: Option<TlsFiles>,
}

/// The way to a store.
pub(crate) enum Way {
    /// To its only member. It connects on first use, and again after each failure; a call fails at once when the member is down.
    One(Channel),
    /// To whichever of its members serves.
    Several(Members),
}

impl ClientConfig {
    /// The store as an [`Upstream`] for the discovery gateway. It connects on first use, and again after each failure.
    pub fn upstream(&self) -> Result<Upstream, EtcdError> {
        Ok(match self.way()? {
            Way::One(channel) => Upstream::new(channel),
            Way::Several(members) => Upstream::new(members),
        })
    }

    /// The way to the store; nothing is sent before the first call.
    pub(crate) fn way(&self) -> Result<Way, EtcdError> {
        way(&self.endpoints, |endpoint| {
            let files = self.tls.as_ref().ok_or_else(|| EtcdError::TlsMissing { endpoint: endpoint.to_owned() })?;
            Ok(ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(read(&files.ca)?))
                .identity(Identity::from_pem(read(&files.cert)?, read(&files.key)?)))
        })
    }
}

/// What somebody shows to a store that is not Flota's own, and believes it by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Who signs the store's certificate; none: whom the system trusts.
    pub ca: Option<PathBuf>,
    /// A certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A name and a password.
    pub user: Option<(String, String)>,
}

impl Access {
    pub(crate) fn way(&self, endpoints: &[String]) -> Result<Way, EtcdError> {
        way(endpoints, |_| {
            let ca = self.ca.as_deref().unwrap_or(Path::new(SYSTEM_CA));
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
            match &self.identity {
                Some((cert, key)) => Ok(tls.identity(Identity::from_pem(read(cert)?, read(key)?))),
                None => Ok(tls),
            }
        })
    }
}

/// The way to endpoints; `tls` is asked for those that need it.
fn way(endpoints: &[String], tls: impl Fn(&str) -> Result<ClientTlsConfig, EtcdError>) -> Result<Way, EtcdError> {
    let endpoints = endpoints.iter().map(|text| Ok((text.clone(), endpoint(text, &tls)?)));
    let endpoints = endpoints.collect::<Result<Vec<_>, EtcdError>>()?;
    match endpoints.as_slice() {
        [] => Err(EtcdError::Endpoint { endpoint: String::new() }),
        [(_, only)] => Ok(Way::One(only.connect_lazy())),
        _ => Ok(Way::Several(Members::new(endpoints))),
    }
}

fn endpoint(text: &str, tls: impl Fn(&str) -> Result<ClientTlsConfig, EtcdError>) -> Result<Endpoint, EtcdError> {
    let wrong = || EtcdError::Endpoint { endpoint: text.to_owned() };
    let known = ["http://", "https://", "unix:/"].iter().any(|scheme| text.starts_with(scheme));
    if !known {
        return Err(wrong());
    }
    let endpoint = Endpoint::from_shared(text.to_owned())
        .map_err(|_| wrong())?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PROBE_INTERVAL)
        .keep_alive_timeout(PROBE_TIMEOUT)
        .keep_alive_while_idle(false);
    if text.starts_with("https://") {
        return endpoint.tls_config(tls(text)?).map_err(EtcdError::Tls);
    }
    Ok(endpoint)
}

fn read(path: &Path) -> Result<Vec<u8>, EtcdError> {
    std::fs::read(path).map_err(|source| EtcdError::TlsFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str) -> ClientConfig {
        ClientConfig { endpoints: vec![endpoint.to_owned()], tls: None }
    }

    #[tokio::test]
    async fn endpoints_are_checked_before_use() {
        assert!(config("http://127.0.0.1:2379").way().is_ok());
        assert!(config("unix:/run/flota/store.sock").way().is_ok());
        for wrong in ["", "127.0.0.1:2379", "ftp://host", "http://"] {
            let error = config(wrong).way().err().unwrap();
            assert!(matches!(error, EtcdError::Endpoint { .. }), "{wrong}: {error}");
        }
        let error = config("https://host:2379").way().err().unwrap();
        assert!(error.to_string().contains("needs [tls] ca, cert and key"), "{error}");
    }
}
