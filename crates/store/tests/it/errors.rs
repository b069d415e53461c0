//! Refusals beside Debian's etcd: the same requests to both, and both say the same.

use std::net::SocketAddr;

use etcd_client::proto::*;
use flota_etcd::Upstream;
use tonic::{Request, Status};

use crate::real_etcd::RealEtcd;
use crate::support::*;

fn upstream(addr: SocketAddr) -> Upstream {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{addr}")).unwrap();
    Upstream::new(endpoint.connect_lazy())
}

/// Asks and tells only whether it went well, or code and text of the refusal.
async fn outcome<Q, A>(upstream: &Upstream, path: &'static str, question: Q) -> String
where
    Q: prost::Message + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let answer: Result<_, Status> = soon(upstream.unary::<Q, A>(path, Request::new(question))).await;
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

fn range(key: &str) -> PbRangeRequest {
    PbRangeRequest { key: key.into(), ..PbRangeRequest::default() }
}

fn put(key: &str, value: &str) -> PbPutRequest {
    PbPutRequest { key: key.into(), value: value.into(), ..PbPutRequest::default() }
}

fn op(request: PbTxnOpRequest) -> PbTxnRequestOp {
    PbTxnRequestOp { request: Some(request) }
}

fn put_op(key: &str) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestPut(put(key, "v")))
}

fn delete_op(key: &str, range_end: &str) -> PbTxnRequestOp {
    let delete = PbDeleteRequest { key: key.into(), range_end: range_end.into(), prev_kv: false };
    op(PbTxnOpRequest::RequestDeleteRange(delete))
}

fn range_op(range: PbRangeRequest) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestRange(range))
}

fn then(success: Vec<PbTxnRequestOp>) -> PbTxnRequest {
    PbTxnRequest { success, ..PbTxnRequest::default() }
}

fn inner(txn: PbTxnRequest) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestTxn(txn))
}

fn compare(key: &str) -> PbCompare {
    PbCompare { key: key.into(), ..PbCompare::default() }
}

async fn ranges(store: &Upstream) -> Vec<String> {
    let questions = [
        range(""),
        PbRangeRequest { range_end: b"z".to_vec(), ..range("") },
        PbRangeRequest { revision: 99, ..range("a") },
        PbRangeRequest { revision: 99, ..range("") },
        PbRangeRequest { revision: 2, ..range("a") },
        PbRangeRequest { revision: 3, ..range("a") },
        PbRangeRequest { revision: -7, ..range("a") },
        PbRangeRequest { limit: -7, ..range("a") },
        PbRangeRequest { range_end: b"A".to_vec(), ..range("a") },
        PbRangeRequest { count_only: true, keys_only: true, ..range("a") },
    ];
    let mut told = Vec::new();
    for question in questions {
        told.push(outcome::<_, PbRangeResponse>(store, "/etcdserverpb.KV/Range", question).await);
    }
    told
}

async fn puts(store: &Upstream) -> Vec<String> {
    let questions = [
        put("", ""),
        PbPutRequest { ignore_value: true, ..put("", "v") },
        PbPutRequest { ignore_value: true, ..put("a", "v") },
        PbPutRequest { ignore_value: true, ignore_lease: true, lease: 5, ..put("a", "v") },
        PbPutRequest { ignore_lease: true, lease: 5, ..put("a", "") },
        PbPutRequest { ignore_value: true, ..put("missing", "") },
        PbPutRequest { ignore_lease: true, ..put("missing", "v") },
        PbPutRequest { ignore_value: true, lease: 5, ..put("missing", "") },
        PbPutRequest { lease: 5, ..put("a", "v") },
        PbPutRequest { lease: -5, ..put("a", "v") },
        put("a", &"v".repeat(1_572_864)),
        put("a", &"v".repeat(2 << 20)),
    ];
    let mut told = Vec::new();
    for question in questions {
        told.push(outcome::<_, PbPutResponse>(store, "/etcdserverpb.KV/Put", question).await);
    }
    for key in ["", "missing"] {
        let question = PbDeleteRequest { key: key.into(), ..PbDeleteRequest::default() };
        told.push(outcome::<_, PbDeleteResponse>(store, "/etcdserverpb.KV/DeleteRange", question).await);
    }
    for revision in [0, -1, 2, 3, 99] {
        let question = PbCompactionRequest { revision, physical: false };
        told.push(outcome::<_, PbCompactionResponse>(store, "/etcdserverpb.KV/Compact", question).await);
    }
    told
}

fn too_many() -> Vec<PbTxnRequest> {
    let many = |count: usize| (0..count).map(|n| put_op(&format!("many{n}"))).collect::<Vec<_>>();
    let same = |count: usize| vec![put_op("same"); count];
    vec![
        then(many(128)),
        then(many(129)),
        then(same(129)),
        then(vec![put_op(""); 129]),
        PbTxnRequest { failure: many(129), ..PbTxnRequest::default() },
        PbTxnRequest { compare: vec![compare("a"); 129], ..PbTxnRequest::default() },
        then(vec![inner(then(many(127)))]),
        then(vec![inner(then(many(128)))]),
    ]
}

