//! Where the store is, and how to be let in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::{EtcdError, Upstream};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A silent connection is probed this often, and given up after as long again: the death of the store's machine
/// is noticed although no packet says so.
const PROBE_INTERVAL: Duration = Duration::from_secs(3);

/// The certificates of this machine, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// The gateway's connection is silent most of the time, and carries the streams of many clients: a real etcd closes one that is
/// probed more often than every 5 s, or while nothing is under way.
const GATEWAY_PROBE_INTERVAL: Duration = Duration::from_secs(15);

impl ClientConfig {
    /// The store as an [`Upstream`] for the discovery gateway. It connects on first use, and again after each failure.
    pub fn upstream(&self) -> Result<Upstream, EtcdError> {
        let seldom = |endpoint: Endpoint| {
            endpoint.http2_keep_alive_interval(GATEWAY_PROBE_INTERVAL).keep_alive_while_idle(false)
        };
        Ok(Upstream::new(self.channel_with(seldom)?))
    }

    /// A channel to the store. It connects on first use, and again after each failure.
    pub(crate) fn channel(&self) -> Result<Channel, EtcdError> {
        self.channel_with(|endpoint| endpoint)
    }

    fn channel_with(&self, adjust: impl Fn(Endpoint) -> Endpoint) -> Result<Channel, EtcdError> {
        let endpoints = self.endpoints.iter().map(|text| self.endpoint(text).map(&adjust));
        let mut endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        match endpoints.pop() {
            None => Err(EtcdError::Endpoint { endpoint: String::new() }),
            // A single endpoint fails at once when it is down; a balanced channel would wait.
            Some(only) if endpoints.is_empty() => Ok(only.connect_lazy()),
            Some(last) => {
                endpoints.push(last);
                Ok(Channel::balance_list(endpoints.into_iter()))
            }
        }
    }

    fn endpoint(&self, text: &str) -> Result<Endpoint, EtcdError> {
        let wrong = || EtcdError::Endpoint { endpoint: text.to_owned() };
        let known = ["http://", "https://", "unix:/"].iter().any(|scheme| text.starts_with(scheme));
        if !known {
            return Err(wrong());
        }
        let mut endpoint = Endpoint::from_shared(text.to_owned())
            .map_err(|_| wrong())?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PROBE_INTERVAL)
            .keep_alive_timeout(PROBE_INTERVAL)
            .keep_alive_while_idle(true);
        if text.starts_with("https://") {
            let files = self.tls.as_ref().ok_or_else(|| EtcdError::TlsMissing { endpoint: text.to_owned() })?;
            let tls = ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(read(&files.ca)?))
                .identity(Identity::from_pem(read(&files.cert)?, read(&files.key)?));
            endpoint = endpoint.tls_config(tls).map_err(EtcdError::Tls)?;
        }
        Ok(endpoint)
    }
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
        assert!(config("http://127.0.0.1:2379").channel().is_ok());
        assert!(config("unix:/run/flota/store.sock").channel().is_ok());
        for wrong in ["", "127.0.0.1:2379", "ftp://host", "http://"] {
            let error = config(wrong).channel().unwrap_err();
            assert!(matches!(error, EtcdError::Endpoint { .. }), "{wrong}: {error}");
        }
        let error = config("https://host:2379").channel().unwrap_err();
        assert!(error.to_string().contains("needs [tls] ca, cert and key"), "{error}");
    }
}
