//! Starts that must fail with a clear word, sockets, and TLS.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use flota_store::{Listen, Store, StoreConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use tokio_util::sync::CancellationToken;

use crate::support::*;

fn config(dir: &Path, listen: Vec<Listen>) -> StoreConfig {
    StoreConfig::new(dir, listen)
}

async fn refusal(config: StoreConfig) -> String {
    Store::open(config).await.err().expect("it must not open").to_string()
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), free_addr());
    let message = refusal(config(dir.path(), vec![])).await;
    let pid = process.child.id();
    assert!(message.contains(&format!("is in use by process {pid}")), "{message}");
    assert!(message.contains(&dir.path().display().to_string()), "{message}");
    let mut client = Client::connect([process.addr.to_string()], None).await.unwrap();
    assert_eq!(client.put("a", "1", None).await.unwrap().header().unwrap().revision(), 2);
}

#[tokio::test]
async fn an_address_in_use_is_named_and_nothing_is_left_behind() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Served::start(dir.path()).await;
    let message = refusal(config(other.path(), vec![Listen::Tcp(store.addr)])).await;
    assert!(message.contains(&format!("address http://{} is already in use", store.addr)), "{message}");
    // The lock of the failed start is free again.
    Served::start(other.path()).await.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_unix_socket_is_private_replaces_a_stale_one_and_respects_a_live_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listen = vec![Listen::Unix(path.clone())];
    let store = Store::open(config(&dir.path().join("one"), listen.clone())).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let message = refusal(config(&dir.path().join("two"), listen)).await;
    assert!(message.contains("is already in use") && message.contains("store.sock"), "{message}");
    let stop = CancellationToken::new();
    let end = tokio::spawn(store.serve(stop.clone()));
    let endpoint = tonic::transport::Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
    let channel = etcd_client::Channel::Tonic(endpoint.connect().await.unwrap());
    let mut client = Client::from_channel(channel, None).await.unwrap();
    assert_eq!(client.put("a", "1", None).await.unwrap().header().unwrap().revision(), 2);
    stop.cancel();
    soon(end).await.unwrap().unwrap();
    assert!(!path.exists());
    std::fs::write(&path, "a file of somebody").unwrap();
    let message = refusal(config(&dir.path().join("two"), vec![Listen::Unix(path.clone())])).await;
    assert!(message.contains("cannot listen on"), "{message}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file of somebody");
}

#[tokio::test]
async fn a_stop_ends_open_watches_and_the_data_can_be_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut watch = store.client().await.watch("a", None).await.unwrap();
    assert!(soon(watch.message()).await.unwrap().unwrap().created());
    store.close().await;
    assert!(soon(watch.message()).await.is_err());
    Served::start(dir.path()).await.close().await;
}

/// An authority, and what it has signed.
pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Certificate and key of a client with a name of its own, or none.
    pub fn sign_as(&self, common_name: Option<&str>) -> (String, String) {
        let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Certificate and key, PEM.
    pub fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.insert_extended_key_usage(usage);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[tokio::test]
async fn tls_lets_in_only_clients_with_a_certificate_of_the_authority() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (cert, key) = authority.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let addr = free_addr();
    let listen = Listen::Tls {
        addr,
        cert: write("cert.pem", &cert),
        key: write("key.pem", &key),
        client_ca: Some(write("ca.pem", &authority.issuer.pem())),
    };
    let store = Store::open(config(&dir.path().join("data"), vec![listen.clone()])).await.unwrap();
    let stop = CancellationToken::new();
    let end = tokio::spawn(store.serve(stop.clone()));
    let connect = async |identity: Option<(String, String)>| {
        let mut tls =
            TlsOptions::new().domain_name("localhost").ca_certificate(Certificate::from_pem(authority.issuer.pem()));
        if let Some((cert, key)) = identity {
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        let options = ConnectOptions::new().with_tls(tls);
        let mut client = Client::connect([format!("https://{addr}")], Some(options)).await?;
        client.put("a", "1", None).await
    };
    let client_auth = || ExtendedKeyUsagePurpose::ClientAuth;
    assert!(soon(connect(Some(authority.sign("client", client_auth())))).await.is_ok());
    assert!(soon(connect(None)).await.is_err());
    assert!(soon(connect(Some(stranger.sign("client", client_auth())))).await.is_err());
    stop.cancel();
    soon(end).await.unwrap().unwrap();
    let broken = Listen::Tls {
        addr,
        cert: write("no.pem", "no certificate"),
        key: dir.path().join("key.pem"),
        client_ca: Some(dir.path().join("ca.pem")),
    };
    let message = refusal(config(&dir.path().join("data"), vec![broken])).await;
    assert!(message.contains("cannot use the certificates for https://"), "{message}");
}

/// What Python's clients do: HTTP/1 alone, named so in the handshake, and no certificate.
#[tokio::test]
async fn tls_is_spoken_with_http_1_clients_too_and_without_their_certificates_if_none_are_asked_for() {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (cert, key) = authority.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let (cert_path, key_path) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert_path, cert).unwrap();
    std::fs::write(&key_path, key).unwrap();
    let addr = free_addr();
    let listen = Listen::Tls { addr, cert: cert_path, key: key_path, client_ca: None };
    let store = Store::open(config(&dir.path().join("data"), vec![listen])).await.unwrap();
    let stop = CancellationToken::new();
    let end = tokio::spawn(store.serve(stop.clone()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.issuer.pem().as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut client = builder.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let tcp = tokio::net::TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = soon(connector.connect(name, tcp)).await.unwrap();
    tls.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(tls.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with(r#"{"health":"true"}"#), "{answer}");
    stop.cancel();
    soon(end).await.unwrap().unwrap();
}
