//! Disks that fail and disks that are full.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use etcd_client::{Client, LeaseGrantOptions, PutOptions, Txn, TxnOp};
use flota_store::StoreError;
use flota_store::disk::{Append, Directory, Disk};

use crate::support::*;

/// What is wrong with the disk.
#[derive(Default)]
struct Faults {
    /// Bytes that still fit; `i64::MAX` is a disk without end.
    room: AtomicI64,
    fail_sync: AtomicBool,
}

/// A real directory with faults.
struct FaultyDisk {
    directory: Directory,
    faults: Arc<Faults>,
}

fn faulty(dir: &Path) -> (Arc<FaultyDisk>, Arc<Faults>) {
    let faults = Arc::new(Faults { room: AtomicI64::new(i64::MAX), ..Faults::default() });
    (Arc::new(FaultyDisk { directory: Directory::new(dir), faults: Arc::clone(&faults) }), faults)
}

impl FaultyDisk {
    fn wrap(&self, file: Box<dyn Append>) -> Box<dyn Append> {
        Box::new(FaultyFile { file, faults: Arc::clone(&self.faults) })
    }
}

impl Disk for FaultyDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.directory.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        self.directory.open(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn Append>> {
        Ok(self.wrap(self.directory.create(name)?))
    }
    fn append(&self, name: &str, end: u64) -> io::Result<Box<dyn Append>> {
        Ok(self.wrap(self.directory.append(name, end)?))
    }
    fn reserve(&self, name: &str, length: u64) -> io::Result<()> {
        if self.faults.room.load(Ordering::SeqCst) < length as i64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.directory.reserve(name, length)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        if name == "reserve" {
            self.faults.room.fetch_add(2000, Ordering::SeqCst);
        }
        self.directory.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.directory.sync_names()
    }
}

struct FaultyFile {
    file: Box<dyn Append>,
    faults: Arc<Faults>,
}

impl Append for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.faults.room.load(Ordering::SeqCst);
        let fits = bytes.len().min(usize::try_from(room).unwrap_or(0));
        self.faults.room.fetch_sub(fits as i64, Ordering::SeqCst);
        self.file.append(&bytes[..fits])?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn prepare(&mut self, length: u64) -> io::Result<()> {
        self.file.prepare(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        if self.faults.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the medium is broken"));
        }
        self.file.sync()
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }
}

async fn put(client: &mut Client, key: &str, bytes: usize) -> Result<(), String> {
    soon(client.put(key, vec![b'x'; bytes], None)).await.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_failed_sync_is_not_answered_and_ends_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty(dir.path());
    let store = Served::start_on(dir.path(), disk).await;
    let mut client = store.client().await;
    put(&mut client, "safe", 10).await.unwrap();
    let mut watch = client.watch("", Some(etcd_client::WatchOptions::new().with_all_keys())).await.unwrap();
    assert!(soon(watch.message()).await.unwrap().unwrap().created());
    faults.fail_sync.store(true, Ordering::SeqCst);
    assert!(put(&mut client, "lost", 10).await.is_err());
    assert!(soon(watch.message()).await.is_err(), "no event of what is not durable");
    assert!(soon(client.get("safe", None)).await.is_err());
    let ended = soon(store.end).await.unwrap().unwrap_err();
    assert!(matches!(ended, StoreError::DiskFailed { .. }), "{ended}");
    assert!(ended.to_string().contains("the medium is broken"));
    let store = Served::start(dir.path()).await;
    assert_eq!(store.client().await.get("safe", None).await.unwrap().count(), 1);
    store.close().await;
}

const FULL: &str = "etcdserver: mvcc: database space exceeded";

