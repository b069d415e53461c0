//! etcd's rules for keys, ranges and transactions.

use crate::support::*;
use flota_mvcc::{
    Compare, CompareResult, CompareTarget, Error, KeyRange, MAX_REQUEST_BYTES, PutRequest, RangeRequest, Request,
    Response, Retention, SortOrder, SortTarget, TxnOp,
};

#[test]
fn a_fresh_store_is_at_revision_1_and_the_first_write_makes_2() {
    let mut store = Store::default();
    assert_eq!(store.mvcc.revision(), 1);
    assert_eq!(store.put("a", "1").revision, 2);
}

#[test]
fn versions_count_from_creation_and_start_again_after_a_delete() {
    let mut store = Store::default();
    store.put("a", "1");
    store.put("a", "2");
    assert_eq!(store.delete(one("a")).deleted, 1);
    store.put("a", "3");
    let kv = store.mvcc.range(&RangeRequest::new(one("a"))).unwrap().kvs[0].clone();
    assert_eq!((kv.version, kv.create_revision, kv.mod_revision), (1, 5, 5));
}

#[test]
fn a_delete_of_nothing_makes_no_revision() {
    let mut store = Store::default();
    let deleted = store.delete(all());
    assert_eq!((deleted.deleted, deleted.revision, store.mvcc.revision()), (0, 1, 1));
}

#[test]
fn ranges_are_one_key_an_interval_a_prefix_or_everything() {
    let mut store = Store::default();
    for name in ["a", "aa", "ab", "b", "\u{7f}"] {
        store.put(name, "");
    }
    #[track_caller]
    fn check(store: &Store, range: KeyRange, keys: &[&str]) {
        let found = store.mvcc.range(&RangeRequest::new(range)).unwrap();
        let found: Vec<_> = found.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect();
        assert_eq!(found, keys);
    }
    check(&store, one("a"), &["a"]);
    check(&store, one("zz"), &[]);
    check(&store, between("a", "b"), &["a", "aa", "ab"]);
    check(&store, between("b", "a"), &[]);
    check(&store, between("b", "b"), &[]);
    check(&store, KeyRange::new(b"ab", b"\0"), &["ab", "b", "\u{7f}"]);
    check(&store, all(), &["a", "aa", "ab", "b", "\u{7f}"]);
    check(&store, KeyRange::prefix(b"a"), &["a", "aa", "ab"]);
    assert_eq!(KeyRange::prefix(b"a\xff"), KeyRange::new(b"a\xff", b"b"));
    assert_eq!(KeyRange::prefix(b"\xff"), KeyRange::From(b"\xff".as_slice().into()));
}

#[test]
fn an_empty_key_is_refused_everywhere() {
    let mut store = Store::default();
    assert_eq!(store.mvcc.range(&RangeRequest::new(one(""))), Err(Error::EmptyKey));
    assert_eq!(store.try_run(Request::Put(put("", "x"))), Err(Error::EmptyKey));
    assert_eq!(store.try_run(Request::Delete(delete(one("")))), Err(Error::EmptyKey));
    let nested = txn(vec![], vec![TxnOp::Txn(txn(vec![], vec![TxnOp::Put(put("", ""))], vec![]))], vec![]);
    assert_eq!(store.try_run(Request::Txn(nested)), Err(Error::EmptyKey));
    assert_eq!(store.try_run(Request::Txn(txn(vec![version_is("", 0)], vec![], vec![]))), Err(Error::EmptyKey));
}

#[test]
fn revisions_to_read_at_are_now_past_compacted_or_future() {
    let mut store = Store::default();
    for value in ["1", "2", "3"] {
        store.put("a", value);
    }
    store.compact(3);
    assert_eq!(store.at(0), ["a=3"]);
    assert_eq!(store.at(-7), ["a=3"]);
    assert_eq!(store.at(3), ["a=2"], "the compacted revision itself can be read");
    let at = |revision| store.mvcc.range(&RangeRequest { revision, ..RangeRequest::new(all()) });
    assert_eq!(at(2), Err(Error::Compacted));
    assert_eq!(at(5), Err(Error::FutureRevision));
}

