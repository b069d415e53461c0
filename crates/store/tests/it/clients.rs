//! The services through the Rust etcd client.

use std::time::Duration;

use etcd_client::{
    Compare, CompareOp, EventType, GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions, Txn, TxnOp,
    WatchFilterType, WatchOptions, WatchResponse, WatchStream,
};

use crate::support::*;

async fn message(watch: &mut WatchStream) -> WatchResponse {
    soon(watch.message()).await.unwrap().expect("the stream goes on")
}

/// `revision P|D key` of the events, until there are `count`.
async fn events(watch: &mut WatchStream, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    while events.len() < count {
        for event in message(watch).await.events() {
            let kind = if event.event_type() == EventType::Put { 'P' } else { 'D' };
            let kv = event.kv().unwrap();
            events.push(format!("{} {kind} {}", kv.mod_revision(), kv.key_str().unwrap()));
        }
    }
    events
}

#[tokio::test]
async fn headers_are_whole_and_errors_are_etcds() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let put = client.put("a", "1", None).await.unwrap();
    let header = put.header().unwrap();
    assert!(header.cluster_id() != 0 && header.member_id() != 0 && header.raft_term() != 0);
    assert_eq!(header.revision(), 2);
    let text = |error: etcd_client::Error| error.to_string();
    let future = client.get("a", Some(GetOptions::new().with_revision(99))).await.unwrap_err();
    assert!(text(future).contains("etcdserver: mvcc: required revision is a future revision"));
    let lease = client.put("a", "1", Some(PutOptions::new().with_lease(404))).await.unwrap_err();
    assert!(text(lease).contains("etcdserver: requested lease not found"));
    let large = client.put("a", vec![0; 1_600_000], None).await.unwrap_err();
    assert!(text(large).contains("etcdserver: request is too large"));
    let campaign = client.campaign("e", "v", 1).await.unwrap_err();
    assert!(text(campaign).contains("etcdserver: requested lease not found"));
    store.close().await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let member = client.status().await.unwrap().leader();
    for n in 0..20 {
        client.put(format!("k{}", n % 5), n.to_string(), None).await.unwrap();
    }
    client.delete("k0", None).await.unwrap();
    store.close().await;
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let got = client.get("k", Some(GetOptions::new().with_prefix())).await.unwrap();
    assert_eq!((got.count(), got.header().unwrap().revision()), (4, 22));
    assert_eq!(client.status().await.unwrap().leader(), member);
    let mut watch = client.watch("k0", Some(WatchOptions::new().with_start_revision(2))).await.unwrap();
    assert!(message(&mut watch).await.created());
    assert_eq!(events(&mut watch, 5).await, ["2 P k0", "7 P k0", "12 P k0", "17 P k0", "22 D k0"]);
    store.close().await;
}

#[tokio::test]
async fn several_watches_share_a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    client.put("old", "1", None).await.unwrap();
    let mut watch = client.watch("a", Some(WatchOptions::new().with_prev_key())).await.unwrap();
    let created = message(&mut watch).await;
    assert_eq!((created.created(), created.watch_id(), created.header().unwrap().revision()), (true, 0, 2));
    let history = WatchOptions::new().with_start_revision(1).with_all_keys().with_watch_id(7);
    watch.watch("", Some(history)).await.unwrap();
    assert_eq!(message(&mut watch).await.watch_id(), 7);
    let old = message(&mut watch).await;
    assert_eq!((old.watch_id(), old.events()[0].kv().unwrap().key()), (7, b"old".as_slice()));
    watch.watch("b", Some(WatchOptions::new().with_watch_id(7))).await.unwrap();
    let duplicate = message(&mut watch).await;
    assert_eq!((duplicate.created(), duplicate.canceled(), duplicate.watch_id()), (true, true, -1));
    assert_eq!(duplicate.cancel_reason(), "mvcc: duplicate watch ID provided on the WatchStream");
    watch.cancel(7).await.unwrap();
    let canceled = message(&mut watch).await;
    assert_eq!((canceled.canceled(), canceled.created(), canceled.watch_id()), (true, false, 7));
    client.put("a", "1", None).await.unwrap();
    client.put("a", "2", None).await.unwrap();
    assert!(message(&mut watch).await.events()[0].prev_kv().is_none());
    let second = message(&mut watch).await;
    assert_eq!(second.events()[0].prev_kv().unwrap().value(), b"1");
    watch.watch("z", Some(WatchOptions::new().with_range("a"))).await.unwrap();
    assert_eq!(message(&mut watch).await.cancel_reason(), "mvcc: watcher range is empty");
    store.close().await;
}

#[tokio::test]
async fn filters_leave_events_out_and_send_nothing_empty() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let no_put = WatchOptions::new().with_filters([WatchFilterType::NoPut]);
    let mut deletes = client.watch("a", Some(no_put)).await.unwrap();
    assert!(message(&mut deletes).await.created());
    client.put("a", "1", None).await.unwrap();
    client.delete("a", None).await.unwrap();
    client.put("a", "2", None).await.unwrap();
    client.delete("a", None).await.unwrap();
    assert_eq!(events(&mut deletes, 2).await, ["3 D a", "5 D a"]);
    store.close().await;
}

#[tokio::test]
async fn a_watch_from_a_compacted_revision_is_told_where_to_begin() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    client.compact(3, None).await.unwrap();
    let mut watch = client.watch("a", Some(WatchOptions::new().with_start_revision(2))).await.unwrap();
    assert!(message(&mut watch).await.created());
    let canceled = message(&mut watch).await;
    assert_eq!((canceled.canceled(), canceled.compact_revision()), (true, 3));
    watch.watch("a", Some(WatchOptions::new().with_start_revision(3))).await.unwrap();
    assert!(message(&mut watch).await.created());
    assert_eq!(events(&mut watch, 2).await, ["3 P a", "4 P a"]);
    store.close().await;
}

