//! What passes, what does not, and what becomes of what goes across.

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbEvent, PbKeyValue, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbPutRequest,
    PbRangeRequest, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp, PbTxnResponse, PbWatchRequest,
    PbWatchRequestUnion, PbWatchResponse,
};
use flota_registry::LeaseId;
use proptest::prelude::*;

use super::*;

fn keys(key: &[u8], range_end: &[u8]) -> Keys {
    Keys { key: key.to_vec(), range_end: range_end.to_vec() }
}

#[test]
fn a_range_is_cut_where_the_reserved_keys_are() {
    let before = || keys(b"/a", b"/flota/");
    for (key, range_end, expected) in [
        (&b"/a"[..], &b""[..], Beside::Whole),
        (b"/flota", b"", Beside::Whole),
        (b"/flota0", b"", Beside::Whole),
        (b"//flota/x", b"", Beside::Whole),
        (b"/flota/", b"", Beside::Nothing),
        (b"/flota/v1/leader", b"", Beside::Nothing),
        (b"/flota/\xff\xff", b"", Beside::Nothing),
        (b"/a", b"/b", Beside::Whole),
        (b"/a", b"/flota/", Beside::Whole),
        (b"/flota0", b"\0", Beside::Whole),
        (b"/flota/", b"/flota0", Beside::Nothing),
        (b"/flota/v1/", b"/flota/v10", Beside::Nothing),
        (b"/flota/v1/units/a", b"/flota/v1/units/b", Beside::Nothing),
        // Without keys, wherever: the store answers it like any other.
        (b"/flota/x", b"/flota/x", Beside::Whole),
        (b"/flota/x", b"/flota/a", Beside::Whole),
        (b"/z", b"/a", Beside::Whole),
        (b"/a", b"/flota/v1", Beside::Part(before())),
        (b"/a", b"/flota0", Beside::Part(before())),
        (b"/flota/v1", b"/z", Beside::Part(keys(b"/flota0", b"/z"))),
        (b"/flota/", b"\0", Beside::Part(keys(b"/flota0", b"\0"))),
        (b"/a", b"/z", Beside::Two(before(), keys(b"/flota0", b"/z"))),
        (b"\0", b"\0", Beside::Two(keys(b"\0", b"/flota/"), keys(b"/flota0", b"\0"))),
        (b"/flota", b"/flota0\0", Beside::Two(keys(b"/flota", b"/flota/"), keys(b"/flota0", b"/flota0\0"))),
        (b"/", b"0", Beside::Two(keys(b"/", b"/flota/"), keys(b"/flota0", b"0"))),
    ] {
        assert_eq!(beside(key, range_end), expected, "{} {}", key.escape_ascii(), range_end.escape_ascii());
    }
}

/// Whether a store counts a key to a range.
fn holds(Keys { key, range_end }: &Keys, candidate: &[u8]) -> bool {
    match range_end.as_slice() {
        [] => candidate == key,
        [0] => candidate >= key.as_slice(),
        end => candidate >= key.as_slice() && candidate < end,
    }
}

proptest! {
    #[test]
    fn what_is_beside_is_the_range_without_the_reserved_keys(
        key in "[/flota0a-z]{0,9}|/flota[/0]?[a-z]{0,2}",
        range_end in "|\0|[/flota0a-z]{1,9}|/flota[/0]?[a-z]{0,2}",
        candidate in "[/flota0a-z]{1,9}|/flota[/0]?[a-z]{0,3}",
    ) {
        let asked = keys(key.as_bytes(), range_end.as_bytes());
        let candidate = candidate.as_bytes();
        let parts = match beside(&asked.key, &asked.range_end) {
            Beside::Whole => vec![asked.clone()],
            Beside::Part(part) => vec![part],
            Beside::Two(before, behind) => vec![before, behind],
            Beside::Nothing => Vec::new(),
        };
        let found = parts.iter().filter(|part| holds(part, candidate)).count();
        let expected = holds(&asked, candidate) && !is_reserved(candidate);
        prop_assert_eq!(found, usize::from(expected), "{:?} {:?}", parts, candidate);
    }
}

fn op(request: PbTxnOpRequest) -> PbTxnRequestOp {
    PbTxnRequestOp { request: Some(request) }
}

fn success(ops: Vec<PbTxnOpRequest>) -> PbTxnRequest {
    PbTxnRequest { success: ops.into_iter().map(op).collect(), ..PbTxnRequest::default() }
}

