//! Random requests through the gateway of a store with a cluster in it, and to a store that never had one: equal answers.
//!
//! Both stores make the same revisions: where the cluster writes two keys of its own, the other store writes and deletes one that
//! nobody asks for at the revision in between.

use std::collections::BTreeMap;

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbPutRequest, PbRangeRequest, PbResponseHeader, PbTargetUnion, PbTxnOpRequest,
    PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp, PbTxnResponse,
};
use flota_etcd::Upstream;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tonic::{Code, Status};

use crate::support::{Backend, Watches, delete, put, put_request, range, txn, watch};

const RESERVED: &str = "/flota/";
/// Few enough that etcd sorts equals stably.
const KEYS: [&str; 9] = ["!", "/", "/a", "/flot", "/flota", "/flota.x", "/flota0", "/z/1", "a"];
const OWN_KEYS: [&str; 3] = ["/flota/", "/flota/v1/leader", "/flota/v1/units/a"];
const ENDS: [&[u8]; 12] =
    [b"\0", b"\0", b"", b"/", b"0", b"/flota", b"/flota/", b"/flota/v1/", b"/flota/v1/m", b"/flota0", b"/flota1", b"b"];
const DECOY: &str = "/decoy";
const END: &str = "/~end";

#[derive(Debug, Clone)]
enum Step {
    Range(PbRangeRequest, RevisionOf),
    Put(PbPutRequest),
    Delete(PbDeleteRequest),
    Txn(PbTxnRequest),
    /// The cluster writes its own keys.
    Cluster(usize, usize),
}

#[derive(Debug, Clone, Copy)]
enum RevisionOf {
    Now,
    BelowZero,
    /// That after an earlier step.
    Step(usize),
    Future,
}

// === What is asked ===

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![12 => select(&KEYS[..]), 1 => select(&OWN_KEYS[..]), 1 => Just("")]
        .prop_map(|key| key.as_bytes().to_vec())
}

fn keys() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let wide = Just((vec![0], vec![0]));
    prop_oneof![3 => (key(), select(&ENDS[..]).prop_map(<[u8]>::to_vec)), 1 => wide, 1 => (key(), Just(Vec::new()))]
}

fn range_request() -> impl Strategy<Value = PbRangeRequest> {
    let filters = (weighted(0.1, 1..60_i64), weighted(0.1, 1..60_i64), weighted(0.1, 1..60_i64));
    let sort = (0..3, 0..5);
    (keys(), 0..6_i64, sort, any::<bool>(), weighted(0.2, Just(())), weighted(0.15, Just(())), filters).prop_map(
        |((key, range_end), limit, (sort_order, sort_target), serializable, keys_only, count_only, filters)| {
            PbRangeRequest {
                key,
                range_end,
                limit,
                sort_order,
                sort_target,
                serializable,
                keys_only: keys_only.is_some(),
                count_only: count_only.is_some(),
                min_mod_revision: filters.0.unwrap_or(0),
                max_mod_revision: filters.1.unwrap_or(0),
                min_create_revision: filters.2.unwrap_or(0),
                ..PbRangeRequest::default()
            }
        },
    )
}

fn put_any() -> impl Strategy<Value = PbPutRequest> {
    (key(), 0..4_u8, any::<bool>(), weighted(0.1, Just(()))).prop_map(|(key, value, prev_kv, ignore)| PbPutRequest {
        key,
        value: if ignore.is_some() { Vec::new() } else { vec![b'0' + value] },
        prev_kv,
        ignore_value: ignore.is_some(),
        ..PbPutRequest::default()
    })
}

fn delete_any() -> impl Strategy<Value = PbDeleteRequest> {
    (keys(), any::<bool>()).prop_map(|((key, range_end), prev_kv)| PbDeleteRequest { key, range_end, prev_kv })
}