#[tokio::test]
async fn a_full_disk_stops_what_grows_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty(dir.path());
    let store = Served::start_on(dir.path(), disk).await;
    let mut client = store.client().await;
    client.lease_grant(60, Some(LeaseGrantOptions::new().with_id(1))).await.unwrap();
    client.put("leased", "x", Some(PutOptions::new().with_lease(1))).await.unwrap();
    faults.room.store(3000, Ordering::SeqCst);
    let mut written = 0;
    let refused = loop {
        match put(&mut client, &format!("k{written}"), 900).await {
            Ok(()) => written += 1,
            Err(text) => break text,
        }
    };
    assert!(refused.contains(FULL), "{refused}");
    assert_eq!(written, 3);
    assert!(put(&mut client, "k", 900).await.unwrap_err().contains(FULL));
    let txn = Txn::new().and_then([TxnOp::put("k", "", None)]);
    assert!(soon(client.txn(txn)).await.unwrap_err().to_string().contains(FULL));
    assert!(soon(client.lease_grant(5, None)).await.unwrap_err().to_string().contains(FULL));
    assert_eq!(
        client.alarm(etcd_client::AlarmAction::Get, etcd_client::AlarmType::None, None).await.unwrap().alarms().len(),
        1
    );
    assert_eq!(client.get("k0", None).await.unwrap().count(), 1);
    let (mut keeper, mut kept) = client.lease_keep_alive(1).await.unwrap();
    keeper.keep_alive().await.unwrap();
    assert_eq!(soon(kept.message()).await.unwrap().unwrap().ttl(), 60);
    assert_eq!(soon(client.delete("k0", None)).await.unwrap().deleted(), 1);
    soon(client.lease_revoke(1)).await.unwrap();
    faults.room.store(i64::MAX, Ordering::SeqCst);
    put(&mut client, "again", 900).await.unwrap();
    let revision = client.get("again", None).await.unwrap().header().unwrap().revision();
    store.close().await;
    let store = Served::start(dir.path()).await;
    let everything = Some(etcd_client::GetOptions::new().with_all_keys());
    let found = store.client().await.get("", everything).await.unwrap();
    let keys: Vec<_> = found.kvs().iter().map(|kv| kv.key_str().unwrap().to_owned()).collect();
    assert_eq!(
        (keys, found.header().unwrap().revision()),
        (["again", "k1", "k2"].map(str::to_owned).to_vec(), revision)
    );
    store.close().await;
}

#[tokio::test]
async fn with_no_space_at_all_even_deletes_are_refused_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty(dir.path());
    let store = Served::start_on(dir.path(), disk).await;
    let mut client = store.client().await;
    put(&mut client, "a", 10).await.unwrap();
    faults.room.store(-5000, Ordering::SeqCst);
    assert!(put(&mut client, "b", 10).await.unwrap_err().contains(FULL));
    assert!(soon(client.delete("a", None)).await.unwrap_err().to_string().contains(FULL));
    assert_eq!(client.get("a", None).await.unwrap().count(), 1);
    faults.room.store(i64::MAX, Ordering::SeqCst);
    assert_eq!(soon(client.delete("a", None)).await.unwrap().deleted(), 1);
    store.close().await;
}

/// Unmounts with the test, however it ends.
struct Tmpfs<'a>(&'a Path);

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_really_full_file_system_is_survived_and_freed_by_delete_and_compact() {
    let dir = tempfile::tempdir().unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", dir.path(), "tmpfs", flags, Some(c"size=16m")).unwrap();
    let _mount = Tmpfs(dir.path());
    let store = Served::start(dir.path()).await;
    let mut client = store.client().await;
    let mut written = 0;
    while put(&mut client, &format!("k{written:04}"), 100_000).await.is_ok() {
        written += 1;
        assert!(written < 200);
    }
    assert!(written > 80);
    for _ in 0..5 {
        // The space kept for deletes is not taken for space to write.
        assert!(put(&mut client, "k", 10).await.unwrap_err().contains(FULL));
    }
    let all = || Some(etcd_client::DeleteOptions::new().with_prefix());
    assert_eq!(soon(client.delete("k", all())).await.unwrap().deleted(), written);
    let revision = client.get("k", None).await.unwrap().header().unwrap().revision();
    soon(client.compact(revision, None)).await.unwrap();
    soon(async {
        while put(&mut client, "again", 1000).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    drop(client);
    store.close().await;
    let store = Served::start(dir.path()).await;
    let found = store.client().await.get("again", None).await.unwrap();
    assert_eq!((found.count(), found.header().unwrap().revision()), (1, revision + 1));
    store.close().await;
}
