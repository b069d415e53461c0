//! The new machine's side of the door.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flota_api::ErrorBody;
use flota_pki::{PkiError, new_key};
use flota_registry::{ClusterId, MachineId, codec};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls;
use super::token::Token;
use super::wire::{Admission, Application, Hello, MAX_BYTES, PATH, TokenName};

/// Where doors are, if nothing else is said.
const DEFAULT_PORT: u16 = 4003;
/// How long the connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long all of it may take; a wrong token alone takes the door a second.
const ALL: Duration = Duration::from_secs(12);
/// Clocks that differ by more make logs and the ends of certificates and tokens meaningless.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// Why a machine does not get in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The address is none.
    #[error("`{0}` is not of the form ADDRESS or ADDRESS:PORT")]
    Address(String),
    /// Nobody is there.
    #[error("nobody lets machines in at {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// No answer in time.
    #[error("{address} did not answer within {} s", ALL.as_secs())]
    Timeout {
        /// Where.
        address: String,
    },
    /// It is not the cluster that the token is of.
    #[error(
        "the cluster at {address} is not the one that this token is of (its certificate authority is another one): nothing was sent there"
    )]
    WrongAuthority {
        /// Where.
        address: String,
    },
    /// What answers is no door.
    #[error("{address} does not let machines in: {detail}")]
    Protocol {
        /// Where.
        address: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The other side has a reason.
    #[error("{address} refused: {message}")]
    Refused {
        /// Where.
        address: String,
        /// Its words.
        message: String,
    },
    /// The versions do not go together.
    #[error(
        "the cluster runs flota {theirs} (format {their_format}), this machine {} (format {}): install the same version",
        env!("CARGO_PKG_VERSION"),
        codec::FORMAT
    )]
    Version {
        /// The cluster's version.
        theirs: String,
        /// What it writes into the store.
        their_format: u32,
    },
    /// The clocks differ.
    #[error("this machine's clock is {seconds} s off the cluster's: set it first (timedatectl set-ntp true)")]
    Clock {
        /// By so many seconds.
        seconds: u64,
    },
    /// No key could be made.
    #[error("cannot make a key")]
    Key(#[from] PkiError),
}

/// What a machine that was let in belongs to.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its store.
    pub endpoints: Vec<String>,
    /// Who signs, PEM.
    pub authority: String,
    /// The machine's certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
}

/// Asks at the door `address` (`ADDRESS` or `ADDRESS:PORT`) to be let in. The token's secret is sent only to the
/// authority that the token names.
pub async fn enter(address: &str, token: &Token, me: &MachineId) -> Result<Credentials, JoinError> {
    let at = Address::parse(address)?;
    let late = JoinError::Timeout { address: at.text() };
    timeout(ALL, apply(&at, token, me)).await.unwrap_or(Err(late))
}

async fn apply(at: &Address, token: &Token, me: &MachineId) -> Result<Credentials, JoinError> {
    let mut door = Visitor::connect(at, token).await?;
    let hello: Hello = door.ask(Method::GET, &()).await?;
    check(&hello, SystemTime::now())?;
    let (key, public_key) = new_key()?;
    let application = Application {
        token: TokenName(token.id.clone()),
        secret: token.secret.encode(),
        machine: me.clone(),
        public_key: STANDARD.encode(public_key),
    };
    let Admission { cluster, endpoints, authority, certificate } = door.ask(Method::POST, &application).await?;
    Ok(Credentials { cluster, endpoints, authority, certificate, key })
}

/// Whether this machine and the cluster go together.
fn check(hello: &Hello, now: SystemTime) -> Result<(), JoinError> {
    if hello.format != codec::FORMAT {
        return Err(JoinError::Version { theirs: hello.version.clone(), their_format: hello.format });
    }
    let theirs = Duration::from_millis(hello.now_unix_ms);
    let difference = now.duration_since(UNIX_EPOCH).unwrap_or_default().abs_diff(theirs);
    if difference > MAX_CLOCK_DIFFERENCE {
        return Err(JoinError::Clock { seconds: difference.as_secs() });
    }
    Ok(())
}

