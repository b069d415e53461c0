//! Bugs that etcd had, and that this store must not have.

use crate::support::*;
use flota_mvcc::{
    Error, EventFilter, MAX_CATCH_UP_REVISIONS, Mvcc, PutRequest, RangeRequest, Record, Replay, Request, TxnOp,
};

fn restarted(store: &Store) -> Store {
    let mut again = Replay::new();
    for record in store.mvcc.dump() {
        again.apply(T0, record).unwrap();
    }
    Store { mvcc: again.finish(), ..Store::default() }
}

/// etcd 17780: the revision went backwards after a crash in a compaction.
#[test]
fn the_revision_survives_a_compaction_of_everything_and_a_restart() {
    let mut store = Store::default();
    store.put("a", "1");
    store.delete(one("a"));
    store.compact(3);
    let mut again = restarted(&store);
    assert_eq!((again.mvcc.revision(), again.mvcc.compact_revision()), (3, 3));
    assert_eq!(again.put("b", "1").revision, 4);
}

/// etcd 18089: a delete event was lost when the compaction hit its revision.
#[test]
fn a_delete_at_the_compacted_revision_keeps_its_event() {
    let mut store = Store::default();
    store.put("a", "1");
    store.delete(one("a"));
    store.put("b", "1");
    store.compact(3);
    for store in [&store, &restarted(&store)] {
        assert_eq!(store.watch(3), ["3 delete a", "4 put b"]);
        assert_eq!(store.at(3), Vec::<String>::new());
    }
}

/// etcd 19179: a watch from the compacted revision missed its deletes.
#[test]
fn a_watch_from_the_compacted_revision_sees_all_of_it() {
    let mut store = Store::default();
    store.put("a", "1");
    store.put("b", "1");
    store.txn(txn(vec![], vec![TxnOp::Delete(delete(one("a"))), TxnOp::Put(put("b", "2"))], vec![]));
    store.compact(4);
    for store in [&store, &restarted(&store)] {
        assert_eq!(store.watch(4), ["4 delete a", "4 put b"], "previous versions are compacted");
        assert_eq!(store.try_watch(3), Err(Error::Compacted));
    }
}

/// etcd 17247: duplicate events after a transaction. etcd 17529: events lost under a slow watch.
#[test]
fn etcd_17247_a_watch_in_steps_sees_each_event_once_and_never_half_a_revision() {
    let mut store = Store::default();
    let revisions = 2 * MAX_CATCH_UP_REVISIONS + 10;
    for n in 0..revisions {
        let ops = vec![TxnOp::Put(put("a", &n.to_string())), TxnOp::Put(put("b", &n.to_string()))];
        store.txn(txn(vec![], ops, vec![]));
    }
    let filter = EventFilter { range: all(), no_put: false, no_delete: false, prev_kv: false };
    let (mut next, mut seen, mut steps) = (2, Vec::new(), 0);
    while next <= store.mvcc.revision() {
        let step = store.mvcc.events(&filter, next).unwrap();
        let last = step.events.last().unwrap().kv().mod_revision;
        assert_eq!(last + 1, step.next, "the step ends with a whole revision");
        seen.extend(step.events.iter().map(|event| (event.kv().mod_revision, event.kv().key.clone())));
        (next, steps) = (step.next, steps + 1);
    }
    let expected = (2..2 + revisions as i64).flat_map(|revision| [(revision, key("a")), (revision, key("b"))]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
    assert_eq!(steps, 3);
}

#[test]
fn a_step_with_large_values_ends_early_but_never_in_a_revision() {
    let mut store = Store::default();
    for _ in 0..8 {
        store.put_request(PutRequest { value: vec![7; 400_000], ..put("a", "") });
    }
    let filter = EventFilter { range: all(), no_put: false, no_delete: false, prev_kv: false };
    let step = store.mvcc.events(&filter, 2).unwrap();
    assert_eq!((step.events.len(), step.next), (3, 5));
}

/// etcd 15220: progress was told ahead of events. The state machine's part: `next` never passes what was read.
#[test]
fn a_watch_from_the_future_waits_without_seeing_older_events() {
    let mut store = Store::default();
    store.put("a", "1");
    let filter = EventFilter { range: all(), no_put: false, no_delete: false, prev_kv: false };
    let step = store.mvcc.events(&filter, 5).unwrap();
    assert_eq!((step.events.len(), step.next), (0, 5));
    for value in ["2", "3", "4", "5"] {
        store.put("a", value);
    }
    assert_eq!(store.watch(5), ["5 put a <3>", "6 put a <4>"]);
}

/// etcd 18667: a range inside a transaction read a compacted revision.
#[test]
fn etcd_18667_a_range_in_a_txn_at_a_compacted_revision_is_refused() {
    let mut store = Store::default();
    for value in ["1", "2", "3"] {
        store.put("a", value);
    }
    store.compact(3);
    let old = TxnOp::Range(RangeRequest { revision: 2, ..RangeRequest::new(all()) });
    let refused = store.try_run(Request::Txn(txn(vec![], vec![TxnOp::Put(put("b", "")), old.clone()], vec![])));
    assert_eq!(refused, Err(Error::Compacted));
    assert_eq!(store.mvcc.read_txn(T0, &txn(vec![], vec![old], vec![])), Err(Error::Compacted));
    assert_eq!(store.at(0), ["a=3"]);
}

#[test]
fn compacting_is_checked_and_keeps_what_is_still_visible() {
    let mut store = Store::default();
    store.put("a", "1");
    store.put("b", "1");
    store.put("a", "2");
    assert_eq!(store.try_run(Request::Compact(5)), Err(Error::FutureRevision));
    store.compact(3);
    assert_eq!(store.try_run(Request::Compact(3)), Err(Error::Compacted));
    assert_eq!(store.at(3), ["a=1", "b=1"], "the first version of a is the newest at 3");
    store.compact(4);
    assert_eq!(store.at(4), ["a=2", "b=1"]);
    assert_eq!(store.mvcc.bytes(), 4);
}

#[test]
fn records_out_of_order_are_refused() {
    let mut mvcc = Mvcc::new();
    let commit = |revision| Record::Commit { revision, changes: vec![] };
    assert!(mvcc.replay(T0, commit(3)).is_err());
    assert!(mvcc.replay(T0, commit(2)).is_ok());
    assert!(mvcc.replay(T0, commit(2)).is_err());
    assert!(mvcc.replay(T0, Record::Compact(3)).is_err());
}