fn compare_any() -> impl Strategy<Value = PbCompare> {
    let target = prop_oneof![
        (0..3_i64).prop_map(|n| (0, PbTargetUnion::Version(n))),
        (0..60_i64).prop_map(|n| (1, PbTargetUnion::CreateRevision(n))),
        (0..4_u8).prop_map(|n| (3, PbTargetUnion::Value(vec![b'0' + n]))),
    ];
    let where_ = prop_oneof![3 => (key(), Just(Vec::new())), 1 => keys()];
    (where_, target, 0..4).prop_map(|((key, range_end), (target, operand), result)| PbCompare {
        key,
        range_end,
        target,
        target_union: Some(operand),
        result,
    })
}

fn txn_any() -> impl Strategy<Value = PbTxnRequest> {
    let leaf = prop_oneof![
        3 => range_request().prop_map(PbTxnOpRequest::RequestRange),
        2 => put_any().prop_map(PbTxnOpRequest::RequestPut),
        // etcd does not see that a put is within a deletion up to `\0`; of the two parts of one it sees it.
        1 => delete_any().prop_filter("no end", |delete| delete.range_end != [0]).prop_map(PbTxnOpRequest::RequestDeleteRange),
    ];
    let whole = |ops: BoxedStrategy<PbTxnOpRequest>| {
        let branch = vec(ops.prop_map(|op| PbTxnRequestOp { request: Some(op) }), 0..4);
        (vec(compare_any(), 0..2), branch.clone(), branch).prop_map(|(compare, success, failure)| PbTxnRequest {
            compare,
            success,
            failure,
        })
    };
    let ops = leaf.boxed().prop_recursive(2, 12, 4, move |inner| whole(inner).prop_map(PbTxnOpRequest::RequestTxn));
    whole(ops.boxed())
}

fn step() -> impl Strategy<Value = Step> {
    let revision = prop_oneof![
        6 => Just(RevisionOf::Now),
        1 => Just(RevisionOf::BelowZero),
        3 => (0..40_usize).prop_map(RevisionOf::Step),
        1 => Just(RevisionOf::Future),
    ];
    prop_oneof![
        6 => (range_request(), revision).prop_map(|(range, revision)| Step::Range(range, revision)),
        6 => put_any().prop_map(Step::Put),
        2 => delete_any().prop_map(Step::Delete),
        5 => txn_any().prop_map(Step::Txn),
        2 => (0..OWN_KEYS.len(), 0..OWN_KEYS.len()).prop_map(|(a, b)| Step::Cluster(a, b)),
    ]
}

// === What is refused, said in another way than the gateway's ===

/// Whether a range holds reserved keys, and whether it holds others before and behind them.
fn place(key: &[u8], range_end: &[u8]) -> (bool, bool, bool) {
    let holds = |candidate: &[u8]| match range_end {
        [] => candidate == key,
        [0] => candidate >= key,
        end => candidate >= key && candidate < end,
    };
    let own =
        [&b"/flota/"[..], b"/flota/v1/", b"/flota/\xff"].iter().any(|own| holds(own)) || key.starts_with(b"/flota/");
    let before = [&b""[..], b"\0", b"!", b"/", b"/a", b"/flot", b"/flota", b"/flota.x"].iter().any(|k| holds(k));
    let behind = [&b"/flota0"[..], b"/z/1", b"a"].iter().any(|k| holds(k));
    (own, before, behind)
}

fn is_empty(key: &[u8], range_end: &[u8]) -> bool {
    !matches!(range_end, [] | [0]) && key >= range_end
}

fn only_own(key: &[u8], range_end: &[u8]) -> bool {
    let (own, before, behind) = place(key, range_end);
    own && !before && !behind && !is_empty(key, range_end)
}

fn refusal_of_ops(ops: &[PbTxnRequestOp]) -> Option<Code> {
    ops.iter().find_map(|op| match op.request.as_ref()? {
        PbTxnOpRequest::RequestRange(r) => only_own(&r.key, &r.range_end).then_some(Code::PermissionDenied),
        PbTxnOpRequest::RequestPut(r) => only_own(&r.key, b"").then_some(Code::PermissionDenied),
        PbTxnOpRequest::RequestDeleteRange(r) => only_own(&r.key, &r.range_end).then_some(Code::PermissionDenied),
        PbTxnOpRequest::RequestTxn(r) => refusal(r),
    })
}

