//! Random operations against a model that keeps a full copy of the store for every revision.

use std::collections::BTreeMap;

use crate::support::*;
use flota_mvcc::{
    Compare, CompareResult, CompareTarget, Error, EventFilter, KeyRange, Mvcc, RangeRequest, Replay, Request, Response,
    TxnOp,
};
use proptest::prelude::*;

/// (value, create revision, mod revision, version)
type Entry = (String, i64, i64, i64);
type Keys = BTreeMap<String, Entry>;

/// The store at each revision; the first is empty.
struct Model {
    at: Vec<Keys>,
}

impl Model {
    fn revision(&self) -> i64 {
        self.at.len() as i64
    }

    fn now(&self) -> &Keys {
        self.at.last().unwrap()
    }

    fn apply(&mut self, ops: &[Op]) {
        let revision = self.revision() + 1;
        let mut keys = self.now().clone();
        for op in ops {
            op.apply(&mut keys, revision);
        }
        if keys != *self.now() {
            self.at.push(keys);
        }
    }
}

/// An operation that both sides understand.
#[derive(Clone, Debug)]
enum Op {
    Put(usize, u8),
    Delete(usize, usize),
}

fn name(index: usize) -> String {
    ["a", "aa", "ab", "b", "c", "ca"][index].to_owned()
}

fn interval(from: usize, to: usize) -> KeyRange {
    if from == to { one(&name(from)) } else { between(&name(from), &name(to)) }
}

impl Op {
    fn request(&self) -> TxnOp {
        match self {
            Op::Put(key, value) => TxnOp::Put(put(&name(*key), &value.to_string())),
            Op::Delete(from, to) => TxnOp::Delete(delete(interval(*from, *to))),
        }
    }

    fn apply(&self, keys: &mut Keys, revision: i64) {
        match self {
            Op::Put(key, value) => {
                let old = keys.get(&name(*key)).cloned();
                let (create, version) = old.map_or((revision, 1), |(_, create, _, version)| (create, version + 1));
                keys.insert(name(*key), (value.to_string(), create, revision, version));
            }
            Op::Delete(from, to) => keys.retain(|key, _| !interval(*from, *to).contains(key.as_bytes())),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    One(Op),
    Txn { key: usize, version: i64, success: Vec<Op>, failure: Vec<Op>, nested: bool },
    Compact(prop::sample::Index),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..6usize, any::<u8>()).prop_map(|(key, value)| Op::Put(key, value)),
        1 => (0..6usize, 0..6usize).prop_map(|(from, to)| Op::Delete(from, to)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ops = || prop::collection::vec(op(), 0..4);
    prop_oneof![
        8 => op().prop_map(Step::One),
        4 => (0..6usize, 0..3i64, ops(), ops(), any::<bool>()).prop_map(|(key, version, success, failure, nested)| {
            Step::Txn { key, version, success, failure, nested }
        }),
        1 => any::<prop::sample::Index>().prop_map(Step::Compact),
        1 => Just(Step::Restart),
    ]
}

/// Whether a branch writes a key twice, by trying every key.
fn has_duplicates(ops: &[Op]) -> bool {
    (0..6).any(|key| {
        let puts = ops.iter().filter(|op| matches!(op, Op::Put(other, _) if *other == key)).count();
        let covers =
            |op: &Op| matches!(op, Op::Delete(from, to) if interval(*from, *to).contains(name(key).as_bytes()));
        puts > 1 || (puts == 1 && ops.iter().any(covers))
    })
}

fn request(step: &Step, model: &Model) -> Option<(Request, Result<Vec<Op>, Error>)> {
    match step {
        Step::One(op) => {
            let request = match op.request() {
                TxnOp::Put(put) => Request::Put(put),
                TxnOp::Delete(delete) => Request::Delete(delete),
                other => panic!("{other:?}"),
            };
            Some((request, Ok(vec![op.clone()])))
        }
        Step::Txn { key, version, success, failure, nested } => {
            let ops = |ops: &[Op]| ops.iter().map(Op::request).collect::<Vec<_>>();
            let target = CompareTarget::Version(*version);
            let compare = Compare { range: one(&name(*key)), target, result: CompareResult::Equal };
            let mut request = txn(vec![compare], ops(success), ops(failure));
            if *nested {
                request = txn(vec![], vec![TxnOp::Txn(request)], vec![]);
            }
            let holds = model.now().get(&name(*key)).map_or(0, |entry| entry.3) == *version;
            let expected = if has_duplicates(success) || has_duplicates(failure) {
                Err(Error::DuplicateKey)
            } else {
                Ok(if holds { success.clone() } else { failure.clone() })
            };
            Some((Request::Txn(request), expected))
        }
        Step::Compact(_) | Step::Restart => None,
    }
}

#[track_caller]
fn check_reads(mvcc: &Mvcc, model: &Model) {
    assert_eq!(mvcc.revision(), model.revision());
    let first = mvcc.compact_revision().max(1);
    for revision in first..=model.revision() {
        let request = RangeRequest { revision, ..RangeRequest::new(all()) };
        let found: Keys = mvcc
            .range(&request)
            .unwrap()
            .kvs
            .iter()
            .map(|kv| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(&kv.key), (text(&kv.value), kv.create_revision, kv.mod_revision, kv.version))
            })
            .collect();
        assert_eq!(found, model.at[revision as usize - 1], "at revision {revision}");
    }
}

