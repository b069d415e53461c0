//! What recovery makes of damage: the state as it was, the state before the torn batch, or a refusal; never anything else.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use flota_mvcc::{KeyRange, Millis, Mvcc, PutRequest, RangeRequest, Request};
use tempfile::TempDir;

use super::{Identity, Recovered, recover, write_snapshot};
use crate::StoreError;
use crate::disk::Directory;

const IDENTITY: Identity = Identity { cluster_id: 11, member_id: 22 };
const T0: Millis = Millis(0);

fn open(dir: &Path) -> Result<Recovered, StoreError> {
    recover(dir, Arc::new(Directory::new(dir)), IDENTITY, T0)
}

fn put(recovered: &mut Recovered, key: &str, value: &str) {
    let mut batch = recovered.state.batch(T0);
    let request = PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() };
    batch.evaluate(&Request::Put(request)).unwrap();
    let pending = batch.finish();
    recovered.log.append(&pending.records).unwrap();
    recovered.state.apply(T0, pending);
}

fn contents(state: &Mvcc) -> Vec<String> {
    let everything = RangeRequest::new(KeyRange::new(b"\0", b"\0"));
    let range = state.range(&everything).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    range.kvs.iter().map(|kv| format!("{}={}", text(&kv.key), text(&kv.value))).collect()
}

const SEGMENT: &str = "wal-0000000000000001.log";

/// A directory with three batches, and the length of the log after each (the head first).
fn three_batches() -> (TempDir, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let mut recovered = open(dir.path()).unwrap();
    let mut lengths = vec![recovered.log.length() as usize];
    for (key, value) in [("a", "first"), ("b", "second"), ("c", "third")] {
        put(&mut recovered, key, value);
        lengths.push(recovered.log.length() as usize);
    }
    (dir, lengths)
}

/// What was appended, without the space prepared behind it.
fn written(dir: &Path, lengths: &[usize]) -> Vec<u8> {
    let mut bytes = fs::read(dir.join(SEGMENT)).unwrap();
    let zeros = bytes.split_off(*lengths.last().unwrap());
    assert!(!zeros.is_empty() && zeros.iter().all(|byte| *byte == 0));
    bytes
}

fn copy_with(bytes: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(SEGMENT), bytes).unwrap();
    dir
}

fn expected(batches: usize) -> Vec<String> {
    ["a=first", "b=second", "c=third"][..batches].iter().map(ToString::to_string).collect()
}

#[test]
fn a_log_is_read_back_with_its_identity() {
    let (dir, _) = three_batches();
    let other = Identity { cluster_id: 1, member_id: 1 };
    let recovered = recover(dir.path(), Arc::new(Directory::new(dir.path())), other, T0).unwrap();
    assert_eq!(contents(&recovered.state), expected(3));
    assert_eq!(recovered.log.identity, IDENTITY);
    assert!(!recovered.report.created);
    assert_eq!((recovered.report.records, recovered.report.torn), (3, None));
}

#[test]
fn a_log_cut_anywhere_gives_the_whole_batches_before_the_cut() {
    let (dir, lengths) = three_batches();
    let bytes = written(dir.path(), &lengths);
    for cut in 0..bytes.len() {
        let dir = copy_with(&bytes[..cut]);
        let mut recovered = open(dir.path()).unwrap();
        let batches = lengths.iter().filter(|length| **length <= cut).count().saturating_sub(1);
        assert_eq!(contents(&recovered.state), expected(batches), "cut at {cut}");
        let torn = recovered.report.torn.as_ref().map(|torn| (torn.offset + torn.bytes) as usize);
        let whole = cut == 0 || lengths.contains(&cut);
        // Zeros may be space that was prepared.
        let end = bytes[..cut].iter().rposition(|byte| *byte != 0).map(|last| last + 1);
        assert_eq!(torn, end.filter(|_| !whole), "cut at {cut}");
        // What is written now must not be cut with the torn part at the next start.
        put(&mut recovered, "z", "later");
        drop(recovered);
        let again = open(dir.path()).unwrap();
        assert_eq!(contents(&again.state), [expected(batches), vec!["z=later".to_owned()]].concat());
        assert_eq!(again.report.torn, None);
    }
}

