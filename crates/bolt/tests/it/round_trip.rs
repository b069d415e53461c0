//! What is written is read back.

use flota_bolt::{Bucket, Entries, Entry, MAX_KEY_BYTES, PAGE_BYTES, WriteError, write};
use proptest::collection::{btree_map, vec};
use proptest::prelude::any;

use crate::support::{Content, read, shapes, written};

#[test]
fn every_shape_of_bucket_is_read_back() {
    let content = shapes(20_000);
    let bytes = written(&content);
    assert_eq!(bytes.len() % PAGE_BYTES, 0);
    assert!(read(&bytes).unwrap() == content);
}

#[test]
fn a_database_without_buckets_is_read_back() {
    assert!(read(&written(&Content::new())).unwrap().is_empty());
}

#[test]
fn long_keys_and_values_are_read_back() {
    let keys = (0..60u8).map(|n| (vec![n; MAX_KEY_BYTES - usize::from(n)], vec![n; 3]));
    let content = Content::from([(b"b".to_vec(), keys.collect())]);
    assert!(read(&written(&content)).unwrap() == content);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
    #[test]
    fn any_content_is_read_back(
        content in btree_map(vec(any::<u8>(), 1..20), btree_map(vec(any::<u8>(), 1..300), vec(any::<u8>(), 0..6000), 0..40), 0..6)
    ) {
        assert!(read(&written(&content)).unwrap() == content);
    }
}

fn refused(keys: &[&[u8]]) -> WriteError {
    let entries = || -> Entries<'_> { Box::new(keys.iter().map(|key| Box::new((*key, &b"v"[..])) as Box<dyn Entry>)) };
    write(&[Bucket { name: b"b", entries: Box::new(entries) }], &mut Vec::new()).unwrap_err()
}

#[test]
fn keys_that_the_format_cannot_hold_are_refused() {
    assert!(matches!(refused(&[b""]), WriteError::KeySize { bytes: 0 }));
    assert!(matches!(refused(&[&vec![1; MAX_KEY_BYTES + 1]]), WriteError::KeySize { .. }));
    assert!(matches!(refused(&[b"b", b"a"]), WriteError::KeyOrder { .. }));
    assert!(matches!(refused(&[b"a", b"a"]), WriteError::KeyOrder { .. }));
}