fn put_of(key: &str) -> PbTxnOpRequest {
    PbTxnOpRequest::RequestPut(PbPutRequest { key: key.into(), ..PbPutRequest::default() })
}

fn delete_of(key: &[u8], range_end: &[u8]) -> PbTxnOpRequest {
    let (key, range_end) = (key.to_vec(), range_end.to_vec());
    PbTxnOpRequest::RequestDeleteRange(PbDeleteRequest { key, range_end, prev_kv: false })
}

fn within(levels: usize, innermost: PbTxnOpRequest) -> PbTxnRequest {
    (1..levels).fold(success(vec![innermost]), |inner, _| success(vec![PbTxnOpRequest::RequestTxn(inner)]))
}

#[test]
fn a_transaction_is_refused_wherever_in_it_a_reserved_key_is() {
    let leader = "/flota/v1/leader";
    let read = PbRangeRequest { key: leader.into(), ..PbRangeRequest::default() };
    for operation in [put_of(leader), delete_of(leader.as_bytes(), b""), PbTxnOpRequest::RequestRange(read)] {
        for levels in [1, 2, MAX_TXN_DEPTH] {
            let wrapped = within(levels, operation.clone());
            let otherwise = PbTxnRequest { failure: wrapped.success.clone(), ..PbTxnRequest::default() };
            assert_eq!(txn(wrapped), Err(Refusal::Reserved), "{levels}");
            assert_eq!(txn(otherwise), Err(Refusal::Reserved), "{levels}");
        }
    }
    let comparing = |key: &[u8], range_end: &[u8]| PbTxnRequest {
        compare: vec![PbCompare { key: key.to_vec(), range_end: range_end.to_vec(), ..PbCompare::default() }],
        ..PbTxnRequest::default()
    };
    assert_eq!(txn(comparing(leader.as_bytes(), b"")), Err(Refusal::Reserved));
    assert_eq!(txn(comparing(b"/flota/", b"/flota0")), Err(Refusal::Reserved));
    assert_eq!(txn(comparing(b"\0", b"\0")), Err(Refusal::CompareAcross));
    let nested = success(vec![PbTxnOpRequest::RequestTxn(comparing(leader.as_bytes(), b""))]);
    assert_eq!(txn(nested), Err(Refusal::Reserved));
    let cut = txn(comparing(b"/a", b"/flota/v1")).unwrap().request;
    assert_eq!(cut.compare[0].range_end, b"/flota/");
}

#[test]
fn transactions_are_nested_to_a_bound() {
    assert!(txn(within(MAX_TXN_DEPTH, put_of("/a"))).is_ok());
    assert_eq!(txn(within(MAX_TXN_DEPTH + 1, put_of("/a"))), Err(Refusal::TooManyOps));
}

#[test]
fn an_answer_of_another_form_than_the_request_is_not_read() {
    let plan = txn(success(vec![delete_of(&[0], &[0]), put_of("/a")])).unwrap();
    assert_eq!(plan.request.success.len(), 3);
    let deleted = || etcd_client::proto::PbResponseOp {
        response: Some(PbTxnOpResponse::ResponseDeleteRange(Default::default())),
    };
    let put = || etcd_client::proto::PbResponseOp { response: Some(PbTxnOpResponse::ResponsePut(Default::default())) };
    let answer = |responses| PbTxnResponse { succeeded: true, responses, ..PbTxnResponse::default() };
    assert_eq!(plan.restore(answer(vec![deleted(), deleted(), put()])).unwrap().responses.len(), 2);
    for wrong in
        [vec![], vec![deleted(), put()], vec![deleted(), put(), put()], vec![deleted(), deleted(), put(), put()]]
    {
        assert_eq!(plan.restore(answer(wrong)), None);
    }
}

#[test]
fn an_order_that_etcd_does_not_know_is_refused() {
    let request = |sort_order, sort_target| PbRangeRequest { sort_order, sort_target, ..PbRangeRequest::default() };
    for (order, target) in [(3, 0), (-1, 0), (0, 5), (1, -1)] {
        assert_eq!(range(request(order, target)), Err(Refusal::InvalidSort));
    }
    assert!(range(request(2, 4)).is_ok());
}