/// Applying the events from any revision on to the copy at that revision must give each later copy.
#[track_caller]
fn check_watch(mvcc: &Mvcc, model: &Model) {
    let first = mvcc.compact_revision().max(1);
    let filter = EventFilter { range: all(), no_put: false, no_delete: false, prev_kv: true };
    let found = mvcc.events(&filter, first + 1).unwrap();
    let mut keys = model.at[first as usize - 1].clone();
    let mut at = first;
    for event in &found.events {
        let kv = event.kv();
        if kv.mod_revision != at {
            assert_eq!(kv.mod_revision, at + 1, "no revision is left out");
            assert_eq!(keys, model.at[at as usize - 1]);
            at = kv.mod_revision;
        }
        let key = String::from_utf8(kv.key.to_vec()).unwrap();
        if kv.version == 0 {
            assert!(keys.remove(&key).is_some());
        } else {
            let value = String::from_utf8(kv.value.to_vec()).unwrap();
            keys.insert(key, (value, kv.create_revision, kv.mod_revision, kv.version));
        }
    }
    assert_eq!(&keys, model.now());
}

fn restarted(mvcc: &Mvcc) -> Mvcc {
    let mut again = Replay::new();
    for record in mvcc.dump() {
        again.apply(T0, record).unwrap();
    }
    again.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the batches, the store is the model at every revision that can be read, and its events tell the way.
    #[test]
    fn the_store_is_the_model(steps in prop::collection::vec(step(), 1..40), batch_size in 1..6usize) {
        let mut mvcc = Mvcc::new();
        let mut model = Model { at: vec![Keys::new()] };
        for steps in steps.chunks(batch_size) {
            let mut batch = mvcc.batch(T0);
            for step in steps {
                let Some((request, expected)) = request(step, &model) else { continue };
                match (batch.evaluate(&request), expected) {
                    (Ok(response), Ok(ops)) => {
                        model.apply(&ops);
                        prop_assert_eq!(revision_of(&response), model.revision());
                    }
                    (answer, expected) => prop_assert_eq!(answer.err(), expected.err()),
                }
            }
            let pending = batch.finish();
            mvcc.apply(T0, pending);
            for step in steps {
                match step {
                    Step::Compact(index) => {
                        let revision = 1 + index.index(model.at.len()) as i64;
                        if revision > mvcc.compact_revision() {
                            mvcc.execute(T0, &Request::Compact(revision)).unwrap();
                        }
                    }
                    Step::Restart => mvcc = restarted(&mvcc),
                    Step::One(_) | Step::Txn { .. } => {}
                }
            }
            check_reads(&mvcc, &model);
            check_watch(&mvcc, &model);
        }
    }
}

fn revision_of(response: &Response) -> i64 {
    match response {
        Response::Put(put) => put.revision,
        Response::Delete(delete) => delete.revision,
        Response::Txn(txn) => txn.revision,
        other => panic!("{other:?}"),
    }
}