#[test]
fn limits_counts_filters_and_order() {
    let mut store = Store::default();
    for (key, value) in [("a", "3"), ("b", "1"), ("c", "2"), ("b", "4")] {
        store.put(key, value);
    }
    #[track_caller]
    fn check(store: &Store, request: RangeRequest, keys: &str, count: i64, more: bool) {
        let found = store.mvcc.range(&request).unwrap();
        let names: String = found.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect();
        assert_eq!((names.as_str(), found.count, found.more), (keys, count, more), "{request:?}");
    }
    let plain = || RangeRequest::new(all());
    check(&store, RangeRequest { limit: 2, ..plain() }, "ab", 3, true);
    check(&store, RangeRequest { limit: 3, ..plain() }, "abc", 3, false);
    check(&store, RangeRequest { limit: -1, ..plain() }, "abc", 3, false);
    check(&store, RangeRequest { count_only: true, ..plain() }, "", 3, false);
    check(&store, RangeRequest { sort_order: SortOrder::Descend, limit: 2, ..plain() }, "cb", 3, true);
    let by = |sort_target, sort_order| RangeRequest { sort_target, sort_order, ..plain() };
    check(&store, by(SortTarget::Mod, SortOrder::Ascend), "acb", 3, false);
    check(&store, by(SortTarget::Value, SortOrder::Ascend), "cab", 3, false);
    check(&store, by(SortTarget::Create, SortOrder::Descend), "cba", 3, false);
    check(&store, by(SortTarget::Version, SortOrder::Descend), "bac", 3, false);
    // Without an order only one pair more than the limit is sorted: c, which has the least value, is cut off first or comes first.
    check(&store, RangeRequest { limit: 1, ..by(SortTarget::Value, SortOrder::None) }, "a", 3, true);
    check(&store, RangeRequest { limit: 2, ..by(SortTarget::Value, SortOrder::None) }, "ca", 3, true);
    check(&store, RangeRequest { min_mod_revision: 4, ..plain() }, "bc", 3, false);
    check(&store, RangeRequest { max_mod_revision: 4, limit: 1, ..plain() }, "a", 3, true);
    check(&store, RangeRequest { min_create_revision: 3, max_create_revision: 3, ..plain() }, "b", 3, false);
}

#[test]
fn put_can_keep_the_value_or_the_lease() {
    let mut store = Store::default();
    store.grant(7, 60);
    let keep_value = PutRequest { ignore_value: true, ..put_with_lease("a", 7) };
    let keep_value = PutRequest { value: vec![], ..keep_value };
    assert_eq!(store.try_run(Request::Put(keep_value.clone())), Err(Error::KeyNotFound));
    store.put("a", "1");
    store.put_request(keep_value.clone());
    store.put_request(PutRequest { ignore_lease: true, prev_kv: true, ..put("a", "2") });
    let kv = store.mvcc.range(&RangeRequest::new(one("a"))).unwrap().kvs[0].clone();
    assert_eq!((&*kv.value, kv.lease, kv.version), (b"2".as_slice(), Some(lease(7)), 3));
    let with_value = PutRequest { value: b"x".to_vec(), ..keep_value };
    assert_eq!(store.try_run(Request::Put(with_value)), Err(Error::ValueProvided));
    let with_lease = PutRequest { ignore_lease: true, ..put_with_lease("a", 7) };
    assert_eq!(store.try_run(Request::Put(with_lease)), Err(Error::LeaseProvided));
    assert_eq!(store.try_run(Request::Put(put_with_lease("a", 8))), Err(Error::LeaseNotFound));
}

#[test]
fn too_large_requests_are_refused() {
    let mut store = Store::default();
    let huge = PutRequest { value: vec![0; MAX_REQUEST_BYTES], ..put("a", "") };
    assert_eq!(store.try_run(Request::Put(huge)), Err(Error::RequestTooLarge));
    let largest = PutRequest { value: vec![0; MAX_REQUEST_BYTES - 1], ..put("a", "") };
    assert!(store.try_run(Request::Put(largest)).is_ok());
}

#[test]
fn a_txn_is_one_revision_and_later_operations_see_earlier_ones() {
    let mut store = Store::default();
    store.put("x", "0");
    let ops = vec![
        TxnOp::Range(RangeRequest::new(all())),
        TxnOp::Put(put("a", "1")),
        TxnOp::Put(put("b", "2")),
        TxnOp::Range(RangeRequest::new(all())),
        TxnOp::Range(RangeRequest { revision: 2, ..RangeRequest::new(all()) }),
        TxnOp::Delete(delete(one("x"))),
    ];
    let done = store.txn(txn(vec![], ops, vec![]));
    assert_eq!((done.revision, store.mvcc.revision()), (3, 3));
    let counts: Vec<(i64, i64)> = done
        .responses
        .iter()
        .filter_map(
            |response| if let Response::Range(range) = response { Some((range.count, range.revision)) } else { None },
        )
        .collect();
    assert_eq!(counts, [(1, 2), (3, 3), (1, 3)]);
    assert_eq!(store.at(0), ["a=1", "b=2"]);
    assert_eq!(store.watch(3), ["3 put a", "3 put b", "3 delete x <0>"]);
}

