//! Waits: which events, told how, and what they cost.

use std::net::SocketAddr;
use std::time::Duration;

use etcd_client::DeleteOptions;
use http_body_util::BodyExt;

use crate::support::{Served, open, request, soon};

/// A wait whose headers have come, so that what happens from now on is told.
async fn wait(addr: SocketAddr, query: &str) -> hyper::body::Incoming {
    let response = soon(open(addr, "GET", &format!("/v2/keys{query}"), "")).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// The next event: its action, key and index.
async fn next(body: &mut hyper::body::Incoming) -> (String, String, i64) {
    let frame = soon(body.frame()).await.expect("the wait ended").unwrap();
    let event: serde_json::Value = serde_json::from_slice(frame.data_ref().unwrap()).unwrap();
    let node = &event["node"];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["action"]), text(&node["key"]), node["modifiedIndex"].as_i64().unwrap())
}

fn told(action: &str, key: &str, index: Option<i64>) -> (String, String, i64) {
    (action.to_owned(), key.to_owned(), index.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_is_told_by_its_name() {
    let served = Served::start().await;
    let addr = served.addr;
    let mut all = wait(addr, "/?wait=true&recursive=true&stream=true").await;
    for (method, path, form, action) in [
        ("PUT", "/a/k", "value=1", "set"),
        ("PUT", "/a/k", "value=2&prevExist=true", "update"),
        ("PUT", "/a/l", "value=2&prevExist=false", "create"),
        ("PUT", "/a/l", "value=3&prevValue=2", "compareAndSwap"),
        ("DELETE", "/a/l?prevValue=3", "", "compareAndDelete"),
        ("PUT", "/e", "dir=true", "set"),
        ("DELETE", "/a/k", "", "delete"),
        ("PUT", "/a/t", "value=1&ttl=1", "set"),
    ] {
        let answer = request(addr, method, &format!("/v2/keys{path}"), form).await;
        let key = path.split('?').next().unwrap();
        assert_eq!(next(&mut all).await, told(action, key, answer.index), "{method} {path} {form}");
    }
    assert_eq!(next(&mut all).await.0, "expire");
    request(addr, "PUT", "/v2/keys/a/b/c", "value=1").await;
    next(&mut all).await;
    request(addr, "DELETE", "/v2/keys/a?recursive=true", "").await;
    assert_eq!(next(&mut all).await.1, "/a");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_and_hidden_keys_wake_nobody() {
    let served = Served::start().await;
    let addr = served.addr;
    request(addr, "PUT", "/v2/keys/a/k", "value=1&ttl=50").await;
    let mut waiting = wait(addr, "/a?wait=true&recursive=true").await;
    let mut hidden = wait(addr, "/a/_h?wait=true").await;
    request(addr, "PUT", "/v2/keys/a/k", "refresh=true&ttl=60&prevExist=true").await;
    let index = request(addr, "PUT", "/v2/keys/a/_h", "value=1").await.index;
    assert_eq!(next(&mut hidden).await, told("set", "/a/_h", index));
    let index = request(addr, "PUT", "/v2/keys/a/k", "value=2").await.index;
    assert_eq!(next(&mut waiting).await, told("set", "/a/k", index));
    assert!(soon(waiting.frame()).await.is_none(), "one event ends a wait");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_an_index_is_told_what_has_happened_since() {
    let served = Served::start().await;
    let addr = served.addr;
    let first = request(addr, "PUT", "/v2/keys/k", "value=1").await.index.unwrap();
    request(addr, "PUT", "/v2/keys/other", "value=1").await;
    let third = request(addr, "DELETE", "/v2/keys/k", "").await.index.unwrap();
    // Nobody waited until now: from the store's history.
    let mut waiting = wait(addr, &format!("/k?wait=true&waitIndex={first}")).await;
    assert_eq!(next(&mut waiting).await, told("set", "/k", Some(first)));
    let mut waiting = wait(addr, &format!("/k?wait=true&waitIndex={}", first + 1)).await;
    assert_eq!(next(&mut waiting).await, told("delete", "/k", Some(third)));
    // Of an index to come, and from what is kept.
    let mut later = wait(addr, &format!("/k?wait=true&waitIndex={}", third + 2)).await;
    let fourth = request(addr, "PUT", "/v2/keys/k", "value=4").await.index.unwrap();
    let fifth = request(addr, "PUT", "/v2/keys/k", "value=5&prevExist=true").await.index.unwrap();
    assert_eq!(next(&mut later).await, told("update", "/k", Some(fifth)));
    let mut kept = wait(addr, &format!("/k?wait=true&waitIndex={fourth}")).await;
    assert_eq!(next(&mut kept).await, told("set", "/k", Some(fourth)));
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_is_gone_is_error_401() {
    let served = Served::start().await;
    let mut v3 = served.v3().await;
    for n in 0..10 {
        v3.put("/k", n.to_string(), None).await.unwrap();
    }
    v3.compact(8, None).await.unwrap();
    let answer = request(served.addr, "GET", "/v2/keys/k?wait=true&waitIndex=3", "").await;
    assert_eq!((answer.status, answer.index), (400, Some(11)));
    assert!(answer.body.starts_with("{\"errorCode\":401,"), "{}", answer.body);
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_v3_clients_do_is_told_too() {
    let served = Served::start().await;
    let mut v3 = served.v3().await;
    let mut all = wait(served.addr, "/svc?wait=true&recursive=true&stream=true").await;
    v3.put("/svc/a/x", "1", None).await.unwrap();
    assert_eq!(next(&mut all).await, told("set", "/svc/a/x", Some(2)));
    v3.put("/svc/a/y", "1", None).await.unwrap();
    next(&mut all).await;
    v3.delete("/svc/a/", Some(DeleteOptions::new().with_prefix())).await.unwrap();
    assert_eq!(next(&mut all).await, told("delete", "/svc/a", Some(4)), "all that was in a directory");
    let lease = v3.lease_grant(60, None).await.unwrap().id();
    v3.put("/svc/b", "1", Some(etcd_client::PutOptions::new().with_lease(lease))).await.unwrap();
    next(&mut all).await;
    v3.lease_revoke(lease).await.unwrap();
    assert_eq!(next(&mut all).await, told("expire", "/svc/b", Some(6)));
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_client_and_many_share_one() {
    let served = Served::start().await;
    let addr = served.addr;
    let watchers = async || {
        let stats = request(addr, "GET", "/v2/stats/store", "").await.json();
        stats["watchers"].as_u64().unwrap()
    };
    let mut waiting = Vec::new();
    for n in 0..300 {
        waiting.push(wait(addr, &format!("/k{}?wait=true", n % 3)).await);
    }
    assert_eq!(watchers().await, 300);
    request(addr, "PUT", "/v2/keys/k0", "value=1").await;
    for body in waiting.iter_mut().step_by(3) {
        assert_eq!(next(body).await.1, "/k0");
    }
    assert_eq!(watchers().await, 200);
    drop(waiting);
    soon(async {
        while watchers().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    served.close().await;
}
