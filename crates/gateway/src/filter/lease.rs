//! LeaseGrant, LeaseRevoke, LeaseKeepAlive, LeaseTimeToLive, LeaseLeases.

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbLeaseLeasesRequest,
    PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseService, PbLeaseTimeToLiveRequest,
    PbLeaseTimeToLiveResponse,
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::policy::{self, KeepAlivePolicy, Refusal};
use super::relay::{Answers, StreamPolicy, relay};
use super::store::FilteredStore;

const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const TIME_TO_LIVE: &str = "/etcdserverpb.Lease/LeaseTimeToLive";
const LEASES: &str = "/etcdserverpb.Lease/LeaseLeases";

/// Ids tried for one lease; that one is taken already is next to impossible.
const MAX_IDS_TRIED: usize = 4;

pub(super) struct LeaseFilter {
    store: FilteredStore,
}

impl LeaseFilter {
    pub(super) fn new(store: &FilteredStore) -> LeaseFilter {
        LeaseFilter { store: store.clone() }
    }
}

impl StreamPolicy for KeepAlivePolicy {
    type Request = PbLeaseKeepAliveRequest;
    type Response = PbLeaseKeepAliveResponse;

    fn request(&mut self, request: PbLeaseKeepAliveRequest) -> Result<PbLeaseKeepAliveRequest, Refusal> {
        KeepAlivePolicy::request(self, request)
    }

    fn response(&mut self, response: PbLeaseKeepAliveResponse) -> Option<PbLeaseKeepAliveResponse> {
        Some(KeepAlivePolicy::response(self, response))
    }
}

/// An id for a lease whose client leaves the choice to the store. Chosen here, for the store's choice might be one of Flota's.
fn new_id() -> Result<i64, Status> {
    loop {
        let number = flota_etcd::random_number().map_err(|error| Status::unavailable(error.to_string()))?;
        let id = (number >> 1) as i64;
        if id != policy::NO_LEASE && policy::check_lease(id).is_ok() {
            return Ok(id);
        }
    }
}

#[tonic::async_trait]
impl PbLeaseService for LeaseFilter {
    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Result<Response<PbLeaseGrantResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        policy::check_grant(&asked)?;
        if asked.id != policy::NO_LEASE {
            return self.store.ask(GRANT, &metadata, asked).await;
        }
        let mut tried = 0;
        loop {
            tried += 1;
            let request = PbLeaseGrantRequest { id: new_id()?, ..asked };
            match self.store.ask(GRANT, &metadata, request).await {
                Err(status) if status.code() == Code::FailedPrecondition && tried < MAX_IDS_TRIED => {}
                answer => return answer,
            }
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Result<Response<PbLeaseRevokeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        policy::check_lease(request.id)?;
        self.store.ask(REVOKE, &metadata, request).await
    }

    type LeaseKeepAliveStream = Answers<PbLeaseKeepAliveResponse>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        relay(&self.store, KEEP_ALIVE, request, KeepAlivePolicy::default()).await
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Result<Response<PbLeaseTimeToLiveResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let request = PbLeaseTimeToLiveRequest { id: policy::masked(asked.id), ..asked };
        let answer = self.store.ask(TIME_TO_LIVE, &metadata, request).await?.into_inner();
        Ok(Response::new(policy::visible_time_to_live(answer, asked.id)))
    }

    async fn lease_leases(
        &self,
        request: Request<PbLeaseLeasesRequest>,
    ) -> Result<Response<PbLeaseLeasesResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let answer = self.store.ask(LEASES, &metadata, request).await?.into_inner();
        Ok(Response::new(policy::visible_leases(answer)))
    }
}
