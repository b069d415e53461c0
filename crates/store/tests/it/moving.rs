//! The road to a real etcd and back: the same keys, revisions, history, leases, users and hashes on both ends.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use etcd_client::{
    Client, CompactionOptions, Compare, CompareOp, GetOptions, LeaseTimeToLiveOptions, Permission, PutOptions, Txn,
    TxnOp,
};
use flota_store::{RestoreError, restore, status};

use crate::real_etcd::RealEtcd;
use crate::support::{Served, soon};

/// Key, value, create and mod revision, version, lease.
type Facts = (Vec<u8>, Vec<u8>, i64, i64, i64, i64);

/// Everything that a client can find out.
#[derive(Debug, PartialEq)]
struct Picture {
    revision: i64,
    hash: u32,
    compacted: i64,
    /// All keys at each revision from the compaction on.
    keys: Vec<Vec<Facts>>,
    /// Id, seconds granted, keys.
    leases: Vec<(i64, i64, Vec<Vec<u8>>)>,
    /// Users and their roles.
    users: Vec<(String, Vec<String>)>,
    permissions: Vec<String>,
}

async fn picture(client: &mut Client) -> Picture {
    let hashed = client.maintenance_client().hash_kv(0).await.unwrap();
    let revision = hashed.header().unwrap().revision();
    let mut keys = Vec::new();
    for at in hashed.compact_version().max(1)..=revision {
        let all = client.get("", Some(GetOptions::new().with_all_keys().with_revision(at))).await.unwrap();
        let facts = |kv: &etcd_client::KeyValue| {
            let (created, modified) = (kv.create_revision(), kv.mod_revision());
            (kv.key().to_vec(), kv.value().to_vec(), created, modified, kv.version(), kv.lease())
        };
        keys.push(all.kvs().iter().map(facts).collect());
    }
    let mut leases = Vec::new();
    for lease in client.leases().await.unwrap().leases() {
        let options = LeaseTimeToLiveOptions::new().with_keys();
        let told = client.lease_time_to_live(lease.id(), Some(options)).await.unwrap();
        // etcd tells them in any order.
        let mut attached = told.keys().to_vec();
        attached.sort();
        leases.push((lease.id(), told.granted_ttl(), attached));
    }
    leases.sort();
    let mut users = Vec::new();
    for user in client.user_list().await.unwrap().users() {
        users.push((user.clone(), client.user_get(user.as_str()).await.unwrap().roles().to_vec()));
    }
    let mut permissions = Vec::new();
    for role in client.role_list().await.unwrap().roles() {
        permissions.push(format!("{role}: {:?}", client.role_get(role.as_str()).await.unwrap().permissions()));
    }
    Picture { revision, hash: hashed.hash(), compacted: hashed.compact_version(), keys, leases, users, permissions }
}

/// Puts, deletes, transactions whose keys are not in order, leases, users, and a compaction in the middle of it.
async fn fill(client: &mut Client) {
    client.lease_grant(600, Some(etcd_client::LeaseGrantOptions::new().with_id(77))).await.unwrap();
    client.lease_grant(90, Some(etcd_client::LeaseGrantOptions::new().with_id(-5))).await.unwrap();
    for round in 0..40 {
        for key in ["a", "b", "c"] {
            client.put(format!("{key}{}", round % 7), format!("{round}"), None).await.unwrap();
        }
        client.put(format!("leased{}", round % 3), "x", Some(PutOptions::new().with_lease(77))).await.unwrap();
        let ops = ["z", "m", "k"].map(|key| TxnOp::put(format!("{key}{}", round % 5), vec![round; 3000], None));
        let gone = TxnOp::delete(format!("a{}", round % 6), None);
        let when = [Compare::version("never", CompareOp::Equal, 0)];
        client.txn(Txn::new().when(when).and_then([vec![gone], ops.to_vec()].concat())).await.unwrap();
        if round == 20 {
            // The transaction itself: its delete is forgotten, its puts are not.
            let revision = client.get("k0", None).await.unwrap().header().unwrap().revision();
            client.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
        }
    }
    client.put("empty", "", None).await.unwrap();
    client.role_add("web").await.unwrap();
    client.role_grant_permission("web", Permission::read_write("svc/").with_prefix()).await.unwrap();
    client.role_grant_permission("web", Permission::read("one")).await.unwrap();
    client.user_add("alice", "secret", None).await.unwrap();
    client.user_grant_role("alice", "web").await.unwrap();
}

