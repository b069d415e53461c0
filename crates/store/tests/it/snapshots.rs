//! The log is replaced by a snapshot by itself, under load, and nothing changes for clients.

use std::path::Path;
use std::time::Duration;

use etcd_client::{LeaseGrantOptions, PutOptions, WatchOptions};

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