fn wrong_txns() -> Vec<PbTxnRequest> {
    let at = |revision| PbRangeRequest { revision, ..range("a") };
    vec![
        PbTxnRequest::default(),
        PbTxnRequest { compare: vec![compare("")], ..then(vec![put_op("")]) },
        then(vec![put_op("")]),
        then(vec![put_op("twice"), put_op("twice")]),
        then(vec![put_op("twice"), delete_op("twice", "")]),
        then(vec![put_op("b"), delete_op("a", "c")]),
        then(vec![put_op("c"), delete_op("a", "c")]),
        then(vec![delete_op("a", "c"), delete_op("b", "d")]),
        then(vec![put_op("x"), inner(then(vec![put_op("x")]))]),
        then(vec![inner(then(vec![put_op("x")])), inner(then(vec![put_op("x")]))]),
        then(vec![delete_op("x", ""), inner(then(vec![put_op("x")]))]),
        then(vec![put_op("x"), inner(then(vec![delete_op("x", "")]))]),
        then(vec![inner(PbTxnRequest {
            success: vec![put_op("x")],
            failure: vec![put_op("x")],
            ..PbTxnRequest::default()
        })]),
        PbTxnRequest { failure: vec![put_op("x"), put_op("x")], ..PbTxnRequest::default() },
        then(vec![PbTxnRequestOp { request: None }]),
        then(vec![put_op("twice"), put_op("twice"), PbTxnRequestOp { request: None }]),
        then(vec![put_op("twice"), put_op("twice"), put_op("")]),
        then(vec![range_op(at(99))]),
        then(vec![range_op(at(2))]),
        then(vec![range_op(range(""))]),
        PbTxnRequest { failure: vec![range_op(at(99))], ..PbTxnRequest::default() },
        then(vec![op(PbTxnOpRequest::RequestPut(PbPutRequest { lease: 5, ..put("a", "v") }))]),
        then(vec![op(PbTxnOpRequest::RequestPut(PbPutRequest { ignore_value: true, ..put("missing", "") }))]),
        then(vec![op(PbTxnOpRequest::RequestPut(PbPutRequest { ignore_value: true, ..put("missing", "v") }))]),
        then(vec![op(PbTxnOpRequest::RequestPut(put("a", &"v".repeat(1_572_864))))]),
    ]
}

async fn txns(store: &Upstream) -> Vec<String> {
    let mut told = Vec::new();
    for txn in too_many().into_iter().chain(wrong_txns()) {
        told.push(outcome::<_, PbTxnResponse>(store, "/etcdserverpb.KV/Txn", txn).await);
    }
    told
}

async fn leases(store: &Upstream) -> Vec<String> {
    let mut told = Vec::new();
    for (id, ttl) in [(7, 100), (7, 100), (8, 9_000_000_000), (9, 9_000_000_001), (10, 0), (-7, -7)] {
        let question = PbLeaseGrantRequest { ttl, id };
        told.push(outcome::<_, PbLeaseGrantResponse>(store, "/etcdserverpb.Lease/LeaseGrant", question).await);
    }
    for id in [7, 7, 0, 404, -7] {
        let question = PbLeaseRevokeRequest { id };
        told.push(outcome::<_, PbLeaseRevokeResponse>(store, "/etcdserverpb.Lease/LeaseRevoke", question).await);
    }
    let question = PbLeaseTimeToLiveRequest { id: 404, keys: true };
    told.push(outcome::<_, PbLeaseTimeToLiveResponse>(store, "/etcdserverpb.Lease/LeaseTimeToLive", question).await);
    told
}

async fn members(store: &Upstream) -> Vec<String> {
    let mut told = Vec::new();
    for url in ["", "x", "http://host", "ftp://host:1", "http://host:1/path"] {
        let question = PbMemberAddRequest { peer_ur_ls: vec![url.to_owned()], is_learner: false };
        told.push(outcome::<_, PbMemberAddResponse>(store, "/etcdserverpb.Cluster/MemberAdd", question).await);
    }
    let list = PbMemberListRequest::default();
    let list = store.unary::<PbMemberListRequest, PbMemberListResponse>("/etcdserverpb.Cluster/MemberList", list);
    let me = soon(list).await.unwrap().into_inner().members[0].id;
    for id in [5, me] {
        let question = PbMemberRemoveRequest { id };
        told.push(outcome::<_, PbMemberRemoveResponse>(store, "/etcdserverpb.Cluster/MemberRemove", question).await);
        let question = PbMemberPromoteRequest { id };
        told.push(outcome::<_, PbMemberPromoteResponse>(store, "/etcdserverpb.Cluster/MemberPromote", question).await);
        let question = PbMoveLeaderRequest { target_id: id };
        told.push(outcome::<_, PbMoveLeaderResponse>(store, "/etcdserverpb.Maintenance/MoveLeader", question).await);
    }
    let question = PbMemberUpdateRequest { id: 5, peer_ur_ls: vec!["http://host:1".to_owned()] };
    told.push(outcome::<_, PbMemberUpdateResponse>(store, "/etcdserverpb.Cluster/MemberUpdate", question).await);
    told
}

async fn everything(store: &Upstream) -> Vec<String> {
    for value in ["1", "2", "3"] {
        assert_eq!(outcome::<_, PbPutResponse>(store, "/etcdserverpb.KV/Put", put("a", value)).await, "ok");
    }
    let compact = PbCompactionRequest { revision: 3, physical: true };
    assert_eq!(outcome::<_, PbCompactionResponse>(store, "/etcdserverpb.KV/Compact", compact).await, "ok");
    let mut told = ranges(store).await;
    told.extend(puts(store).await);
    told.extend(txns(store).await);
    told.extend(leases(store).await);
    told.extend(members(store).await);
    told
}

#[tokio::test]
#[ignore = "needs etcd; run by cargo xtask test"]
async fn refusals_have_the_code_and_the_words_of_etcd() {
    let real = RealEtcd::start();
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let (expected, found) = (everything(&upstream(real.addr)).await, everything(&upstream(served.addr)).await);
    let differ: Vec<_> = expected.iter().zip(&found).enumerate().filter(|(_, (etcd, ours))| etcd != ours).collect();
    assert!(differ.is_empty(), "{differ:#?}");
    assert_eq!((expected.len(), found.len()), (86, 86));
    assert!(expected.iter().filter(|outcome| *outcome != "ok").count() > 50);
    served.close().await;
}