fn etcdctl(arguments: &[&str]) -> String {
    let output = Command::new("etcdctl").env("ETCDCTL_API", "3").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn save(address: &str, file: &Path) {
    etcdctl(&["--endpoints", address, "snapshot", "save", file.to_str().unwrap()]);
}

fn restored_by_etcdctl(file: &Path, dir: &Path) -> RealEtcd {
    etcdctl(&["snapshot", "restore", file.to_str().unwrap(), "--data-dir", dir.to_str().unwrap()]);
    RealEtcd::start_in(dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_becomes_a_real_etcd_and_comes_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let ours = Served::start(&path("ours")).await;
    let mut client = ours.client().await;
    soon(fill(&mut client)).await;
    let before = soon(picture(&mut client)).await;
    assert!(before.keys.len() > 90 && before.leases.len() == 2 && before.users.len() == 1);
    save(&ours.addr.to_string(), &path("1.db"));
    let told = etcdctl(&["snapshot", "status", "-w", "json", path("1.db").to_str().unwrap()]);
    assert!(told.contains(&format!("\"revision\":{},", before.revision)), "{told}");
    ours.close().await;

    let etcd = restored_by_etcdctl(&path("1.db"), &path("etcd"));
    let mut client = etcd.client().await;
    assert_eq!(soon(picture(&mut client)).await, before);
    // It goes on as an etcd, and what it writes comes back too.
    soon(fill_more(&mut client)).await;
    let later = soon(picture(&mut client)).await;
    assert!(later.revision > before.revision);
    save(&etcd.addr.to_string(), &path("2.db"));
    drop(etcd);

    let made = restore(&path("2.db"), &path("back")).unwrap();
    assert_eq!((made.status.revision, made.status.users), (later.revision, 1));
    let back = Served::start(&path("back")).await;
    let mut client = back.client().await;
    assert_eq!(soon(picture(&mut client)).await, later);
    let id = client.member_list().await.unwrap().header().unwrap().cluster_id();
    assert_eq!(id, made.cluster_id);
    // And a file of that is a file of the same.
    save(&back.addr.to_string(), &path("3.db"));
    back.close().await;
    let again = status(&path("3.db")).unwrap();
    assert_eq!((again.revision, again.versions, again.keys), (later.revision, made.status.versions, made.status.keys));
}

async fn fill_more(client: &mut Client) {
    for round in 0..10 {
        let ops = ["y", "x"].map(|key| TxnOp::put(format!("{key}{round}"), "more", None));
        client.txn(Txn::new().and_then(ops)).await.unwrap();
    }
    client.delete("x3", None).await.unwrap();
    let revision = client.get("x9", None).await.unwrap().header().unwrap().revision();
    client.compact(revision - 3, Some(CompactionOptions::new().with_physical())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_past_revisions_are_etcds() {
    let dir = tempfile::tempdir().unwrap();
    let etcd = RealEtcd::start_in(&dir.path().join("etcd"));
    let mut client = etcd.client().await;
    soon(fill(&mut client)).await;
    let file = dir.path().join("db");
    save(&etcd.addr.to_string(), &file);
    restore(&file, &dir.path().join("ours")).unwrap();
    let ours = Served::start(&dir.path().join("ours")).await;
    let mut other = ours.client().await;
    let revision = other.get("a", None).await.unwrap().header().unwrap().revision();
    assert_eq!(soon(picture(&mut other)).await, soon(picture(&mut client)).await);
    for at in (revision - 60..=revision).step_by(7) {
        let (theirs, own) = (client.hash_kv(at).await.unwrap(), other.hash_kv(at).await.unwrap());
        assert_eq!((own.hash(), own.compact_version()), (theirs.hash(), theirs.compact_version()), "{at}");
    }
    for at in [1, revision + 1] {
        let (theirs, own) = (client.hash_kv(at).await.unwrap_err(), other.hash_kv(at).await.unwrap_err());
        assert_eq!(own.to_string(), theirs.to_string());
    }
    ours.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_of_one_revision_while_writes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Served::start(&dir.path().join("ours")).await;
    let mut client = ours.client().await;
    client.put("left", vec![1; 100_000], None).await.unwrap();
    let mut writing = ours.client().await;
    let enough = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&enough);
    let writer = tokio::spawn(async move {
        // Both keys in each transaction: a snapshot with one of them would be torn.
        while !told.load(Ordering::Relaxed) {
            let ops = ["left", "right"].map(|key| TxnOp::put(key, "both", None));
            writing.txn(Txn::new().and_then(ops)).await.unwrap();
        }
    });
    for n in 0..3 {
        let file = dir.path().join(format!("{n}.db"));
        save(&ours.addr.to_string(), &file);
        let copy = Served::start(&{
            let to = dir.path().join(format!("copy{n}"));
            restore(&file, &to).unwrap();
            to
        })
        .await;
        let mut reader = copy.client().await;
        let values = ["left", "right"].map(|key| (key, reader.clone()));
        let mut found = Vec::new();
        for (key, mut reader) in values {
            found.extend(reader.get(key, None).await.unwrap().kvs().first().map(etcd_client::KeyValue::mod_revision));
        }
        assert!(found.len() < 2 || found[0] == found[1], "{found:?}");
        reader.put("goes on", "", None).await.unwrap();
        copy.close().await;
    }
    enough.store(true, Ordering::Relaxed);
    soon(writer).await.unwrap();
    ours.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_whole_is_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Served::start(&dir.path().join("ours")).await;
    ours.client().await.put("a", "1", None).await.unwrap();
    let (file, to) = (dir.path().join("db"), dir.path().join("to"));
    save(&ours.addr.to_string(), &file);
    ours.close().await;
    let good = std::fs::read(&file).unwrap();
    let attempt = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let refused = restore(&file, &to).unwrap_err();
        assert!(!to.exists() && !dir.path().join("to.restoring").exists());
        refused
    };
    let mut flipped = good.clone();
    flipped[5000] ^= 1;
    assert!(matches!(attempt(&flipped), RestoreError::WrongHash { .. }));
    let cut = attempt(&good[..good.len() - 4096 - 32]);
    assert!(matches!(cut, RestoreError::Import { .. }), "{cut}");
    assert!(matches!(attempt(b"not a database"), RestoreError::Import { .. }));
    assert!(matches!(attempt(b""), RestoreError::Import { .. }));
    std::fs::write(&file, &good).unwrap();
    std::fs::create_dir(&to).unwrap();
    // An empty directory is as good as none, one with something in it is not.
    restore(&file, &to).unwrap();
    assert!(matches!(restore(&file, &to), Err(RestoreError::NotEmpty { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn defragment_replaces_the_log_by_a_snapshot_before_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Served::start(dir.path()).await;
    let mut client = ours.client().await;
    for n in 0..50 {
        client.put("a", vec![n; 10_000], None).await.unwrap();
    }
    client.compact(51, None).await.unwrap();
    let size = |mut client: Client| async move { client.status().await.unwrap().db_size() };
    let before = size(client.clone()).await;
    etcdctl(&["--endpoints", &ours.addr.to_string(), "defrag"]);
    let after = size(client.clone()).await;
    assert!(before > 500_000 && after < 50_000, "{before} {after}");
    client.put("b", "1", None).await.unwrap();
    ours.close().await;
    let again = Served::start(dir.path()).await;
    assert_eq!(again.client().await.get("a", None).await.unwrap().kvs()[0].value(), vec![49; 10_000]);
    again.close().await;
}
