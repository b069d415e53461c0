//! History that is compacted away, and a database that is full.

use std::time::Duration;

use flota_etcd::{Committed, EtcdError};

use crate::rig::{Cluster, put, soon};

#[tokio::test]
async fn a_watch_from_before_a_compaction_says_so() {
    let cluster = Cluster::start_with(1, &[]).await;
    let client = cluster.client().await;
    let Committed::Yes(first) = client.commit(&put("/t/a", "1")).await.unwrap() else { panic!() };
    let Committed::Yes(last) = client.commit(&put("/t/a", "2")).await.unwrap() else { panic!() };
    cluster.raw(0).await.compact(last, None).await.unwrap();
    let mut watch = client.watch_prefix("/t/", first).await.unwrap();
    let error = soon(watch.next()).await.unwrap_err();
    assert!(matches!(error, EtcdError::Compacted { revision } if revision == last), "{error}");
    assert!(error.no_such_revision());
    assert!(client.range_at("/t/", first).await.unwrap_err().no_such_revision());
    let (_, now) = client.range("/t/").await.unwrap();
    assert_eq!(now.len(), 1, "what there is now can be read");
}

#[tokio::test]
async fn a_full_database_refuses_writes_and_nothing_else() {
    let cluster = Cluster::start_with(1, &["--quota-backend-bytes=262144"]).await;
    let client = cluster.client().await;
    let lease = client.grant(Duration::from_secs(60)).await.unwrap();
    let mut watch = client.watch_prefix("/t/", 1).await.unwrap();
    let refused = soon(async {
        loop {
            if let Err(error) = client.commit(&put("/t/a", vec![b'x'; 64 << 10])).await {
                return error;
            }
        }
    })
    .await;
    assert!(refused.is_out_of_space(), "{refused}");
    assert!(!refused.outcome_unknown());
    client.get("/t/a").await.unwrap();
    client.keep_alive(lease).await.unwrap();
    soon(watch.next()).await.unwrap();

    let (revision, _) = client.get("/t/a").await.unwrap();
    let mut raw = cluster.raw(0).await;
    raw.compact(revision, Some(etcd_client::CompactionOptions::new().with_physical())).await.unwrap();
    raw.defragment().await.unwrap();
    let alarms = raw.alarm(etcd_client::AlarmAction::Get, etcd_client::AlarmType::None, None).await.unwrap();
    for alarm in alarms.alarms() {
        let mut options = etcd_client::AlarmOptions::new();
        options.with_member(alarm.member_id());
        raw.alarm(etcd_client::AlarmAction::Deactivate, alarm.alarm(), Some(options)).await.unwrap();
    }
    client.commit(&put("/t/a", "small")).await.unwrap();
}
