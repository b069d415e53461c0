//! Every spelling of a request for the cluster's own keys, over gRPC and over the JSON gateway (promise P9).

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp,
};
use flota_etcd::Upstream;
use tonic::{Code, Status};

use crate::service::{Served, http};
use crate::support::{Backend, delete, get, keys, put, put_request, range, txn};

const OWN: [&str; 3] = ["/flota/", "/flota/v1/leader", "/flota/v1/units/a"];

/// Key and end of ranges that hold nothing but keys of the cluster.
const INSIDE: [(&[u8], &[u8]); 9] = [
    (b"/flota/", b""),
    (b"/flota/v1/leader", b""),
    (b"/flota/v1/\xff\0", b""),
    (b"/flota/", b"/flota0"),
    (b"/flota/v1/", b"/flota/v10"),
    (b"/flota/", b"/flota/v1/leader\0"),
    (b"/flota/\0", b"/flota0"),
    (b"/flota/v1/leader", b"/flota/v1/leader\0"),
    (b"/flota/v1/units/", b"/flota0"),
];

/// And such that hold others too.
const ACROSS: [(&[u8], &[u8]); 8] = [
    (b"\0", b"\0"),
    (b"/", b"0"),
    (b"/flota", b"/flotb"),
    (b"/flota", b"\0"),
    (b"/flota/", b"\0"),
    (b"/flota/v1/leader", b"/flota0\0"),
    (b"/a", b"/flota/v1/leader\0"),
    (b"!", b"~"),
];

async fn with_a_cluster(backend: &Backend) {
    for key in OWN {
        put(&backend.upstream, key, "secret").await;
    }
    for key in ["/a", "/flota", "/flota0", "/z"] {
        put(&backend.upstream, key, "visible").await;
    }
}

async fn unharmed(backend: &Backend) {
    assert_eq!(keys(&backend.upstream, b"/flota/", b"/flota0").await, OWN);
    for key in OWN {
        assert_eq!(get(&backend.upstream, key).await.unwrap().as_deref(), Some("secret"), "{key}");
    }
}

fn denied<T>(answer: Result<T, Status>, what: &str) {
    let status = answer.err().unwrap_or_else(|| panic!("{what} passed"));
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "etcdserver: permission denied"), "{what}");
}

/// The operation alone, in a transaction's branches, and deep in them.
fn hidden(operation: &PbTxnOpRequest) -> Vec<PbTxnRequest> {
    let op = || vec![PbTxnRequestOp { request: Some(operation.clone()) }];
    let then = PbTxnRequest { success: op(), ..PbTxnRequest::default() };
    let otherwise = PbTxnRequest { failure: op(), ..PbTxnRequest::default() };
    let nest = |inner: PbTxnRequest| PbTxnRequest {
        failure: vec![PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestTxn(inner)) }],
        ..PbTxnRequest::default()
    };
    vec![then.clone(), otherwise.clone(), nest(then), nest(nest(nest(otherwise)))]
}

async fn inside(gateway: &Upstream) {
    for (key, range_end) in INSIDE {
        let what = format!("{} {}", key.escape_ascii(), range_end.escape_ascii());
        let (key, range_end) = (key.to_vec(), range_end.to_vec());
        let read = PbRangeRequest { key: key.clone(), range_end: range_end.clone(), ..PbRangeRequest::default() };
        denied(range(gateway, read.clone()).await, &what);
        denied(range(gateway, PbRangeRequest { count_only: true, ..read.clone() }).await, &what);
        denied(range(gateway, PbRangeRequest { revision: 2, serializable: true, ..read.clone() }).await, &what);
        let wipe = PbDeleteRequest { key: key.clone(), range_end: range_end.clone(), prev_kv: true };
        denied(delete(gateway, wipe.clone()).await, &what);
        let write = PbPutRequest { key: key.clone(), value: b"x".to_vec(), prev_kv: true, ..PbPutRequest::default() };
        denied(put_request(gateway, write.clone()).await, &what);
        let keep = PbPutRequest { ignore_value: true, value: Vec::new(), ..write.clone() };
        denied(put_request(gateway, keep).await, &what);
        for operation in [
            PbTxnOpRequest::RequestRange(read),
            PbTxnOpRequest::RequestDeleteRange(wipe),
            PbTxnOpRequest::RequestPut(write),
        ] {
            for request in hidden(&operation) {
                denied(txn(gateway, request).await, &what);
            }
        }
        let compare = vec![PbCompare { key, range_end, ..PbCompare::default() }];
        denied(txn(gateway, PbTxnRequest { compare, ..PbTxnRequest::default() }).await, &what);
    }
}

async fn across(gateway: &Upstream) {
    for (key, range_end) in ACROSS {
        let what = format!("{} {}", key.escape_ascii(), range_end.escape_ascii());
        let seen = keys(gateway, key, range_end).await;
        assert!(!seen.is_empty() && !seen.iter().any(|key| key.starts_with("/flota/")), "{what}: {seen:?}");
        let read = PbRangeRequest { key: key.to_vec(), range_end: range_end.to_vec(), ..PbRangeRequest::default() };
        let counted = range(gateway, PbRangeRequest { count_only: true, ..read.clone() }).await.unwrap();
        assert_eq!(counted.count, seen.len() as i64, "{what}");
        for request in hidden(&PbTxnOpRequest::RequestRange(read)) {
            let answer = format!("{:?}", txn(gateway, request).await.unwrap());
            assert!(!answer.contains("secret") && !answer.contains("/flota/"), "{what}: {answer}");
        }
    }
}