fn refusal(txn: &PbTxnRequest) -> Option<Code> {
    let compares = txn.compare.iter().find_map(|compare| match place(&compare.key, &compare.range_end) {
        _ if is_empty(&compare.key, &compare.range_end) => None,
        (true, false, false) => Some(Code::PermissionDenied),
        (true, true, true) => Some(Code::Unimplemented),
        _ => None,
    });
    compares.or_else(|| refusal_of_ops(&txn.success)).or_else(|| refusal_of_ops(&txn.failure))
}

// === Both stores ===

struct Pair {
    /// With a cluster in it, before a gateway.
    inner: Upstream,
    gateway: Upstream,
    /// Without.
    plain: Upstream,
    own: BTreeMap<String, String>,
    writes: usize,
}

type Answer<T> = Result<T, (Code, String)>;

fn told<T>(answer: Result<T, Status>) -> Answer<T> {
    answer.map_err(|status| (status.code(), status.message().to_owned()))
}

/// The ids of the two stores differ.
fn anonymous(header: &mut Option<PbResponseHeader>) {
    if let Some(header) = header {
        *header = PbResponseHeader { revision: header.revision, ..PbResponseHeader::default() };
    }
}

fn anonymous_txn(mut answer: PbTxnResponse) -> PbTxnResponse {
    anonymous(&mut answer.header);
    for response in &mut answer.responses {
        if let Some(PbTxnOpResponse::ResponseTxn(inner)) = &mut response.response {
            *inner = anonymous_txn(std::mem::take(inner));
        }
    }
    answer
}

impl Pair {
    async fn step(&mut self, step: &Step, revisions: &[i64]) {
        match step {
            Step::Range(request, revision) => {
                let now = *revisions.last().unwrap();
                let revision = match revision {
                    RevisionOf::Now => 0,
                    RevisionOf::BelowZero => -1,
                    RevisionOf::Step(step) => revisions[step % revisions.len()],
                    RevisionOf::Future => now + 5,
                };
                let request = PbRangeRequest { revision, ..request.clone() };
                let ours = told(range(&self.gateway, request.clone()).await);
                if only_own(&request.key, &request.range_end) {
                    assert_eq!(ours.unwrap_err().0, Code::PermissionDenied, "{request:?}");
                    return;
                }
                let plain = told(range(&self.plain, request.clone()).await);
                let strip = |mut answer: etcd_client::proto::PbRangeResponse| {
                    anonymous(&mut answer.header);
                    answer
                };
                assert_eq!(ours.map(strip), plain.map(strip), "{request:?}");
            }
            Step::Put(request) => {
                let ours = told(put_request(&self.gateway, request.clone()).await);
                if only_own(&request.key, b"") {
                    assert_eq!(ours.unwrap_err().0, Code::PermissionDenied);
                    return;
                }
                let plain = told(put_request(&self.plain, request.clone()).await);
                let strip =
                    |answer: etcd_client::proto::PbPutResponse| (answer.header.unwrap().revision, answer.prev_kv);
                assert_eq!(ours.map(strip), plain.map(strip), "{request:?}");
            }
            Step::Delete(request) => {
                let ours = told(delete(&self.gateway, request.clone()).await);
                if only_own(&request.key, &request.range_end) {
                    assert_eq!(ours.unwrap_err().0, Code::PermissionDenied);
                    return;
                }
                let plain = told(delete(&self.plain, request.clone()).await);
                let strip = |answer: etcd_client::proto::PbDeleteResponse| {
                    (answer.header.unwrap().revision, answer.deleted, answer.prev_kvs)
                };
                assert_eq!(ours.map(strip), plain.map(strip), "{request:?}");
            }
            Step::Txn(request) => {
                let ours = told(txn(&self.gateway, request.clone()).await);
                if refusal(request).is_some() {
                    let code = ours.unwrap_err().0;
                    assert!([Code::PermissionDenied, Code::Unimplemented].contains(&code), "{request:?}: {code}");
                    return;
                }
                let plain = told(txn(&self.plain, request.clone()).await);
                assert_eq!(ours.map(anonymous_txn), plain.map(anonymous_txn), "{request:?}");
            }
            Step::Cluster(a, b) => {
                for key in [a, b] {
                    self.writes += 1;
                    let (key, value) = (OWN_KEYS[*key], format!("secret {}", self.writes));
                    put(&self.inner, key, &value).await;
                    self.own.insert(key.to_owned(), value);
                }
                put(&self.plain, DECOY, "").await;
                self.clear(false, DECOY.as_bytes(), b"").await;
            }
        }
    }

