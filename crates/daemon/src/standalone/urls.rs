//! etcd's URLs as addresses to listen on.

use std::net::{SocketAddr, ToSocketAddrs};

use flota_store::Listen;

use crate::config::ConfigError;
use crate::standalone::TlsOptions;

/// Reads one URL; host names are looked up.
pub(crate) fn listen(url: &str, tls: &TlsOptions) -> Result<Listen, ConfigError> {
    let wrong = |what: &str| ConfigError::Value(format!("--listen-client-urls `{url}` {what}"));
    let Some((scheme, rest)) = url.trim().split_once("://") else {
        return Err(wrong("is not of the form http://ADDRESS:PORT, https://ADDRESS:PORT or unix://PATH"));
    };
    let host = rest.trim_end_matches('/');
    match scheme {
        "unix" => Ok(Listen::Unix(rest.into())),
        "http" => Ok(Listen::Tcp(resolve(host).map_err(|reason| wrong(&reason))?)),
        "https" => {
            let addr = resolve(host).map_err(|reason| wrong(&reason))?;
            let (Some(cert), Some(key)) = (tls.cert.clone(), tls.key.clone()) else {
                return Err(wrong("needs --cert-file and --key-file"));
            };
            // An authority alone asks for certificates too, as in etcd.
            let client_ca = tls.client_ca.clone();
            if tls.client_cert_auth && client_ca.is_none() {
                return Err(wrong("with --client-cert-auth needs --trusted-ca-file"));
            }
            Ok(Listen::Tls { addr, cert, key, client_ca })
        }
        _ => Err(wrong("has an unknown scheme; use http, https or unix")),
    }
}

/// The address of a host and port; of several the first of IPv4, as Go chooses.
fn resolve(host: &str) -> Result<SocketAddr, String> {
    let found = host.to_socket_addrs().map_err(|error| format!("cannot be looked up: {error}"))?;
    let all: Vec<SocketAddr> = found.collect();
    let first = all.iter().find(|addr| addr.is_ipv4()).or(all.first());
    first.copied().ok_or_else(|| "has no address".to_owned())
}

/// Whether everybody on the network can write there.
pub(crate) fn is_open(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp(addr) | Listen::Tls { addr, client_ca: None, .. } if !addr.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_looked_up() {
        let tls = TlsOptions::default();
        assert_eq!(listen("http://localhost:2379", &tls).unwrap(), Listen::Tcp(([127, 0, 0, 1], 2379).into()));
        assert_eq!(listen("http://0.0.0.0:1/", &tls).unwrap(), Listen::Tcp(([0, 0, 0, 0], 1).into()));
        assert_eq!(listen("unix://a/b.sock", &tls).unwrap(), Listen::Unix("a/b.sock".into()));
        assert!(is_open(&listen("http://0.0.0.0:1", &tls).unwrap()));
        assert!(!is_open(&listen("http://[::1]:1", &tls).unwrap()));
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        let tls = TlsOptions::default();
        let wrong = |url: &str| listen(url, &tls).unwrap_err().to_string();
        assert!(wrong("127.0.0.1:2379").contains("not of the form"));
        assert!(wrong("http://127.0.0.1").contains("looked up"));
        assert!(wrong("ftp://127.0.0.1:1").contains("scheme"));
        assert!(wrong("https://127.0.0.1:1").contains("--cert-file"));
    }
}
