//! The log is replaced by a snapshot by itself, under load, and nothing changes for clients.

use std::path::Path;
use std::time::Duration;

use etcd_client::{LeaseGrantOptions, PutOptions, WatchOptions};
use flota_mvcc::Retention;

use crate::support::*;

fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("wal-") || name.starts_with("snap-")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_long_log_is_replaced_and_history_after_the_compaction_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    client.lease_grant(600, Some(LeaseGrantOptions::new().with_id(5))).await.unwrap();
    client.put("kept", "leased", Some(PutOptions::new().with_lease(5))).await.unwrap();
    let value = vec![b'x'; 1 << 20];
    for _ in 0..66 {
        soon(client.put("big", value.clone(), None)).await.unwrap();
    }
    assert_eq!(names(dir.path()).first().unwrap(), "wal-0000000000000001.log");
    // All those versions are still in memory, so the log is not too long for them yet.
    assert!(!names(dir.path()).iter().any(|name| name.starts_with("snap-")));
    client.compact(67, None).await.unwrap();
    for n in 0..100 {
        client.put("small", n.to_string(), None).await.unwrap();
    }
    soon(async {
        while names(dir.path()).first().is_none_or(|name| !name.starts_with("snap-")) || names(dir.path()).len() > 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let bytes: u64 = names(dir.path()).iter().map(|name| std::fs::metadata(dir.path().join(name)).unwrap().len()).sum();
    assert!(bytes < 5 << 20, "{bytes} bytes are left of 66 MiB");
    store.close().await;
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let got = client.get("small", None).await.unwrap();
    assert_eq!((got.header().unwrap().revision(), got.kvs()[0].value()), (168, b"99".as_slice()));
    assert_eq!(client.get("big", None).await.unwrap().kvs()[0].version(), 66);
    let mut watch = client.watch("small", Some(WatchOptions::new().with_start_revision(67))).await.unwrap();
    let mut seen = 0;
    while seen < 100 {
        seen += soon(watch.message()).await.unwrap().unwrap().events().len();
    }
    client.lease_revoke(5).await.unwrap();
    assert_eq!(client.get("kept", None).await.unwrap().count(), 0);
    store.close().await;
}

/// Bytes of the values of the next test, and how many of them are written.
const VALUE: usize = 16 << 10;
const WRITES: usize = 16_000;

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_written_over_and_over_take_no_more_room_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.limits.retention = Retention { age: 0, revisions: 100 };
    let store = Served::open(config).await;
    let mut writers = tokio::task::JoinSet::new();
    for key in 0..16 {
        let mut client = store.client().await;
        writers.spawn(async move {
            for _ in 0..WRITES / 16 {
                client.put(format!("key-{key}"), vec![b'x'; VALUE], None).await.unwrap();
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    // What is over is freed with the writes that come after it, not by the end of the loop above.
    let mut client = store.client().await;
    let written = (WRITES * VALUE) as i64;
    soon(async {
        loop {
            client.put("key-0", vec![b'x'; VALUE], None).await.unwrap();
            let status = client.status().await.unwrap();
            if status.raft_used_db_size() < written / 8 && status.db_size() < written / 3 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let mut bytes = 0;
    for name in names(dir.path()) {
        bytes += std::fs::metadata(dir.path().join(name)).map_or(0, |file| file.len());
    }
    assert!(bytes < written as u64 / 3, "{bytes} bytes of files are left of {written} that were written");
    store.close().await;
}
