//! Leases: the cluster's own do not exist for applications.

use std::time::Duration;

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbLeaseLeasesRequest,
    PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseTimeToLiveRequest,
    PbLeaseTimeToLiveResponse, PbPutRequest,
};
use flota_etcd::{StoreClient, Upstream};
use flota_registry::LeaseId;
use tonic::{Code, Request, Status};

use crate::support::{Backend, put_request, soon};

async fn grant(to: &Upstream, id: i64) -> Result<PbLeaseGrantResponse, Status> {
    let request = PbLeaseGrantRequest { ttl: 60, id };
    Ok(soon(to.unary("/etcdserverpb.Lease/LeaseGrant", request)).await?.into_inner())
}

async fn revoke(to: &Upstream, id: i64) -> Result<PbLeaseRevokeResponse, Status> {
    Ok(soon(to.unary("/etcdserverpb.Lease/LeaseRevoke", PbLeaseRevokeRequest { id })).await?.into_inner())
}

async fn time_to_live(to: &Upstream, id: i64) -> PbLeaseTimeToLiveResponse {
    let request = PbLeaseTimeToLiveRequest { id, keys: true };
    soon(to.unary("/etcdserverpb.Lease/LeaseTimeToLive", request)).await.unwrap().into_inner()
}

async fn leases(to: &Upstream) -> Vec<i64> {
    let answer = soon(to.unary("/etcdserverpb.Lease/LeaseLeases", PbLeaseLeasesRequest::default())).await.unwrap();
    let answer: PbLeaseLeasesResponse = answer.into_inner();
    answer.leases.into_iter().map(|lease| lease.id).collect()
}

async fn keep_alive(to: &Upstream, ids: &[i64]) -> Vec<(i64, i64)> {
    let requests: Vec<_> = ids.iter().map(|id| PbLeaseKeepAliveRequest { id: *id }).collect();
    let stream = Request::new(futures_util::stream::iter(requests));
    let mut answers = soon(to.streaming("/etcdserverpb.Lease/LeaseKeepAlive", stream)).await.unwrap().into_inner();
    let mut told = Vec::new();
    while told.len() < ids.len() {
        let answer: PbLeaseKeepAliveResponse = soon(answers.message()).await.unwrap().unwrap();
        told.push((answer.id, answer.ttl));
    }
    told
}

async fn check(backend: Backend) {
    let gateway = backend.filtered();
    let client = StoreClient::new(&backend.config).await.unwrap();
    let LeaseId(own) = client.grant(Duration::from_secs(60)).await.unwrap();
    assert!(LeaseId(own).is_own());
    assert_eq!(leases(&backend.upstream).await, [own]);

    let theirs = grant(&gateway, 0).await.unwrap().id;
    assert!(theirs > 0 && !LeaseId(theirs).is_own());
    assert_eq!(grant(&gateway, 4711).await.unwrap().id, 4711);
    let taken = grant(&gateway, 4711).await.unwrap_err();
    assert_eq!(taken.message(), "etcdserver: lease already exists");
    let mut expected = [4711, theirs];
    expected.sort_unstable();
    let mut listed = leases(&gateway).await;
    listed.sort_unstable();
    assert_eq!(listed, expected);

    let not_found = |status: Status| {
        assert_eq!((status.code(), status.message()), (Code::NotFound, "etcdserver: requested lease not found"));
    };
    not_found(revoke(&gateway, own).await.unwrap_err());
    not_found(revoke(&gateway, 12345).await.unwrap_err());
    let bound = |lease| PbPutRequest { key: b"/svc".to_vec(), lease, ..PbPutRequest::default() };
    not_found(put_request(&gateway, bound(own)).await.unwrap_err());
    put_request(&gateway, bound(theirs)).await.unwrap();
    for id in [own, own + 1] {
        assert_eq!(grant(&gateway, id).await.unwrap_err().message(), "etcdserver: lease already exists");
    }

    let unknown = time_to_live(&gateway, own).await;
    assert_eq!((unknown.id, unknown.ttl, unknown.granted_ttl), (own, -1, 0));
    let known = time_to_live(&gateway, theirs).await;
    assert_eq!((known.id, known.granted_ttl, known.keys), (theirs, 60, vec![b"/svc".to_vec()]));

    let kept = keep_alive(&gateway, &[own, theirs, 0, 12345, own, 4711]).await;
    assert_eq!(kept, [(own, 0), (theirs, 60), (0, 0), (12345, 0), (own, 0), (4711, 60)]);
    revoke(&gateway, theirs).await.unwrap();
    assert_eq!(leases(&gateway).await, [4711]);
    assert!(time_to_live(&backend.upstream, own).await.ttl > 0, "the cluster's lease lives");
}

#[tokio::test]
async fn the_clusters_leases_do_not_exist_for_applications() {
    check(Backend::embedded().await).await;
}

#[tokio::test]
async fn the_clusters_leases_do_not_exist_for_applications_on_debians_etcd() {
    check(Backend::etcd().await).await;
}
