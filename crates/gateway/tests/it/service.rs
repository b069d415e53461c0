//! The gateway as clients meet it: one port, a store that comes and goes, and what only the store itself does.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::proto::{
    PbAlarmRequest, PbAlarmResponse, PbCompactionRequest, PbCompactionResponse, PbMemberListRequest,
    PbMemberListResponse,
};
use flota_etcd::ClientConfig;
use flota_gateway::Gateway;
use flota_gateway::listen::{Listen, keep};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::support::{Backend, OWN_URL, PATIENCE, free_addr, get, put, soon};

/// A gateway on a port of its own, ended with this value.
pub struct Served {
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl Served {
    pub async fn start(backend: &Backend) -> Served {
        Served::before(backend.config.clone()).await
    }

    async fn before(config: ClientConfig) -> Served {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        tokio::spawn(gateway(config).serve(listener, stop.clone()));
        Served { address, stop }
    }

    fn etcdctl(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            // With `http://`: for some verbs Debian 12's etcdctl sends the whole as the HTTP/2 authority.
            .arg(format!("--endpoints=http://{}", self.address))
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn gateway(config: ClientConfig) -> Arc<Gateway> {
    Arc::new(Gateway::new(config.endpoints.join(","), move || config.upstream()))
}

/// One HTTP/1 request; status and body as they come. A body that goes on is read for a moment.
pub async fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{method} {path}: {answer}")), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_has_grpc_json_version_and_health() {
    for backend in [Backend::embedded().await, Backend::etcd().await] {
        let served = Served::start(&backend).await;
        put(&backend.upstream, "/flota/v1/leader", "secret").await;
        assert_eq!(served.etcdctl(&["put", "/a", "1"]), (true, "OK\n".to_owned()));
        assert_eq!(served.etcdctl(&["get", "--prefix", "/"]), (true, "/a\n1\n".to_owned()));
        let (ok, said) = served.etcdctl(&["get", "--prefix", "/flota/"]);
        assert!(!ok && said.contains("etcdserver: permission denied"), "{said}");
        let (ok, said) = served.etcdctl(&["endpoint", "health"]);
        assert!(ok && said.contains("is healthy"), "{said}");
        let (ok, said) = served.etcdctl(&["endpoint", "status"]);
        assert!(ok && said.contains("3.4.23"), "{said}");

        let (status, answer) = http(served.address, "POST", "/v3/kv/range", r#"{"key":"L2E="}"#).await;
        assert!(status == 200 && answer.contains(r#""value":"MQ==""#), "{answer}");
        let (status, answer) = http(served.address, "GET", "/version", "").await;
        assert!(status == 200 && answer.ends_with(r#"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#), "{answer}");
        let (status, answer) = http(served.address, "GET", "/health", "").await;
        assert!(status == 200 && answer.ends_with(r#"{"health":"true"}"#), "{answer}");
        assert_eq!(http(served.address, "GET", "/metrics", "").await.0, 404);
        assert_eq!(http(served.address, "POST", "/health", "").await.0, 405);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_list_leads_back_to_the_gateway() {
    let backend = Backend::embedded().await;
    let served = Served::start(&backend).await;
    let (ok, said) = served.etcdctl(&["member", "list"]);
    assert!(ok && said.contains(&format!("http://{}", served.address)) && !said.contains("unix:"), "{said}");
    let answer =
        soon(backend.filtered().unary("/etcdserverpb.Cluster/MemberList", PbMemberListRequest::default())).await;
    let list: PbMemberListResponse = answer.unwrap().into_inner();
    assert_eq!(list.members[0].client_ur_ls, [OWN_URL]);
    assert!(list.members[0].peer_ur_ls.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_store_itself_does_is_refused_with_its_address() {
    let backend = Backend::embedded().await;
    let served = Served::start(&backend).await;
    let elsewhere = format!("ask the store itself, at {}", backend.config.endpoints[0]);
    for arguments in [
        &["compaction", "1"][..],
        &["defrag"],
        &["snapshot", "save", "/nonexistent/x"],
        &["endpoint", "hashkv"],
        &["move-leader", "1"],
        &["member", "add", "x", "--peer-urls=http://127.0.0.1:1"],
        &["member", "remove", "1"],
        &["auth", "enable"],
        &["user", "list"],
        &["role", "add", "x"],
    ] {
        let (ok, said) = served.etcdctl(arguments);
        let told = said.contains(&elsewhere) || arguments[0] == "snapshot" || arguments[0] == "move-leader";
        assert!(!ok && told, "{arguments:?}: {said}");
    }
    assert!(served.etcdctl(&["alarm", "list"]).0);
    // etcdctl disarms only what it finds in the list.
    let disarm = PbAlarmRequest { action: 2, ..PbAlarmRequest::default() };
    let refused = backend.filtered().unary::<_, PbAlarmResponse>("/etcdserverpb.Maintenance/Alarm", disarm).await;
    assert!(refused.unwrap_err().message().contains(&elsewhere));
    let compact = PbCompactionRequest { revision: 1, physical: false };
    let refused = backend.filtered().unary::<_, PbCompactionResponse>("/etcdserverpb.KV/Compact", compact).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let unknown = backend.filtered().unary::<_, PbCompactionResponse>("/flota.Secret/Get", compact).await;
    assert_eq!(unknown.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_told_at_once_and_found_again() {
    let backend = Backend::embedded().await;
    let dir = tempfile::tempdir().unwrap();
    // The way to the store, which is cut and mended.
    let link = dir.path().join("store.sock");
    let socket = backend.config.endpoints[0].strip_prefix("unix:").unwrap();
    let config = ClientConfig { endpoints: vec![format!("unix:{}", link.display())], tls: None };
    let served = Served::before(config.clone()).await;
    let direct = flota_gateway::filter::upstream(
        &flota_gateway::filter::FilteredStore::new(config.upstream().unwrap(), "there"),
        OWN_URL,
    );
    for _ in 0..2 {
        let began = Instant::now();
        let away = get(&direct, "/a").await.unwrap_err();
        assert_eq!(away.code(), Code::Unavailable, "{away}");
        assert!(away.message().contains("out of reach"), "{away}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    let (status, answer) = http(served.address, "GET", "/health", "").await;
    assert!(status == 503 && answer.ends_with("{\"health\":\"false\"}\n"), "{answer}");
    std::os::unix::fs::symlink(socket, &link).unwrap();
    let began = Instant::now();
    while get(&direct, "/a").await.is_err() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(http(served.address, "GET", "/health", "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_taken_when_it_is_free_and_others_are_served_meanwhile() {
    let backend = Backend::embedded().await;
    let occupied = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (waited_for, free) = (occupied.local_addr().unwrap(), free_addr());
    let listen = Listen { addresses: vec![waited_for, free], bridges: vec!["no-such-bridge".to_owned()] };
    let stop = CancellationToken::new();
    let kept = tokio::spawn(keep(gateway(backend.config.clone()), listen, stop.clone()));
    let is_up = async |address| {
        let began = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "nothing at {address}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    is_up(free).await;
    drop(occupied);
    is_up(waited_for).await;
    assert_eq!(http(waited_for, "GET", "/health", "").await.0, 200);
    stop.cancel();
    soon(kept).await.unwrap();
    assert!(TcpStream::connect(free).await.is_err(), "it listens no longer");
}

#[tokio::test]
async fn nothing_is_opened_before_the_first_client_comes() {
    let opened = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&opened);
    let backend = Backend::embedded().await;
    let config = backend.config.clone();
    let gateway = Arc::new(Gateway::new("there", move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        config.upstream()
    }));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let served = tokio::spawn(gateway.serve(listener, stop.clone()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(opened.load(std::sync::atomic::Ordering::SeqCst), 0);
    for _ in 0..3 {
        assert_eq!(http(address, "GET", "/health", "").await.0, 200);
    }
    assert_eq!(opened.load(std::sync::atomic::Ordering::SeqCst), 1, "one way for all");
    stop.cancel();
    soon(served).await.unwrap();
}
