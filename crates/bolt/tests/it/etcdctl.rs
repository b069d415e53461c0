//! etcdctl, which runs bbolt's own check over the whole file, agrees.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the test hands a file to another program")]

use std::process::Command;

use crate::support::{Content, shapes, written};

fn status(content: &Content) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("db");
    std::fs::write(&file, written(content)).unwrap();
    let mut command = Command::new("etcdctl");
    let output = command.env("ETCDCTL_API", "3").args(["snapshot", "status", "-w", "json"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bbolts_check_finds_nothing_wrong() {
    let mut content = shapes(50_000);
    let keys: usize = content.values().map(std::collections::BTreeMap::len).sum();
    assert!(status(&content).contains(&format!("\"totalKey\":{keys},")));
    // Buckets that fit into no single page: the bucket of buckets is a tree itself.
    for n in 0..40u8 {
        content.insert(vec![b'z', n], (0..9u8).map(|key| (vec![key], vec![n; 80])).collect());
    }
    assert!(status(&content).contains(&format!("\"totalKey\":{},", keys + 360)));
}
