//! Lock and Election through the Rust etcd client, and what HTTP says of alarms.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType, Client, LockOptions, ProclaimOptions, PutOptions, ResignOptions};
use flota_store::StoreConfig;

use crate::http::{ask, post};
use crate::support::*;

async fn lease(client: &mut Client) -> i64 {
    client.lease_grant(60, None).await.unwrap().id()
}

#[tokio::test]
async fn a_lock_is_held_by_one_and_passed_on_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut client = served.client().await;
    let first = client.lock("m", None).await.unwrap();
    let key = first.key().to_vec();
    assert!(key.starts_with(b"m/"));
    let mut waiting = Vec::new();
    for name in ["second", "third"] {
        let mut client = served.client().await;
        let id = lease(&mut client).await;
        let options = LockOptions::new().with_lease(id);
        waiting.push(tokio::spawn(async move {
            let lock = client.lock("m", Some(options)).await.unwrap();
            (name, lock.header().unwrap().revision(), lock.key().to_vec())
        }));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(waiting.iter().all(|waiter| !waiter.is_finished()));
    client.unlock(key).await.unwrap();
    let (name, revision, key) = soon(waiting.remove(0)).await.unwrap();
    assert_eq!((name, revision), ("second", 5));
    assert!(!waiting[0].is_finished());
    client.unlock(key).await.unwrap();
    assert_eq!(soon(waiting.remove(0)).await.unwrap().0, "third");
    served.close().await;
}

#[tokio::test]
async fn a_client_that_stops_waiting_for_a_lock_leaves_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut client = served.client().await;
    client.lock("m", None).await.unwrap();
    let count = async |client: &mut Client| {
        let options = etcd_client::GetOptions::new().with_prefix().with_count_only();
        client.get("m/", Some(options)).await.unwrap().count()
    };
    let mut other = served.client().await;
    let gave_up = tokio::time::timeout(Duration::from_millis(300), other.lock("m", None)).await;
    assert!(gave_up.is_err());
    let start = std::time::Instant::now();
    while count(&mut client).await != 1 {
        assert!(start.elapsed() < PATIENCE, "the key of the one who gave up stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = lease(&mut client).await;
    let unknown = client.lock("m", Some(LockOptions::new().with_lease(id + 1))).await.unwrap_err();
    assert!(unknown.to_string().contains("etcdserver: requested lease not found"), "{unknown}");
    served.close().await;
}

#[tokio::test]
async fn an_election_has_one_leader_who_is_observed() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut client = served.client().await;
    let none = client.leader("e").await.unwrap_err();
    assert!(none.to_string().contains("election: no leader"), "{none}");
    let mut observed = served.client().await.observe("e").await.unwrap();
    let id = lease(&mut client).await;
    let won = client.campaign("e", "one", id).await.unwrap();
    let first = won.leader().unwrap().clone();
    let mut told = async || {
        let answer = soon(observed.message()).await.unwrap().expect("the stream goes on");
        answer.kv().unwrap().value_str().unwrap().to_owned()
    };
    assert_eq!(told().await, "one");
    let mut rival = served.client().await;
    let rival_lease = lease(&mut rival).await;
    let campaign = tokio::spawn(async move { rival.campaign("e", "two", rival_lease).await.map(|_| rival) });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!campaign.is_finished());
    client.proclaim("still one", Some(ProclaimOptions::new().with_leader(first.clone()))).await.unwrap();
    assert_eq!(told().await, "still one");
    assert_eq!(client.leader("e").await.unwrap().kv().unwrap().value(), b"still one");
    client.resign(Some(ResignOptions::new().with_leader(first.clone()))).await.unwrap();
    let mut rival = soon(campaign).await.unwrap().unwrap();
    assert_eq!(told().await, "two");
    let late = client.proclaim("gone", Some(ProclaimOptions::new().with_leader(first))).await.unwrap_err();
    assert!(late.to_string().contains("election: not leader"), "{late}");
    rival.lease_revoke(rival_lease).await.unwrap();
    assert!(client.leader("e").await.is_err());
    served.close().await;
}