/// etcd 15220: progress must not be told ahead of events.
#[tokio::test]
async fn etcd_15220_progress_comes_after_everything_up_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let mut watch = client.watch("a", Some(WatchOptions::new().with_prefix())).await.unwrap();
    assert!(message(&mut watch).await.created());
    let mut seen = 1;
    for round in 0..50 {
        let revision = client.put("a", round.to_string(), None).await.unwrap().header().unwrap().revision();
        watch.request_progress().await.unwrap();
        loop {
            let response = message(&mut watch).await;
            if response.events().is_empty() {
                let progress = response.header().unwrap().revision();
                assert_eq!(response.watch_id(), -1);
                assert!(progress <= seen.max(1) || seen == revision, "progress {progress}, seen {seen}");
                assert!(progress >= seen, "progress {progress} goes back behind what was seen, {seen}");
                if progress >= revision {
                    break;
                }
                watch.request_progress().await.unwrap();
            }
            seen = response.events().last().map_or(seen, |event| event.kv().unwrap().mod_revision());
        }
    }
    store.close().await;
}

/// A consumer that does not read for a while gets everything, in order, and holds up neither writers nor others.
#[tokio::test]
async fn etcd_17529_a_slow_watch_is_caught_up_from_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let mut slow = store.client().await.watch("", Some(WatchOptions::new().with_all_keys())).await.unwrap();
    let value = vec![b'x'; 64 << 10];
    let writes = 400;
    for n in 0..writes {
        soon(client.put(format!("k{}", n % 7), value.clone(), None)).await.unwrap();
    }
    assert!(message(&mut slow).await.created());
    let seen = events(&mut slow, writes).await;
    let expected: Vec<_> = (0..writes).map(|n| format!("{} P k{}", n + 2, n % 7)).collect();
    assert_eq!(seen, expected);
    store.close().await;
}

#[tokio::test]
async fn concurrent_writers_and_watchers_agree() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        let mut watch = store.client().await.watch("svc/", Some(WatchOptions::new().with_prefix())).await.unwrap();
        assert!(message(&mut watch).await.created());
        watches.push(watch);
    }
    let writers = (0..20).map(|writer| {
        let connect = Box::pin(store.client());
        async move {
            let mut client = connect.await;
            for n in 0..50 {
                client.put(format!("svc/{writer}"), n.to_string(), None).await.unwrap();
            }
        }
    });
    soon(futures_util::future::join_all(writers)).await;
    let first = events(&mut watches[0], 1000).await;
    let revisions: Vec<i64> = first.iter().map(|event| event.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(revisions, (2..1002).collect::<Vec<_>>());
    for watch in &mut watches[1..] {
        assert_eq!(events(watch, 1000).await, first);
    }
    store.close().await;
}

#[tokio::test]
async fn leases_end_by_time_are_kept_alive_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let lease = client.lease_grant(1, Some(LeaseGrantOptions::new().with_id(77))).await.unwrap();
    assert_eq!((lease.id(), lease.ttl()), (77, 2));
    client.put("svc/a", "1", Some(PutOptions::new().with_lease(77))).await.unwrap();
    let mut watch = client.watch("svc/a", None).await.unwrap();
    assert!(message(&mut watch).await.created());
    let (mut keeper, mut kept) = client.lease_keep_alive(77).await.unwrap();
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        keeper.keep_alive().await.unwrap();
        assert_eq!(soon(kept.message()).await.unwrap().unwrap().ttl(), 2);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let told = client.lease_time_to_live(77, Some(LeaseTimeToLiveOptions::new().with_keys())).await.unwrap();
    assert_eq!((told.granted_ttl(), told.keys()), (2, [b"svc/a".to_vec()].as_slice()));
    assert_eq!(events(&mut watch, 1).await, ["3 D svc/a"]);
    assert!(start.elapsed() < Duration::from_secs(7));
    keeper.keep_alive().await.unwrap();
    assert_eq!(soon(kept.message()).await.unwrap().unwrap().ttl(), 0);
    assert_eq!(client.lease_time_to_live(77, None).await.unwrap().ttl(), -1);
    assert!(client.lease_revoke(77).await.unwrap_err().to_string().contains("requested lease not found"));
    assert!(client.leases().await.unwrap().leases().is_empty());
    store.close().await;
}

#[tokio::test]
async fn transactions_compare_and_swap() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let contenders = (0..8).map(|name| {
        let connect = Box::pin(store.client());
        async move {
            let take = Txn::new()
                .when([Compare::create_revision("leader", CompareOp::Equal, 0)])
                .and_then([TxnOp::put("leader", name.to_string(), None)])
                .or_else([TxnOp::get("leader", None)]);
            connect.await.txn(take).await.unwrap().succeeded()
        }
    });
    let won = soon(futures_util::future::join_all(contenders)).await;
    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
    let nested = Txn::new().and_then([TxnOp::txn(
        Txn::new().when([Compare::version("leader", CompareOp::Equal, 1)]).and_then([TxnOp::delete("leader", None)]),
    )]);
    let mut client = store.client().await;
    assert_eq!(client.txn(nested).await.unwrap().header().unwrap().revision(), 3);
    assert_eq!(client.get("leader", None).await.unwrap().count(), 0);
    store.close().await;
}