#[test]
fn a_txn_that_writes_nothing_has_no_revision() {
    let mut store = Store::default();
    let done =
        store.txn(txn(vec![version_is("a", 1)], vec![TxnOp::Put(put("a", ""))], vec![TxnOp::Delete(delete(all()))]));
    assert!(!done.succeeded);
    assert_eq!((done.revision, store.mvcc.revision()), (1, 1));
}

#[test]
fn compares_of_all_targets() {
    let mut store = Store::default();
    store.grant(9, 60);
    store.put("a", "1");
    store.put_request(PutRequest { value: b"m".to_vec(), ..put_with_lease("a", 9) });
    store.put("b", "z");
    #[track_caller]
    fn check(store: &mut Store, range: KeyRange, target: CompareTarget, result: CompareResult, holds: bool) {
        let compare = Compare { range, target, result };
        let done = store.txn(txn(vec![compare.clone()], vec![], vec![]));
        assert_eq!(done.succeeded, holds, "{compare:?}");
    }
    use CompareResult::{Equal, Greater, Less, NotEqual};
    use CompareTarget::{Create, Lease, Mod, Value, Version};
    for (target, low, high) in [
        (Version(2), Version(1), Version(3)),
        (Create(2), Create(1), Create(3)),
        (Mod(3), Mod(2), Mod(4)),
        (Lease(9), Lease(8), Lease(10)),
    ] {
        check(&mut store, one("a"), target.clone(), Equal, true);
        check(&mut store, one("a"), target, NotEqual, false);
        check(&mut store, one("a"), low.clone(), Greater, true);
        check(&mut store, one("a"), low, Less, false);
        check(&mut store, one("a"), high.clone(), Less, true);
        check(&mut store, one("a"), high, NotEqual, true);
    }
    check(&mut store, one("a"), Value(b"m".to_vec()), Equal, true);
    check(&mut store, one("a"), Value(b"n".to_vec()), Less, true);
    check(&mut store, one("none"), Version(0), Equal, true);
    check(&mut store, one("none"), Lease(0), Equal, true);
    check(&mut store, one("none"), Value(vec![]), Equal, false);
    check(&mut store, one("none"), Value(b"x".to_vec()), NotEqual, false);
    check(&mut store, all(), Version(0), Greater, true);
    check(&mut store, all(), Version(1), Greater, false);
    check(&mut store, between("x", "y"), Version(0), Equal, true);
}

#[test]
fn compares_are_decided_for_the_whole_tree_before_anything_runs() {
    let mut store = Store::default();
    let inner = txn(vec![version_is("a", 0)], vec![TxnOp::Put(put("b", "unseen"))], vec![TxnOp::Put(put("b", "seen"))]);
    store.txn(txn(vec![], vec![TxnOp::Put(put("a", "1")), TxnOp::Txn(inner)], vec![]));
    assert_eq!(store.at(0), ["a=1", "b=unseen"]);
}

#[test]
fn txn_limits_count_down_through_nesting() {
    let mut store = Store::default();
    let gets = |count| vec![TxnOp::Range(RangeRequest::new(one("a"))); count];
    assert!(store.try_run(Request::Txn(txn(vec![], gets(128), vec![]))).is_ok());
    assert_eq!(store.try_run(Request::Txn(txn(vec![], gets(129), vec![]))), Err(Error::TooManyOps));
    assert_eq!(store.try_run(Request::Txn(txn(vec![version_is("a", 0); 129], vec![], vec![]))), Err(Error::TooManyOps));
    let nested = |count| txn(vec![], vec![TxnOp::Txn(txn(vec![], gets(count), vec![]))], vec![]);
    assert!(store.try_run(Request::Txn(nested(127))).is_ok());
    assert_eq!(store.try_run(Request::Txn(nested(128))), Err(Error::TooManyOps));
    let mut deep = txn(vec![], vec![], vec![]);
    for _ in 0..129 {
        deep = txn(vec![], vec![TxnOp::Txn(deep)], vec![]);
    }
    assert_eq!(store.try_run(Request::Txn(deep)), Err(Error::TooManyOps));
}

