//! LeaseGrant, LeaseRevoke, LeaseKeepAlive, LeaseTimeToLive, LeaseLeases.

use std::pin::Pin;
use std::sync::Arc;

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbLeaseLeasesRequest,
    PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseService, PbLeaseStatus,
    PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
};
use flota_mvcc::{Error, KeyRange, LeaseId, Request as Change, Response as Changed};
use futures_util::{Stream, stream};
use tonic::{Request, Response, Status, Streaming};

use super::convert;
use crate::auth::Credentials;
use crate::shared::{Refusal, Shared};

pub(super) struct LeaseService {
    shared: Arc<Shared>,
}

impl LeaseService {
    pub(super) fn new(shared: &Arc<Shared>) -> LeaseService {
        LeaseService { shared: Arc::clone(shared) }
    }
}

#[tonic::async_trait]
impl PbLeaseService for LeaseService {
    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Result<Response<PbLeaseGrantResponse>, Status> {
        let caller = self.shared.caller(&request).map_err(convert::status)?;
        let PbLeaseGrantRequest { ttl, id } = *request.get_ref();
        let id = LeaseId::new(id).or_else(|| self.shared.new_lease_id());
        let id = id.ok_or_else(|| Status::unavailable("no lease id was found: try again"))?;
        match self.shared.submit(caller, Change::LeaseGrant { id, ttl }).await.map_err(convert::status)? {
            Changed::LeaseGrant { revision, id, ttl } => Ok(Response::new(PbLeaseGrantResponse {
                header: convert::header(&self.shared, revision),
                id: id.get(),
                ttl,
                error: String::new(),
            })),
            _ => Err(convert::mismatch()),
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Result<Response<PbLeaseRevokeResponse>, Status> {
        let caller = self.shared.caller(&request).map_err(convert::status)?;
        let not_found = || convert::status(Refusal::Request(Error::LeaseNotFound));
        let id = LeaseId::new(request.get_ref().id).ok_or_else(not_found)?;
        match self.shared.submit(caller, Change::LeaseRevoke(id)).await.map_err(convert::status)? {
            Changed::LeaseRevoke { revision } => {
                Ok(Response::new(PbLeaseRevokeResponse { header: convert::header(&self.shared, revision) }))
            }
            _ => Err(convert::mismatch()),
        }
    }

    type LeaseKeepAliveStream = Pin<Box<dyn Stream<Item = Result<PbLeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let credentials = Credentials::of(&request);
        let state = (Arc::clone(&self.shared), credentials, request.into_inner());
        Ok(Response::new(Box::pin(stream::try_unfold(state, |(shared, credentials, mut inbound)| async move {
            let stopping = shared.stopping.clone();
            let request = tokio::select! {
                () = stopping.cancelled() => return Err(convert::status(Refusal::Stopped)),
                // A client that breaks off has ended the stream, like one that closes it.
                request = inbound.message() => request.ok().flatten(),
            };
            let Some(request) = request else { return Ok(None) };
            let response = keep_alive(&shared, &credentials, request.id).await?;
            Ok(Some((response, (shared, credentials, inbound))))
        }))))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Result<Response<PbLeaseTimeToLiveResponse>, Status> {
        let PbLeaseTimeToLiveRequest { id, keys } = *request.get_ref();
        self.shared.check_alive().map_err(convert::status)?;
        let caller = self.shared.caller(&request).map_err(convert::status)?;
        let state = self.shared.state();
        let header = convert::header(&self.shared, state.revision());
        let status = LeaseId::new(id).and_then(|id| state.lease(self.shared.clock.now(), id));
        for key in status.iter().flat_map(|lease| &lease.keys).filter(|_| keys && state.auth().is_enabled()) {
            let allowed = state.auth().check_read(&caller, &KeyRange::One(Arc::clone(key)));
            allowed.map_err(|error| convert::status(error.into()))?;
        }
        drop(state);
        Ok(Response::new(match status {
            Some(lease) => PbLeaseTimeToLiveResponse {
                header,
                id,
                ttl: lease.ttl,
                granted_ttl: lease.granted_ttl,
                keys: lease.keys.iter().filter(|_| keys).map(|key| key.to_vec()).collect(),
            },
            None => PbLeaseTimeToLiveResponse { header, id, ttl: -1, granted_ttl: 0, keys: Vec::new() },
        }))
    }

    async fn lease_leases(
        &self,
        request: Request<PbLeaseLeasesRequest>,
    ) -> Result<Response<PbLeaseLeasesResponse>, Status> {
        self.shared.check_user(&request).map_err(convert::status)?;
        self.shared.check_alive().map_err(convert::status)?;
        let state = self.shared.state();
        let leases = state.leases().into_iter().map(|id| PbLeaseStatus { id: id.get() }).collect();
        let header = convert::header(&self.shared, state.revision());
        Ok(Response::new(PbLeaseLeasesResponse { header, leases }))
    }
}

/// A lease that is not there is told by a time of 0, not by an error.
async fn keep_alive(shared: &Shared, credentials: &Credentials, id: i64) -> Result<PbLeaseKeepAliveResponse, Status> {
    let caller = shared.caller_by(credentials).map_err(convert::status)?;
    let Some(lease) = LeaseId::new(id) else {
        return Ok(PbLeaseKeepAliveResponse { header: convert::header(shared, shared.revision()), id, ttl: 0 });
    };
    match shared.submit(caller, Change::LeaseKeepAlive(lease)).await.map_err(convert::status)? {
        Changed::LeaseKeepAlive(kept) => {
            Ok(PbLeaseKeepAliveResponse { header: convert::header(shared, kept.revision), id, ttl: kept.ttl })
        }
        _ => Err(convert::mismatch()),
    }
}