#[test]
fn keep_alives_of_reserved_leases_are_answered_in_their_turn() {
    let own = LeaseId::own(7).0;
    let mut policy = KeepAlivePolicy::default();
    let mut ask = |id| policy.request(PbLeaseKeepAliveRequest { id }).unwrap().id;
    let asked = [5, own, 0, 6, own + 1].map(&mut ask);
    assert_eq!(asked, [5, NO_LEASE, NO_LEASE, 6, NO_LEASE]);
    let mut told = |id| policy.response(PbLeaseKeepAliveResponse { id, ..PbLeaseKeepAliveResponse::default() }).id;
    assert_eq!(asked.map(&mut told), [5, own, 0, 6, own + 1]);

    for _ in 0..MAX_OUTSTANDING {
        policy.request(PbLeaseKeepAliveRequest { id: own }).unwrap();
    }
    assert_eq!(policy.request(PbLeaseKeepAliveRequest { id: own }), Err(Refusal::TooManyOutstanding));
}

// === Watches ===

fn create(key: &[u8], range_end: &[u8]) -> PbWatchRequest {
    let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
    if let PbWatchRequestUnion::CreateRequest(create) = &mut union {
        create.key = key.to_vec();
        create.range_end = range_end.to_vec();
    }
    PbWatchRequest { request_union: Some(union) }
}

fn created(watch_id: i64) -> PbWatchResponse {
    PbWatchResponse { watch_id, created: true, ..PbWatchResponse::default() }
}

fn events(watch_id: i64, fragment: bool, keys: &[&str]) -> PbWatchResponse {
    let event = |key: &&str| {
        let kv = |value: &str| Some(PbKeyValue { key: (*key).into(), value: value.into(), ..PbKeyValue::default() });
        PbEvent { r#type: 0, kv: kv("new"), prev_kv: kv("old") }
    };
    PbWatchResponse { watch_id, fragment, events: keys.iter().map(event).collect(), ..PbWatchResponse::default() }
}

#[test]
fn events_of_reserved_keys_are_left_out_with_their_old_values() {
    let mut policy = WatchPolicy::default();
    policy.request(create(&[0], &[0])).unwrap();
    policy.response(created(0)).unwrap();
    let mixed = policy.response(events(0, false, &["/a", "/flota/v1/leader", "/flota0"])).unwrap();
    assert_eq!(mixed, events(0, false, &["/a", "/flota0"]));
    assert_eq!(policy.response(events(0, false, &["/flota/v1/leader", "/flota/x"])), None);
    // What never had events is progress.
    assert_eq!(policy.response(events(0, false, &[])), Some(events(0, false, &[])));
}

#[test]
fn a_response_in_parts_has_an_end_also_when_its_last_part_is_left_out() {
    let mut policy = WatchPolicy::default();
    let secret = &["/flota/x"][..];
    assert_eq!(policy.response(events(0, true, secret)), None);
    assert_eq!(policy.response(events(0, false, secret)), None, "nothing was begun");
    assert!(policy.response(events(0, true, &["/a"])).is_some());
    assert_eq!(policy.response(events(1, false, secret)), None, "another watch");
    assert_eq!(policy.response(events(0, true, secret)), None);
    assert_eq!(policy.response(events(0, false, secret)), Some(events(0, false, &[])));
    assert_eq!(policy.response(events(0, false, secret)), None);
}

#[test]
fn a_stream_has_a_bounded_number_of_watches() {
    let mut policy = WatchPolicy::default();
    for id in 0..MAX_OUTSTANDING {
        policy.request(create(b"/a", b"")).unwrap();
        policy.response(created(id as i64)).unwrap();
    }
    policy.request(create(b"/a", b"")).unwrap();
    let refused = policy.response(created(4711)).unwrap();
    assert!(refused.canceled && refused.watch_id == -1 && refused.cancel_reason.contains("too many watches"));
    policy.response(PbWatchResponse { canceled: true, ..created(5) }).unwrap();
    let canceled = PbWatchResponse { watch_id: 5, canceled: true, ..PbWatchResponse::default() };
    policy.response(canceled).unwrap();
    policy.request(create(b"/a", b"")).unwrap();
    assert!(!policy.response(created(4711)).unwrap().canceled, "there is a place again");
}

#[test]
fn a_client_that_does_not_read_its_answers_loses_the_stream() {
    let mut policy = WatchPolicy::default();
    for _ in 0..MAX_OUTSTANDING {
        policy.request(create(b"/flota/", b"")).unwrap();
    }
    assert_eq!(policy.request(create(b"/flota/", b"")), Err(Refusal::TooManyOutstanding));
}
