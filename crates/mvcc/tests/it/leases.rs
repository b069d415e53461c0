//! Leases: time, keys and restarts.

use crate::support::*;
use flota_mvcc::{Error, Millis, Replay, Request, Response, TxnOp};

fn keep_alive(store: &mut Store, id: i64) -> i64 {
    match store.try_run(Request::LeaseKeepAlive(lease(id))) {
        Ok(Response::LeaseKeepAlive(kept)) => kept.ttl,
        other => panic!("{other:?}"),
    }
}

#[test]
fn grants_are_checked_and_short_ones_raised() {
    let mut store = Store::default();
    assert_eq!(store.grant(1, 1), 2);
    assert_eq!(store.grant(2, 0), 2);
    assert_eq!(store.grant(3, -5), 2);
    assert_eq!(store.grant(4, 9_000_000_000), 9_000_000_000);
    assert_eq!(store.try_run(Request::LeaseGrant { id: lease(1), ttl: 5 }), Err(Error::LeaseExists));
    assert_eq!(store.try_run(Request::LeaseGrant { id: lease(5), ttl: 9_000_000_001 }), Err(Error::LeaseTtlTooLarge));
    assert_eq!(store.mvcc.leases(), [lease(1), lease(2), lease(3), lease(4)]);
}

#[test]
fn a_revocation_deletes_all_keys_in_one_revision() {
    let mut store = Store::default();
    store.grant(1, 60);
    for key in ["c", "a", "b"] {
        store.put_request(put_with_lease(key, 1));
    }
    assert_eq!(store.try_run(Request::LeaseRevoke(lease(1))), Ok(Response::LeaseRevoke { revision: 5 }));
    assert_eq!(store.watch(5), ["5 delete a <leased>", "5 delete b <leased>", "5 delete c <leased>"]);
    assert_eq!(store.try_run(Request::LeaseRevoke(lease(1))), Err(Error::LeaseNotFound));
    store.grant(2, 60);
    assert_eq!(store.try_run(Request::LeaseRevoke(lease(2))), Ok(Response::LeaseRevoke { revision: 5 }));
}

#[test]
fn a_put_moves_the_key_to_its_own_lease_or_to_none() {
    let mut store = Store::default();
    store.grant(1, 60);
    store.grant(2, 60);
    store.put_request(put_with_lease("a", 1));
    store.put_request(put_with_lease("b", 1));
    store.put_request(put_with_lease("a", 2));
    store.put("b", "free");
    assert_eq!(store.mvcc.lease(T0, lease(1)).unwrap().keys, Vec::<flota_mvcc::Key>::new());
    assert_eq!(store.mvcc.lease(T0, lease(2)).unwrap().keys, [key("a")]);
    store.try_run(Request::LeaseRevoke(lease(1))).unwrap();
    assert_eq!(store.at(0), ["a=leased", "b=free"]);
}

#[test]
fn time_ends_leases_and_keep_alives_give_it_back() {
    let mut store = Store::default();
    store.grant(1, 5);
    store.grant(2, 9);
    assert_eq!(store.mvcc.next_deadline(), Some(Millis(5000)));
    store.now = Millis(4000);
    assert_eq!(store.mvcc.lease(store.now, lease(1)).unwrap().ttl, 1);
    assert_eq!(keep_alive(&mut store, 1), 5);
    assert_eq!(store.mvcc.next_deadline(), Some(Millis(9000)));
    assert_eq!(store.mvcc.expired(Millis(8999)), []);
    assert_eq!(store.mvcc.expired(Millis(9000)), [lease(1), lease(2)]);
    assert_eq!(keep_alive(&mut store, 404), 0);
    assert_eq!(store.mvcc.lease(store.now, lease(404)), None);
}

#[test]
fn keep_alive_of_a_revoked_or_ended_lease_is_not_answered_ok() {
    let mut store = Store::default();
    store.grant(1, 5);
    store.now = Millis(5000);
    assert_eq!(keep_alive(&mut store, 1), 0, "ended, though not revoked yet");
    let mut batch = store.mvcc.batch(T0);
    batch.evaluate(&Request::LeaseRevoke(lease(1))).unwrap();
    let kept = batch.evaluate(&Request::LeaseKeepAlive(lease(1))).unwrap();
    assert!(matches!(kept, Response::LeaseKeepAlive(kept) if kept.ttl == 0), "revoked earlier in the same batch");
}

#[test]
fn a_batch_revokes_exactly_the_keys_that_it_left_attached() {
    let mut store = Store::default();
    store.grant(1, 60);
    for key in ["stays", "moves", "goes"] {
        store.put_request(put_with_lease(key, 1));
    }
    let mut batch = store.mvcc.batch(T0);
    for request in [
        Request::Put(put("moves", "free")),
        Request::Delete(delete(one("goes"))),
        Request::Put(put_with_lease("new", 1)),
        Request::LeaseRevoke(lease(1)),
    ] {
        batch.evaluate(&request).unwrap();
    }
    assert_eq!(batch.evaluate(&Request::Put(put_with_lease("late", 1))), Err(Error::LeaseNotFound));
    let pending = batch.finish();
    store.mvcc.apply(T0, pending);
    assert_eq!(store.at(0), ["moves=free"]);
    assert_eq!(store.watch(8), ["8 delete new <leased>", "8 delete stays <leased>"]);
}

#[test]
fn after_a_restart_leases_have_their_full_time_and_revoked_ones_stay_gone() {
    let mut store = Store::default();
    store.grant(1, 10);
    store.grant(2, 10);
    store.put_request(put_with_lease("a", 1));
    store.put_request(put_with_lease("b", 2));
    store.try_run(Request::LeaseRevoke(lease(2))).unwrap();
    store.txn(txn(vec![], vec![TxnOp::Put(put_with_lease("c", 1))], vec![]));
    let mut again = Replay::new();
    for record in store.mvcc.dump() {
        again.apply(T0, record).unwrap();
    }
    let mut again = again.finish();
    again.renew_leases(Millis(70_000));
    assert_eq!(again.leases(), [lease(1)]);
    let status = again.lease(Millis(70_000), lease(1)).unwrap();
    assert_eq!((status.ttl, status.keys), (10, vec![key("a"), key("c")]));
    assert_eq!(again.next_deadline(), Some(Millis(80_000)));
}