    async fn clear(&self, both: bool, key: &[u8], range_end: &[u8]) {
        let request = PbDeleteRequest { key: key.to_vec(), range_end: range_end.to_vec(), prev_kv: false };
        delete(&self.plain, request.clone()).await.unwrap();
        if both {
            delete(&self.gateway, request).await.unwrap();
        }
    }

    async fn revision(&self) -> i64 {
        let revision = async |to: &Upstream| {
            let request = PbRangeRequest { key: b"/".to_vec(), ..PbRangeRequest::default() };
            range(to, request).await.unwrap().header.unwrap().revision
        };
        let (ours, plain) = (revision(&self.inner).await, revision(&self.plain).await);
        assert_eq!(ours, plain, "the stores make the same revisions");
        ours
    }

    /// Everything that changed since `revision`, as a watch on everything sees it.
    async fn history(to: &Upstream, revision: i64) -> Vec<String> {
        let mut watches = Watches::open(to, vec![watch(b"", &[0], revision)]).await;
        let mut history = Vec::new();
        loop {
            for event in watches.next().await.events {
                let kv = event.kv.as_ref().unwrap();
                if kv.key == END.as_bytes() {
                    return history;
                }
                if kv.key != DECOY.as_bytes() {
                    history.push(format!("{event:?}"));
                }
            }
        }
    }

    async fn run(&mut self, steps: &[Step]) {
        self.clear(true, &[0], &[0]).await;
        let mut revisions = vec![self.revision().await];
        for step in steps {
            self.step(step, &revisions).await;
            revisions.push(self.revision().await);
        }
        put(&self.gateway, END, "").await;
        put(&self.plain, END, "").await;
        let from = revisions[0] + 1;
        let history = Pair::history(&self.gateway, from).await;
        assert!(!history.iter().any(|event| event.contains("secret")), "{history:#?}");
        assert_eq!(history, Pair::history(&self.plain, from).await);

        let whole =
            PbRangeRequest { key: RESERVED.into(), range_end: b"/flota0".to_vec(), ..PbRangeRequest::default() };
        let kvs = range(&self.inner, whole).await.unwrap().kvs.into_iter();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let own: BTreeMap<_, _> = kvs.map(|kv| (text(kv.key), text(kv.value))).collect();
        assert_eq!(own, self.own, "the cluster's keys are as the cluster wrote them");
    }
}

fn check(backends: impl AsyncFn() -> Backend, cases: u32, steps: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (with, without) = runtime.block_on(async { (backends().await, backends().await) });
    let (inner, gateway) = (with.upstream.clone(), with.filtered());
    let mut pair = Pair { inner, gateway, plain: without.upstream.clone(), own: BTreeMap::new(), writes: 0 };
    let pair = std::cell::RefCell::new(&mut pair);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(step(), 1..steps), |steps| {
        runtime.block_on(pair.borrow_mut().run(&steps));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    drop((with, without));
}

#[test]
fn through_the_gateway_the_embedded_store_is_one_without_a_cluster() {
    check(Backend::embedded, 120, 40);
}

#[test]
fn through_the_gateway_debians_etcd_is_one_without_a_cluster() {
    check(Backend::etcd, 25, 40);
}