/// etcd's rules: past the quota nothing grows until somebody says so, whatever has been freed.
#[tokio::test]
async fn past_the_quota_an_alarm_stops_what_grows_until_it_is_disarmed() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreConfig { quota_bytes: 100 << 10, ..config(dir.path()) };
    let served = Served::open(small.clone()).await;
    let mut client = served.client().await;
    let mut written = 0;
    let refused = loop {
        match client.put("a", vec![0; 10 << 10], None).await {
            Ok(_) => written += 1,
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(written, 9);
    assert!(refused.contains("etcdserver: mvcc: database space exceeded"), "{refused}");
    // Also what would fit, also after a restart; reads, deletes and compaction go on.
    served.close().await;
    let served = Served::open(small).await;
    let mut client = served.client().await;
    assert!(client.put("b", "", None).await.is_err());
    assert!(client.lease_grant(10, None).await.is_err());
    let txn = post(served.addr, "/v3/kv/txn", r#"{"success":[{"request_put":{"key":"Yg=="}}]}"#).await;
    assert_eq!((txn.status, txn.body.contains("\"code\":8")), (429, true), "{}", txn.body);
    let health = ask(served.addr, "GET", "/health", "", false).await;
    assert_eq!((health.status, health.body.as_str()), (503, "{\"health\":\"false\"}\n"));
    assert_eq!(ask(served.addr, "GET", "/health?exclude=NOSPACE", "", false).await.status, 200);
    let status = post(served.addr, "/v3/maintenance/status", "{}").await;
    assert!(status.body.contains(" alarm:NOSPACE \"]"), "{}", status.body);
    let revision = client.delete("a", None).await.unwrap().header().unwrap().revision();
    client.compact(revision, None).await.unwrap();
    assert!(client.put("b", "", None).await.is_err());
    let alarms = client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap();
    let member = alarms.alarms()[0].member_id();
    let disarm = format!(r#"{{"action":"DEACTIVATE","alarm":"NOSPACE","memberID":"{member}"}}"#);
    let disarmed = post(served.addr, "/v3/maintenance/alarm", &disarm).await;
    assert_eq!(disarmed.body, format!(r#"{{"alarms":[{{"memberID":"{member}","alarm":"NOSPACE"}}]}}"#));
    client.put("b", "", None).await.unwrap();
    assert_eq!(ask(served.addr, "GET", "/health", "", false).await.status, 200);
    served.close().await;
}

#[tokio::test]
async fn a_corrupt_alarm_stops_everything_but_reads() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut client = served.client().await;
    client.put("a", "1", None).await.unwrap();
    let id = lease(&mut client).await;
    let raise = r#"{"action":"ACTIVATE","alarm":"CORRUPT","memberID":"7"}"#;
    assert_eq!(post(served.addr, "/v3/maintenance/alarm", raise).await.status, 200);
    let put = client.put("a", "2", Some(PutOptions::new())).await.unwrap_err();
    assert!(put.to_string().contains("etcdserver: corrupt cluster"), "{put}");
    assert!(client.delete("a", None).await.is_err());
    assert!(client.lease_revoke(id).await.is_err());
    assert!(client.compact(2, None).await.is_err());
    assert_eq!(client.get("a", None).await.unwrap().kvs()[0].value(), b"1");
    let disarm = raise.replace("ACTIVATE", "DEACTIVATE");
    assert_eq!(post(served.addr, "/v3/maintenance/alarm", &disarm).await.status, 200);
    client.put("a", "2", None).await.unwrap();
    served.close().await;
}

#[tokio::test]
async fn limits_of_requests_can_be_set() {
    let dir = tempfile::tempdir().unwrap();
    let limits =
        flota_store::Limits { max_request_bytes: 1000, max_txn_ops: 2, min_lease_ttl: 1, ..Default::default() };
    let served = Served::open(StoreConfig { limits, ..config(dir.path()) }).await;
    let mut client = served.client().await;
    assert!(client.put("a", vec![0; 1000], None).await.unwrap_err().to_string().contains("request is too large"));
    client.put("a", vec![0; 900], None).await.unwrap();
    let ops = |count| etcd_client::Txn::new().and_then(vec![etcd_client::TxnOp::get("a", None); count]);
    client.txn(ops(2)).await.unwrap();
    assert!(client.txn(ops(3)).await.unwrap_err().to_string().contains("too many operations"));
    assert_eq!(client.lease_grant(1, None).await.unwrap().ttl(), 1);
    served.close().await;
}
