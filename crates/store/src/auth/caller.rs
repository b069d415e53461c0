//! What a request tells about who sent it: the door it came through, a certificate, a token.

use std::sync::Arc;

use flota_etcd::ON_BEHALF;
use tonic::Request;
use tonic::transport::CertificateDer;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};

/// The metadata that carries a token: first what clients of gRPC send, then what HTTP clients do.
const TOKEN_METADATA: [&str; 2] = ["token", "authorization"];

/// Metadata that etcd's JSON gateway adds; the certificate is then the gateway's own.
const GATEWAY_METADATA: &str = "grpcgateway-accept";

/// What a request tells about who sent it.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(super) token: Option<String>,
    pub(super) door: Door,
}

/// How a request came in.
#[derive(Clone, Debug)]
pub(super) enum Door {
    /// The unix socket that only its owner can open: that is root on this machine.
    Private,
    /// Anywhere else, or unknown.
    Public,
    /// TLS, with a certificate that the configured authority signed.
    Certificate(Arc<Vec<CertificateDer<'static>>>),
}

impl Credentials {
    /// Takes them from a request. What is not known to be private is public.
    pub(crate) fn of<T>(request: &Request<T>) -> Credentials {
        let metadata = request.metadata();
        let token = TOKEN_METADATA.iter().find_map(|name| metadata.get(*name));
        // A token that is not text is as good as any other that nobody has been given.
        let token = token.map(|token| token.to_str().unwrap_or_default().to_owned());
        let extensions = request.extensions();
        let certificates = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.peer_certs();
        let door = if extensions.get::<UdsConnectInfo>().is_some() {
            if metadata.contains_key(ON_BEHALF) { Door::Public } else { Door::Private }
        } else if metadata.contains_key(GATEWAY_METADATA) {
            Door::Public
        } else {
            certificates().map_or(Door::Public, Door::Certificate)
        };
        Credentials { token, door }
    }
}