/// Where a door is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
}

impl Address {
    fn parse(text: &str) -> Result<Address, JoinError> {
        let wrong = || JoinError::Address(text.to_owned());
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Address { host: ip.to_string(), port: DEFAULT_PORT });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (text, DEFAULT_PORT),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name =
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
        if is_name { Ok(Address { host: host.to_owned(), port }) } else { Err(wrong()) }
    }

    fn text(&self) -> String {
        let Address { host, port } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// A connection to a door.
struct Visitor<'a> {
    at: &'a Address,
    sender: SendRequest<Full<Bytes>>,
}

impl Visitor<'_> {
    async fn connect<'a>(at: &'a Address, token: &Token) -> Result<Visitor<'a>, JoinError> {
        let unreachable = |source| JoinError::Unreachable { address: at.text(), source };
        let stream = timeout(CONNECT, TcpStream::connect((at.host.as_str(), at.port))).await;
        let stream = stream.map_err(|late| unreachable(late.into()))?.map_err(unreachable)?;
        let protocol = |detail: String| JoinError::Protocol { address: at.text(), detail };
        let config = tls::client(token.authority).map_err(|error| protocol(error.to_string()))?;
        let name = ServerName::try_from(at.host.clone()).map_err(|error| protocol(error.to_string()))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            if is_unknown_issuer(&error) {
                JoinError::WrongAuthority { address: at.text() }
            } else {
                protocol(error.to_string())
            }
        })?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| protocol(error.to_string()))?;
        // Its errors reach the sender.
        tokio::spawn(connection);
        Ok(Visitor { at, sender })
    }

    async fn ask<A: DeserializeOwned>(&mut self, method: Method, question: &impl Serialize) -> Result<A, JoinError> {
        let protocol = |detail: String| JoinError::Protocol { address: self.at.text(), detail };
        let body = serde_json::to_vec(question).map_err(|error| protocol(error.to_string()))?;
        let request = Request::builder()
            .method(method)
            .uri(PATH)
            .header(HOST, self.at.text())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| protocol(error.to_string()))?;
        let answer = self.sender.send_request(request).await.map_err(|error| protocol(error.to_string()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|error| protocol(error.to_string()))?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| protocol(error.to_string()));
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(ErrorBody { error }) => Err(JoinError::Refused { address: self.at.text(), message: error.message }),
            Err(_) => Err(protocol(format!("it answers {status}"))),
        }
    }
}

fn is_unknown_issuer(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_found_by_address_or_name_with_or_without_a_port() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1:4003"),
            ("10.0.0.1:5000", "10.0.0.1:5000"),
            ("m1.example", "m1.example:4003"),
            ("m1:5000", "m1:5000"),
            ("fd00::1", "[fd00::1]:4003"),
            ("[fd00::1]:5000", "[fd00::1]:5000"),
        ] {
            assert_eq!(Address::parse(text).unwrap().text(), expected);
        }
        for wrong in ["", ":4003", "m1:", "m1:x", "https://m1", "a b"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_machine_of_another_format_or_time_does_not_fit() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let hello = Hello { version: "9.9".to_owned(), format: codec::FORMAT, now_unix_ms: 1_700_000_000_000 };
        check(&hello, now).unwrap();
        check(&hello, now - Duration::from_secs(59)).unwrap();
        let error = check(&hello, now + Duration::from_secs(61)).unwrap_err().to_string();
        assert!(error.contains("61 s off"), "{error}");
        let error = check(&Hello { format: codec::FORMAT + 1, ..hello }, now).unwrap_err().to_string();
        assert!(error.contains("flota 9.9") && error.contains("install the same version"), "{error}");
    }
}