async fn check(backend: Backend) {
    with_a_cluster(&backend).await;
    let gateway = backend.filtered();
    inside(&gateway).await;
    across(&gateway).await;
    unharmed(&backend).await;
    for (key, range_end) in ACROSS {
        let request = PbDeleteRequest { key: key.to_vec(), range_end: range_end.to_vec(), prev_kv: true };
        let answer = delete(&gateway, request).await.unwrap();
        assert!(answer.prev_kvs.iter().all(|kv| kv.value != b"secret"), "{answer:?}");
    }
    assert!(keys(&gateway, &[0], &[0]).await.is_empty(), "all else is gone");
    unharmed(&backend).await;
}

#[tokio::test]
async fn no_spelling_over_grpc_reaches_the_clusters_keys() {
    check(Backend::embedded().await).await;
}

#[tokio::test]
async fn no_spelling_over_grpc_reaches_the_clusters_keys_in_debians_etcd() {
    check(Backend::etcd().await).await;
}

/// Their keys are `NAME/LEASE`, and the oldest key below `NAME/` holds.
async fn locks_and_elections(gateway: SocketAddr) {
    for name in ["/flota", "/flota/", "/flota/v1", "/flota/v1/leader"] {
        let name = STANDARD.encode(name);
        for (path, body) in [
            ("/v3/lock/lock", format!(r#"{{"name":"{name}"}}"#)),
            ("/v3/election/campaign", format!(r#"{{"name":"{name}","value":"eA=="}}"#)),
            ("/v3/election/leader", format!(r#"{{"name":"{name}"}}"#)),
            ("/v3/lock/unlock", format!(r#"{{"key":"{}"}}"#, STANDARD.encode(OWN[1]))),
            ("/v3/election/resign", format!(r#"{{"leader":{{"name":"{name}","key":"{}"}}}}"#, STANDARD.encode(OWN[1]))),
        ] {
            let (status, answer) = http(gateway, "POST", path, &body).await;
            assert!(status >= 400 && answer.contains("permission denied"), "{path} {body}: {status} {answer}");
        }
    }
    let name = STANDARD.encode("/locks/mine");
    let (status, answer) = http(gateway, "POST", "/v3/lock/lock", &format!(r#"{{"name":"{name}"}}"#)).await;
    assert_eq!(status, 200, "{answer}");
    let key = answer.split(r#""key":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let (status, answer) = http(gateway, "POST", "/v3/lock/unlock", &format!(r#"{{"key":"{key}"}}"#)).await;
    assert_eq!(status, 200, "{answer}");
}

/// Method and body of requests to the JSON gateway, `KEY` and `END` in base64 to come.
const JSON: [(&str, &str); 10] = [
    ("/v3/kv/range", r#"{"key":"KEY","range_end":"END"}"#),
    ("/v3beta/kv/range", r#"{"key":"KEY","rangeEnd":"END"}"#),
    ("/v3/kv/put", r#"{"key":"KEY","value":"eA=="}"#),
    ("/v3/kv/deleterange", r#"{"range_end":"END","key":"KEY"}"#),
    ("/v3/kv/txn", r#"{"success":[{"requestPut":{"key":"KEY","value":"eA=="}}]}"#),
    ("/v3/kv/txn", r#"{"failure":[{"request_range":{"key":"KEY","range_end":"END"}}]}"#),
    (
        "/v3/kv/txn",
        r#"{"success":[{"requestTxn":{"success":[{"requestDeleteRange":{"key":"KEY","range_end":"END"}}]}}]}"#,
    ),
    ("/v3/kv/txn", r#"{"compare":[{"key":"KEY","range_end":"END","target":"VERSION"}]}"#),
    ("/v3/kv/range", r#"{"key":"KEY","\u0072ange_end":"END"}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","key":"KEY","range_end":"END"}"#),
];

#[tokio::test]
async fn no_spelling_over_json_reaches_the_clusters_keys() {
    let backend = Backend::embedded().await;
    with_a_cluster(&backend).await;
    let served = Served::start(&backend).await;
    for (key, range_end) in INSIDE {
        for (path, body) in JSON {
            let body = body.replace("KEY", &STANDARD.encode(key)).replace("END", &STANDARD.encode(range_end));
            let (status, answer) = http(served.address, "POST", path, &body).await;
            assert!(status >= 400, "{path} {body}: {status} {answer}");
            assert!(!answer.contains(&STANDARD.encode("secret")), "{path} {body}: {answer}");
        }
    }
    locks_and_elections(served.address).await;
    let (status, answer) = http(served.address, "POST", "/v3/kv/range", r#"{"key":"AA==","range_end":"AA=="}"#).await;
    assert!(status == 200 && answer.contains(r#""count":"4""#), "{answer}");
    let watch = format!(r#"{{"create_request":{{"key":"{}","start_revision":"1"}}}}"#, STANDARD.encode(OWN[1]));
    let (_, answer) = http(served.address, "POST", "/v3/watch", &watch).await;
    assert!(answer.contains("permission denied") && !answer.contains(&STANDARD.encode("secret")), "{answer}");
    unharmed(&backend).await;
}
