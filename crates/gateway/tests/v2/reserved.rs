//! Flota's own keys, which v2 does not reach, and v2 over the filter.

use std::net::SocketAddr;
use std::sync::Arc;

use flota_gateway::Gateway;
use flota_store::{Store, StoreConfig};
use tokio_util::sync::CancellationToken;

use crate::support::{request, soon};

#[tokio::test(flavor = "multi_thread")]
async fn flotas_own_keys_are_not_reached_through_v2_however_they_are_spelled() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig::new(dir.path(), Vec::new())).await.unwrap();
    let upstream = store.upstream();
    let stop = CancellationToken::new();
    let served = tokio::spawn(store.serve(stop.clone()));
    let put = |key: &str| etcd_client::proto::PbPutRequest {
        key: key.into(),
        value: b"secret".to_vec(),
        ..Default::default()
    };
    for key in ["/flota/v1/cluster", "/app/a", "/flotilla"] {
        let answer = upstream.unary::<_, etcd_client::proto::PbPutResponse>("/etcdserverpb.KV/Put", put(key)).await;
        answer.unwrap();
    }
    let below = upstream.clone();
    let gateway = Arc::new(Gateway::new("the store", move || Ok(below.clone())));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(gateway.serve(listener, stop.clone()));

    let all = request(addr, "GET", "/v2/keys/?recursive=true", "").await;
    assert!(all.status == 200 && all.body.contains("/app/a") && all.body.contains("/flotilla"), "{}", all.body);
    assert!(!all.body.contains("/flota/") && !all.body.contains("\"/flota\""), "{}", all.body);
    for path in ["/flota", "/flota/", "/flota/v1", "/flota/v1/cluster", "/%66lota/v1/cluster", "/flota%2fv1%2fcluster"]
    {
        for (method, query, form) in [
            ("GET", "?recursive=true", ""),
            ("PUT", "", "value=x"),
            ("PUT", "", "value=x&prevExist=true"),
            ("PUT", "", "dir=true&ttl=1"),
            ("POST", "", "value=x"),
            ("DELETE", "?recursive=true", ""),
            ("DELETE", "?prevValue=secret", ""),
        ] {
            let answer = request(addr, method, &format!("/v2/keys{path}{query}"), form).await;
            assert!((400..500).contains(&answer.status), "{method} {path}{query} {form}: {answer:?}");
            assert!(!answer.body.contains("secret"), "{method} {path}{query} {form}: {answer:?}");
        }
    }
    for path in ["/x/../flota/v1/cluster", "//flota/v1/cluster", "/./flota"] {
        assert_eq!(request(addr, "DELETE", &format!("/v2/keys{path}"), "").await.status, 301, "{path}");
    }
    assert_eq!(request(addr, "DELETE", "/v2/keys/?recursive=true", "").await.status, 400);
    let members = request(addr, "GET", "/v2/members", "").await;
    assert!(members.body.contains(&format!("http://{addr}")), "clients are told to come here: {}", members.body);
    // What is allowed works, with a time to live too.
    assert_eq!(request(addr, "PUT", "/v2/keys/app/b/c", "value=1&ttl=100").await.status, 201);
    assert_eq!(request(addr, "POST", "/v2/keys/", "value=1").await.status, 201);
    assert_eq!(request(addr, "DELETE", "/v2/keys/app?recursive=true", "").await.status, 200);
    let kept = etcd_client::proto::PbRangeRequest { key: b"/flota/v1/cluster".to_vec(), ..Default::default() };
    let kept = upstream.unary::<_, etcd_client::proto::PbRangeResponse>("/etcdserverpb.KV/Range", kept).await.unwrap();
    assert_eq!(kept.into_inner().kvs[0].value, b"secret");
    stop.cancel();
    soon(serving).await.unwrap();
    soon(served).await.unwrap().unwrap();
}