#[test]
fn a_key_is_written_once_in_a_branch() {
    #[track_caller]
    fn check(success: Vec<TxnOp>, allowed: bool) {
        let answer = Store::default().try_run(Request::Txn(txn(vec![], success.clone(), vec![])));
        let expected = if allowed { None } else { Some(Error::DuplicateKey) };
        assert_eq!(answer.err(), expected, "{success:?}");
    }
    let put = |key| TxnOp::Put(put(key, ""));
    let del = |start, end| TxnOp::Delete(delete(between(start, end)));
    let nest = |success, failure| TxnOp::Txn(txn(vec![], success, failure));
    check(vec![put("a"), put("a")], false);
    check(vec![put("a"), put("b")], true);
    check(vec![put("b"), del("a", "c")], false);
    check(vec![del("a", "c"), put("b")], false);
    check(vec![del("a", "c"), put("c")], true);
    check(vec![del("a", "c"), del("b", "d"), put("c")], false);
    check(vec![del("a", ""), put("a")], false);
    check(vec![del("a", "\0"), put("zz")], false);
    check(vec![del("a", "b"), del("a", "b")], true);
    check(vec![put("a"), nest(vec![put("a")], vec![])], false);
    check(vec![put("a"), nest(vec![], vec![put("a")])], false);
    check(vec![nest(vec![put("a")], vec![put("a")])], true);
    check(vec![nest(vec![put("a")], vec![]), nest(vec![put("a")], vec![])], false);
    check(vec![nest(vec![del("a", "c")], vec![]), put("b")], false);
}

#[test]
fn a_refused_txn_changes_nothing() {
    let mut store = Store::default();
    store.put("a", "1");
    let bad =
        [TxnOp::Put(put_with_lease("c", 404)), TxnOp::Range(RangeRequest { revision: 99, ..RangeRequest::new(all()) })];
    for op in bad {
        let ops = vec![TxnOp::Put(put("b", "1")), TxnOp::Delete(delete(one("a"))), op];
        assert!(store.try_run(Request::Txn(txn(vec![], ops, vec![]))).is_err());
        assert_eq!((store.at(0), store.mvcc.revision()), (vec!["a=1".to_owned()], 2));
    }
}

#[test]
fn requests_of_a_batch_see_each_other_and_readers_see_none_of_them() {
    let mut store = Store::default();
    let mut batch = store.mvcc.batch(T0);
    let first = batch.evaluate(&Request::Put(put("a", "1"))).unwrap();
    let create = txn(vec![version_is("a", 0)], vec![TxnOp::Put(put("a", "2"))], vec![]);
    let second = batch.evaluate(&Request::Txn(create)).unwrap();
    assert!(matches!(first, Response::Put(put) if put.revision == 2));
    assert!(matches!(second, Response::Txn(txn) if !txn.succeeded && txn.revision == 2));
    let pending = batch.finish();
    assert_eq!((store.at(0), store.mvcc.revision()), (vec![], 1));
    let commits = store.mvcc.apply(T0, pending);
    assert_eq!(commits.len(), 1);
    assert_eq!(store.at(0), ["a=1"]);
}

#[test]
fn old_history_is_compacted_by_itself() {
    let mut store = Store::default();
    for minute in 0..30 {
        store.now = flota_mvcc::Millis(minute * 60_000);
        for _ in 0..1000 {
            store.put("a", "x");
        }
        if let Some(revision) = store.mvcc.compaction_due(store.now) {
            store.compact(revision);
        }
    }
    let (revision, compacted) = (store.mvcc.revision(), store.mvcc.compact_revision());
    assert!(compacted <= revision - 10_000);
    assert!(compacted >= revision - 10_000 - 4000, "{compacted} of {revision}");
    assert!(store.mvcc.bytes() < 40_000);
}

/// How far behind the last revision a store stays compacted that has 100 writes in each of 600 seconds.
fn left_after_ten_minutes(retention: Retention) -> i64 {
    let mut store = Store::default();
    store.mvcc.set_limits(flota_mvcc::Limits { retention, ..Default::default() });
    for second in 0..600 {
        store.now = flota_mvcc::Millis(second * 1000);
        for _ in 0..100 {
            store.put("a", "x");
        }
        if let Some(revision) = store.mvcc.compaction_due(store.now) {
            store.compact(revision);
        }
    }
    store.mvcc.revision() - store.mvcc.compact_revision()
}

#[test]
fn as_much_history_is_kept_as_was_asked_for() {
    let minute = left_after_ten_minutes(Retention { age: 60_000, revisions: 0 });
    assert!((6_000..8_000).contains(&minute), "{minute}");
    let thousand = left_after_ten_minutes(Retention { age: 0, revisions: 1_000 });
    assert!((1_000..2_500).contains(&thousand), "{thousand}");
}
