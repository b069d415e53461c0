//! Kills and power cuts at every call to the disk, snapshots and compactions under way: what was answered is there, and nothing else.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use flota_mvcc::{
    DeleteRequest, EventFilter, KeyRange, LeaseId, Millis, Mvcc, PutRequest, Request, Revision, TxnOp, TxnRequest,
};

use super::memory_disk::{MemoryDisk, Random};
use super::{Identity, Recovered, recover, write_snapshot};
use crate::StoreError;

const IDENTITY: Identity = Identity { cluster_id: 11, member_id: 22 };
const T0: Millis = Millis(0);

fn open(disk: &MemoryDisk) -> Result<Recovered, StoreError> {
    recover(Path::new("/memory"), Arc::new(disk.clone()), IDENTITY, T0)
}

/// Everything there is to know of a state, history and leases included, as one number.
fn fingerprint(state: &Mvcc) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut bytes = Vec::new();
    state.dump().iter().for_each(|record| record.encode(&mut bytes));
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// A store as its writer drives it, on one thread, that remembers its states and when they were durable.
struct Driven {
    disk: MemoryDisk,
    now: Recovered,
    random: Random,
    /// Calls to the disk when a batch was answered, and the state then.
    answered: Vec<(usize, u64)>,
    written: usize,
}

impl Driven {
    fn new(disk: MemoryDisk, seed: u64) -> Driven {
        let now = open(&disk).unwrap();
        let answered = vec![(0, fingerprint(&now.state))];
        Driven { disk, now, random: Random(seed), answered, written: 0 }
    }

    fn run(&mut self, requests: &[Request]) {
        let mut batch = self.now.state.batch(T0);
        for request in requests {
            // Some are refused, as deletes of leases that are gone; that is nothing to log.
            let _ = batch.evaluate(request);
        }
        let pending = batch.finish();
        if !pending.records.is_empty() {
            self.now.log.append(&pending.records).unwrap();
        }
        let _ = self.now.state.apply(T0, pending);
        self.answered.push((self.disk.calls(), fingerprint(&self.now.state)));
    }

    fn put(&mut self, key: &str) {
        self.written += 1;
        // Sometimes longer than a sector, and never twice the same.
        let value = format!("{}-", self.written).repeat(1 + self.random.below(60)).into_bytes();
        self.run(&[Request::Put(PutRequest { key: key.into(), value, ..PutRequest::default() })]);
    }

    fn delete(&mut self, key: &str) {
        self.run(&[Request::Delete(delete(key))]);
    }

    fn anything(&mut self) {
        let key = format!("k{}", self.random.below(6));
        let lease = LeaseId::new(1 + self.random.below(3) as i64).unwrap();
        let revision = self.now.state.revision();
        let old = revision - self.random.below(5) as i64;
        match self.random.below(10) {
            0 => self.run(&[Request::LeaseGrant { id: lease, ttl: 60 }]),
            1 => self.run(&[Request::LeaseRevoke(lease)]),
            2 => self.delete(&key),
            3 => self.run(&[Request::Compact(old)]),
            4 => {
                let put =
                    PutRequest { key: "both".into(), value: revision.to_string().into(), ..PutRequest::default() };
                let success = vec![TxnOp::Put(put), TxnOp::Delete(delete(&key))];
                self.run(&[Request::Txn(TxnRequest { success, ..TxnRequest::default() })]);
            }
            5 => {
                let leased = PutRequest { key: key.into(), lease: Some(lease), ..PutRequest::default() };
                self.run(&[Request::LeaseGrant { id: lease, ttl: 60 }, Request::Put(leased)]);
            }
            _ => self.put(&key),
        }
    }

    /// As the store does it: a new segment, and what was before it as a snapshot, while up to `busy` requests go on between its steps.
    fn snapshot(&mut self, busy: usize) {
        let seq = self.now.log.rotate().unwrap();
        let mut dump = self.now.state.begin_dump();
        let (disk, sizes) = (self.disk.clone(), Arc::clone(&self.now.log.sizes));
        let records = || {
            for _ in 0..self.random.below(busy + 1) {
                self.anything();
            }
            self.now.state.dump_step(&mut dump, 3)
        };
        write_snapshot(&disk, IDENTITY, seq, records, &sizes).unwrap();
        while self.now.state.tidy(2) {}
    }

    /// Checks what a crash after `calls` calls left: the state that was answered last, or that of the batch then at hand.
    fn check(&self, calls: usize, left: &MemoryDisk, what: &str) -> Result<(), String> {
        let known = self.answered.iter().rposition(|(at, _)| *at <= calls).unwrap();
        let recovered = open(left).map_err(|error| format!("{what}: {error}"))?;
        let found = fingerprint(&recovered.state);
        let allowed = &self.answered[known..self.answered.len().min(known + 2)];
        if !allowed.iter().any(|(_, state)| *state == found) {
            let older = self.answered.iter().rposition(|(_, state)| *state == found);
            return Err(format!("{what}: batch {known} was answered, and batch {older:?} is there"));
        }
        // A second crash right after the recovery changes nothing.
        let again = open(left).map_err(|error| format!("{what}, again: {error}"))?;
        if fingerprint(&again.state) == found { Ok(()) } else { Err(format!("{what}: not the same again")) }
    }
}