#[test]
fn a_flipped_bit_is_refused_or_cut_but_never_served() {
    let (dir, lengths) = three_batches();
    let bytes = written(dir.path(), &lengths);
    // Each byte cannot be tried with all the space behind it; some of it is enough.
    let bytes = [&bytes[..], &[0; 600]].concat();
    for at in 0..*lengths.last().unwrap() {
        for bit in [0, 3, 7] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1u8 << bit;
            match open(copy_with(&damaged).path()) {
                // Nothing tells a damaged last batch from a torn one.
                Ok(recovered) => {
                    assert!(at >= lengths[2], "bit {bit} of byte {at} was not seen");
                    assert_eq!(contents(&recovered.state), expected(2));
                    assert_eq!(recovered.report.torn.unwrap().offset as usize, lengths[2]);
                }
                Err(StoreError::Damaged { file, offset, .. }) => {
                    assert!(at < lengths[2], "bit {bit} of byte {at} is in the last batch");
                    assert!(file.ends_with(SEGMENT));
                    assert!(lengths.contains(&(offset as usize)) || offset == 0);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_batch_left_over_from_before_is_not_replayed() {
    let (dir, lengths) = three_batches();
    let bytes = written(dir.path(), &lengths);
    // The last batch once more behind the end, and behind the first batch: whole, but not in the chain.
    let last = &bytes[lengths[2]..];
    let stale = open(copy_with(&[&bytes[..], last].concat()).path()).unwrap();
    assert_eq!(contents(&stale.state), expected(3));
    let skipped = open(copy_with(&[&bytes[..lengths[1]], last].concat()).path()).unwrap();
    assert_eq!(contents(&skipped.state), expected(1));
    let zeros = open(copy_with(&[&bytes[..], &[0; 5000]].concat()).path()).unwrap();
    assert_eq!((contents(&zeros.state), zeros.report.torn), (expected(3), None));
}

#[test]
fn a_lost_block_before_the_last_batch_is_refused_also_when_it_took_the_frames_heads() {
    let (dir, lengths) = three_batches();
    let bytes = written(dir.path(), &lengths);
    for fill in [0, 0xff] {
        for (start, end) in [(0, lengths[2]), (lengths[0], lengths[2]), (lengths[0], lengths[1]), (20, lengths[1] + 30)]
        {
            let mut damaged = bytes.clone();
            damaged[start..end].fill(fill);
            let error = open(copy_with(&damaged).path()).err();
            assert!(matches!(error, Some(StoreError::Damaged { .. })), "{fill} from {start} to {end}: {error:?}");
        }
        // Of the last batch any part may have been lost in a power cut, and nothing of it was answered.
        for start in lengths[2]..bytes.len() {
            let mut torn = bytes.clone();
            torn[start..].fill(fill);
            assert_eq!(contents(&open(copy_with(&torn).path()).unwrap().state), expected(2));
        }
    }
}

#[test]
fn a_segment_of_another_log_does_not_continue_this_one() {
    let (one, lengths) = three_batches();
    let (other, _) = three_batches();
    let (one, other) = (written(one.path(), &lengths), written(other.path(), &lengths));
    // Same identity, same place, same records: only the chain knows.
    let mixed = open(copy_with(&[&one[..lengths[1]], &other[lengths[1]..]].concat()).path()).unwrap();
    assert_eq!(contents(&mixed.state), expected(1));
}

#[test]
fn segments_are_a_row_without_holes() {
    let dir = tempfile::tempdir().unwrap();
    let mut recovered = open(dir.path()).unwrap();
    for (key, value) in [("a", "first"), ("b", "second"), ("c", "third")] {
        put(&mut recovered, key, value);
        recovered.log.rotate().unwrap();
    }
    drop(recovered);
    assert_eq!(contents(&open(dir.path()).unwrap().state), expected(3));
    let second = dir.path().join("wal-0000000000000002.log");
    let bytes = fs::read(&second).unwrap();
    #[track_caller]
    fn refused(dir: &Path, reason: &str) {
        let error = open(dir).err().map(|error| error.to_string()).unwrap();
        assert!(error.contains("wal-000000000000000") && error.contains(reason), "{error}");
    }
    fs::write(&second, &bytes[..bytes.len() - 1]).unwrap();
    refused(dir.path(), "cut off");
    fs::write(&second, b"").unwrap();
    refused(dir.path(), "empty");
    fs::write(&second, &bytes[..bytes.len() / 2]).unwrap();
    refused(dir.path(), "cut off");
    fs::remove_file(&second).unwrap();
    refused(dir.path(), "missing");
    fs::write(&second, &bytes).unwrap();
    let first = dir.path().join(SEGMENT);
    let all = fs::read(&first).unwrap();
    fs::write(&first, &all[..three_batches().1[0]]).unwrap();
    refused(dir.path(), "does not end where it should");
}

#[test]
fn a_head_torn_while_a_segment_was_begun_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut recovered = open(dir.path()).unwrap();
    put(&mut recovered, "a", "first");
    recovered.log.rotate().unwrap();
    drop(recovered);
    let second = dir.path().join("wal-0000000000000002.log");
    let head = fs::read(&second).unwrap();
    for cut in 0..head.len() {
        fs::write(&second, &head[..cut]).unwrap();
        let recovered = open(dir.path()).unwrap();
        assert_eq!((contents(&recovered.state), recovered.log.identity), (expected(1), IDENTITY));
        assert_eq!(fs::read(&second).unwrap(), head);
    }
}

#[test]
fn a_snapshot_stands_for_the_segments_before_it() {
    let (dir, _) = three_batches();
    let mut recovered = open(dir.path()).unwrap();
    let seq = recovered.log.rotate().unwrap();
    let mut records = vec![recovered.state.dump()];
    put(&mut recovered, "d", "fourth");
    let disk = Arc::clone(&recovered.log.disk);
    let leftover = dir.path().join("snap-0000000000000001.tmp");
    fs::write(&leftover, b"a crash left this").unwrap();
    write_snapshot(&*disk, IDENTITY, seq, || records.pop().unwrap_or_default(), &recovered.log.sizes).unwrap();
    drop(recovered);
    let all = [expected(3), vec!["d=fourth".to_owned()]].concat();
    let again = open(dir.path()).unwrap();
    assert_eq!((contents(&again.state), again.state.revision()), (all.clone(), 5));
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["snap-0000000000000002.snap", "wal-0000000000000002.log"]);
    drop(again);
    let snapshot = dir.path().join("snap-0000000000000002.snap");
    let bytes = fs::read(&snapshot).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&snapshot, damaged).unwrap();
        assert!(matches!(open(dir.path()), Err(StoreError::Damaged { .. })), "byte {at}");
    }
    fs::write(&snapshot, &bytes).unwrap();
    assert_eq!(contents(&open(dir.path()).unwrap().state), all);
}
