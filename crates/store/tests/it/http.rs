//! The HTTP/1 side of the port: the JSON gateway, health, version.

use std::net::SocketAddr;
use std::time::Duration;

use etcd_client::proto::{PbRangeRequest, PbRangeResponse};
use flota_store::{Store, StoreConfig};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::support::*;

/// What came back over HTTP.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Asks in HTTP/1.1 and reads until the end of the connection, or for half a second if `stream`.
pub async fn ask(addr: SocketAddr, verb: &str, path: &str, body: &str, stream: bool) -> Answer {
    let mut connection = TcpStream::connect(addr).await.unwrap();
    let request = format!(
        "{verb} {path} HTTP/1.1\r\nhost: store\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = connection.read_to_end(&mut bytes);
    if stream {
        let _ = tokio::time::timeout(Duration::from_millis(500), read).await;
    } else {
        soon(read).await.unwrap();
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {path}: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { joined(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

/// A chunked body without its chunks' lengths.
fn joined(body: &str) -> String {
    let mut whole = String::new();
    let mut rest = body;
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        whole.push_str(&after[..length]);
        rest = after[length..].trim_start_matches("\r\n");
    }
    whole
}

pub async fn post(addr: SocketAddr, path: &str, body: &str) -> Answer {
    ask(addr, "POST", path, body, false).await
}

/// `"name":"7"` as `"name":"*"` for names whose numbers differ between stores; long lease ids too.
fn without_ids(json: &str) -> String {
    const DIFFERENT: [&str; 8] =
        ["cluster_id", "member_id", "leader", "dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex", "ID"];
    let mut text = json.to_owned();
    for name in DIFFERENT {
        let mark = format!("\"{name}\":\"");
        let mut from = 0;
        while let Some(at) = text[from..].find(&mark) {
            let start = from + at + mark.len();
            let end = start + text[start..].find('"').unwrap();
            if name != "ID" || end - start > 10 {
                text.replace_range(start..end, "*");
            }
            from = start;
        }
    }
    text
}

/// Each request of the file, and what Debian's etcd answered to it, in order and on a fresh store.
#[tokio::test]
async fn the_gateway_answers_what_etcd_answered() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        name: "default".to_owned(),
        advertise: vec!["http://127.0.0.1:2379".to_owned()],
        ..config(dir.path())
    };
    let served = Served::open(config).await;
    let recorded = include_str!("../data/etcd-3.4.23-gateway.txt");
    let mut count = 0;
    for block in recorded.split("$ curl ").filter(|block| !block.is_empty()) {
        let (command, answer) = block.split_once('\n').unwrap();
        let (expected, told) = answer.split_once("   => ").unwrap();
        let verb = if command.contains("-XGET") { "GET" } else { "POST" };
        let path = command.split(' ').find(|word| word.starts_with('/')).unwrap();
        let body = command.split_once("-d ").map_or("", |(_, body)| body);
        let found = ask(served.addr, verb, path, body, path.ends_with("watch")).await;
        assert_eq!(without_ids(found.body.trim()), without_ids(expected.trim()), "{command}");
        let status = told.split(' ').nth(1).unwrap();
        assert_eq!(found.status.to_string(), status, "{command}");
        let kind = told.split_once("Content-Type: ").unwrap().1.trim();
        assert_eq!(found.header("content-type"), Some(kind), "{command}");
        count += 1;
    }
    assert_eq!(count, 12);
    served.close().await;
}

#[tokio::test]
async fn version_health_and_unknown_paths_are_as_in_etcd() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let version = ask(served.addr, "GET", "/version", "", false).await;
    assert_eq!(version.body, r#"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#);
    assert_eq!(version.header("content-type"), Some("application/json"));
    let health = ask(served.addr, "GET", "/health", "", false).await;
    assert_eq!((health.status, health.body.as_str()), (200, r#"{"health":"true"}"#));
    let wrong = post(served.addr, "/health", "").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET")));
    assert_eq!(ask(served.addr, "GET", "/nowhere", "", false).await.status, 404);
    let unknown = post(served.addr, "/v3/kv/nothing", "{}").await;
    assert_eq!((unknown.status, unknown.body.as_str()), (404, "Not Found\n"));
    served.close().await;
}

#[tokio::test]
async fn bad_json_is_refused_and_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("{}{}", r#"{"success":[{"request_txn":"#.repeat(5000), "{}");
    for body in ["{", "nonsense", r#"{"key":7}"#, r#"{"key":"?"}"#, "[]", &deep, &nested] {
        let answer = post(served.addr, "/v3/kv/txn", &body.replace("key", "compare")).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains("\"code\":3"), "{}", answer.body);
    }
    let empty = post(served.addr, "/v3/cluster/member/list", "").await;
    assert_eq!(empty.status, 200);
    let large = format!(r#"{{"key":"YQ==","value":"{}"}}"#, "YWFh".repeat(600_000));
    let answer = post(served.addr, "/v3/kv/put", &large).await;
    assert!(answer.body.contains("etcdserver: request is too large"), "{}", answer.body);
    served.client().await.put("a", "1", None).await.unwrap();
    served.close().await;
}

/// The body of a watch may stay open: each value in it is one more request.
#[tokio::test]
async fn a_watch_takes_further_requests_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut connection = BufReader::new(TcpStream::connect(served.addr).await.unwrap());
    let mut say = String::from("POST /v3/watch HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    say.push_str(&chunk(r#"{"create_request":{"key":"YQ=="}}"#));
    connection.write_all(say.as_bytes()).await.unwrap();
    let mut line = String::new();
    let mut until = async |connection: &mut BufReader<TcpStream>, word: &str| {
        while !line.contains(word) {
            line.clear();
            assert!(soon(connection.read_line(&mut line)).await.unwrap() > 0, "no {word}");
        }
        std::mem::take(&mut line)
    };
    until(&mut connection, "created").await;
    connection.write_all(chunk(r#"{"create_request":{"key":"Yg==","watch_id":"7"}}"#).as_bytes()).await.unwrap();
    until(&mut connection, "\"watch_id\":\"7\"").await;
    served.client().await.put("b", "1", None).await.unwrap();
    let event = until(&mut connection, "events").await;
    assert!(event.contains(r#""watch_id":"7","events":[{"kv":{"key":"Yg==""#), "{event}");
    served.close().await;
}

#[tokio::test]
async fn the_gateway_shows_errors_of_streams_and_methods_with_their_status() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let lease = post(served.addr, "/v3/kv/lease/timetolive", r#"{"ID":"5"}"#).await;
    assert!(lease.body.ends_with(r#""ID":"5","TTL":"-1"}"#), "{}", lease.body);
    let revoke = post(served.addr, "/v3/lease/revoke", r#"{"ID":"5"}"#).await;
    assert_eq!(revoke.status, 404);
    let leader = post(served.addr, "/v3/maintenance/transfer-leadership", r#"{"targetID":"5"}"#).await;
    assert_eq!(leader.status, 412, "{}", leader.body);
    let bad = post(served.addr, "/v3/watch", r#"{"create_request":{"filters":["NEVER"]}}"#).await;
    assert_eq!(bad.status, 500, "{}", bad.body);
    served.close().await;
}

#[tokio::test]
async fn routes_of_the_owner_are_served_beside_the_stores() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(config(dir.path())).await.unwrap();
    let upstream = store.upstream();
    let reader = axum::routing::get(move || async move {
        let range = PbRangeRequest { key: b"a".to_vec(), ..PbRangeRequest::default() };
        let answer = upstream.unary::<PbRangeRequest, PbRangeResponse>("/etcdserverpb.KV/Range", range).await;
        format!("{} keys", answer.unwrap().into_inner().count)
    });
    let store = store.with_routes(axum::Router::new().route("/mine", reader));
    let served = Served::serve(store, CancellationToken::new());
    served.client().await.put("a", "1", None).await.unwrap();
    assert_eq!(ask(served.addr, "GET", "/mine", "", false).await.body, "1 keys");
    assert_eq!(ask(served.addr, "GET", "/health", "", false).await.status, 200);
    served.close().await;
}

/// The value of a metric, with its labels.
fn metric(page: &str, name: &str) -> Option<String> {
    page.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(' ')?.to_owned()))
}

/// What etcd's own tests of its metrics look for, and what dashboards are made of.
#[tokio::test]
async fn metrics_have_etcds_names_and_count() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut client = served.client().await;
    for key in ["a", "b", "b", "c"] {
        client.put(key, "1", None).await.unwrap();
    }
    client.delete("c", None).await.unwrap();
    client.get("c", None).await.unwrap();
    assert!(client.get("", None).await.is_err());
    drop(soon(client.watch("a", None)).await.unwrap());
    post(served.addr, "/v3/kv/range", r#"{"key":"YQ=="}"#).await;
    let start = std::time::Instant::now();
    let canceled = r#"grpc_server_handled_total{grpc_code="Canceled",grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"}"#;
    let page = loop {
        let page = ask(served.addr, "GET", "/metrics", "", false).await.body;
        if metric(&page, canceled).is_some() {
            break page;
        }
        assert!(start.elapsed() < PATIENCE, "{page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let of_range = |code: &str| {
        format!(
            r#"grpc_server_handled_total{{grpc_code="{code}",grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"}}"#
        )
    };
    for (name, value) in [
        ("etcd_mvcc_put_total", "4"),
        ("etcd_mvcc_delete_total", "1"),
        ("etcd_debugging_mvcc_keys_total", "2"),
        ("etcd_debugging_mvcc_current_revision", "6"),
        ("etcd_server_version{server_version=\"3.4.23\"}", "1"),
        ("etcd_cluster_version{cluster_version=\"3.4\"}", "1"),
        ("etcd_server_has_leader", "1"),
        ("etcd_server_health_failures", "0"),
        ("etcd_disk_wal_fsync_duration_seconds_count", "5"),
        ("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"}", "5"),
        (&of_range("OK"), "2"),
        (&of_range("InvalidArgument"), "1"),
    ] {
        assert_eq!(metric(&page, name).as_deref(), Some(value), "{name}\n{page}");
    }
    for name in ["etcd_mvcc_db_total_size_in_bytes", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(metric(&page, name).unwrap().parse::<u64>().unwrap() > 0, "{name}");
    }
    served.close().await;
}

#[tokio::test]
async fn the_grpc_health_service_says_that_the_store_serves() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Check {
        #[prost(string, tag = "1")]
        service: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Checked {
        #[prost(int32, tag = "1")]
        status: i32,
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(config(dir.path())).await.unwrap();
    let upstream = store.upstream();
    let check = async |service: &str| {
        let check = Check { service: service.to_owned() };
        upstream.unary::<Check, Checked>("/grpc.health.v1.Health/Check", check).await
    };
    assert_eq!(check("").await.unwrap().into_inner().status, 1);
    let unknown = check("nothing").await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (tonic::Code::NotFound, "unknown service"));
}