fn delete(key: &str) -> DeleteRequest {
    DeleteRequest { range: KeyRange::new(key.as_bytes(), b""), prev_kv: false }
}

/// Forty requests of all kinds with two snapshots among them.
fn history_of(disk: MemoryDisk, seed: u64) -> Driven {
    let mut store = Driven::new(disk, seed);
    for _ in 0..2 {
        for _ in 0..15 {
            store.anything();
        }
        store.snapshot(2);
    }
    for _ in 0..10 {
        store.anything();
    }
    store
}

#[test]
fn a_kill_at_any_call_to_the_disk_in_snapshots_and_compactions_too_loses_nothing() {
    for seed in 0..8 {
        let store = history_of(MemoryDisk::default(), seed);
        for calls in 0..store.disk.calls() {
            for part in [0, 7, 600] {
                let left = store.disk.killed_after(calls, part);
                store.check(calls, &left, &format!("seed {seed}, call {calls} and {part} bytes")).unwrap();
            }
        }
    }
}

#[test]
fn a_power_cut_at_any_call_loses_nothing_that_was_answered() {
    let mut cuts = 0;
    for seed in 0..60 {
        let store = history_of(MemoryDisk::default(), seed);
        let mut random = Random(seed);
        for calls in 0..store.disk.calls() {
            let left = store.disk.power_cut_after(calls, &mut random);
            store.check(calls, &left, &format!("seed {seed}, call {calls}")).unwrap();
            cuts += 1;
        }
    }
    assert!(cuts > 5000, "{cuts} power cuts");
}

/// The check must be able to fail: on a disk that only says that it has synced, power cuts do lose what was answered.
#[test]
fn power_cuts_find_a_disk_that_does_not_sync() {
    let store = history_of(MemoryDisk::lying(), 1);
    let mut random = Random(1);
    let lost = (0..store.disk.calls()).filter(|calls| {
        let left = store.disk.power_cut_after(*calls, &mut random);
        store.check(*calls, &left, "").is_err()
    });
    assert!(lost.count() > 20);
}

/// Kills and power cuts at every call from the `from`th on.
fn crashes(store: &Driven, from: usize) -> impl Iterator<Item = (usize, Mvcc)> {
    let mut random = Random(7);
    (from..=store.disk.calls()).flat_map(move |calls| {
        let cut = store.disk.power_cut_after(calls, &mut random);
        [store.disk.killed_after(calls, 3), cut].map(|left| (calls, open(&left).unwrap().state))
    })
}

fn value(state: &Mvcc, key: &str) -> Option<Vec<u8>> {
    let range = flota_mvcc::RangeRequest::new(KeyRange::new(key.as_bytes(), b""));
    state.range(&range).unwrap().kvs.first().map(|kv| kv.value.to_vec())
}

/// The deletes from `revision` on, as a watch from there is told.
fn deletes(state: &Mvcc, revision: Revision) -> Vec<String> {
    let range = KeyRange::new(b"\0", b"\0");
    let filter = EventFilter { range, no_put: true, no_delete: false, prev_kv: false };
    let found = state.events(&filter, revision).unwrap().events;
    found.iter().map(|event| String::from_utf8_lossy(&event.kv().key).into_owned()).collect()
}

#[test]
fn etcd_14370_a_write_answered_by_a_single_node_is_not_lost_in_a_crash() {
    let mut store = Driven::new(MemoryDisk::default(), 1);
    for _ in 0..20 {
        store.put("a");
        let answered = value(&store.now.state, "a");
        for (_, state) in crashes(&store, store.disk.calls()) {
            assert_eq!(value(&state, "a"), answered);
        }
    }
}

#[test]
fn etcd_17780_the_revision_does_not_go_back_after_a_crash_in_a_compaction() {
    let mut store = Driven::new(MemoryDisk::default(), 1);
    for _ in 0..5 {
        store.put("a");
    }
    // The newest revision is a delete, and compacted: no key carries it any more.
    store.delete("a");
    let (revision, answered) = (store.now.state.revision(), store.disk.calls());
    store.run(&[Request::Compact(revision)]);
    store.snapshot(0);
    for (calls, state) in crashes(&store, answered) {
        assert_eq!(state.revision(), revision, "call {calls}");
    }
}

#[test]
fn etcd_18089_and_19179_delete_events_around_a_compaction_survive_a_crash_in_it() {
    let mut store = Driven::new(MemoryDisk::default(), 1);
    for key in ["a", "b", "c"] {
        store.put(key);
    }
    store.delete("a");
    store.delete("b");
    let compacted = store.now.state.revision();
    store.delete("c");
    let answered = store.disk.calls();
    store.run(&[Request::Compact(compacted)]);
    store.snapshot(0);
    for (calls, state) in crashes(&store, answered) {
        let seen = deletes(&state, compacted);
        assert_eq!(seen[..2], ["b", "c"], "call {calls}");
        assert_eq!(value(&state, "a"), None);
    }
}
