//! Leases: the ones of Flota's own are not there, for applications.

use std::collections::VecDeque;

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbLeaseLeasesResponse,
    PbLeaseTimeToLiveResponse,
};
use flota_registry::LeaseId;

use super::{MAX_OUTSTANDING, Refusal, is_reserved};

/// The id that no lease has.
pub const NO_LEASE: i64 = 0;

/// Refuses a lease of Flota's own, as one that is not there.
pub fn check_lease(id: i64) -> Result<(), Refusal> {
    if LeaseId(id).is_own() { Err(Refusal::LeaseNotFound) } else { Ok(()) }
}

/// Refuses to grant a lease under an id that is kept for Flota.
pub fn check_grant(request: &PbLeaseGrantRequest) -> Result<(), Refusal> {
    if LeaseId(request.id).is_own() { Err(Refusal::LeaseExists) } else { Ok(()) }
}

/// What to ask the store about instead: for a lease of Flota's own, about none.
pub fn masked(id: i64) -> i64 {
    if LeaseId(id).is_own() { NO_LEASE } else { id }
}

/// Leaves Flota's own leases out of the list.
pub fn visible_leases(mut response: PbLeaseLeasesResponse) -> PbLeaseLeasesResponse {
    response.leases.retain(|lease| !LeaseId(lease.id).is_own());
    response
}

/// The answer about `asked`, which the store was asked about as [`masked`] says.
pub fn visible_time_to_live(mut response: PbLeaseTimeToLiveResponse, asked: i64) -> PbLeaseTimeToLiveResponse {
    response.id = asked;
    response.keys.retain(|key| !is_reserved(key));
    response
}

/// A stream of keep-alives: one answer for each request, in their order.
#[derive(Debug, Default)]
pub struct KeepAlivePolicy {
    /// What the answers about no lease are about.
    masked: VecDeque<i64>,
}

impl KeepAlivePolicy {
    /// What to ask the store instead.
    pub fn request(&mut self, request: PbLeaseKeepAliveRequest) -> Result<PbLeaseKeepAliveRequest, Refusal> {
        let id = masked(request.id);
        if id == NO_LEASE {
            if self.masked.len() >= MAX_OUTSTANDING {
                return Err(Refusal::TooManyOutstanding);
            }
            self.masked.push_back(request.id);
        }
        Ok(PbLeaseKeepAliveRequest { id })
    }

    /// What to tell the client.
    pub fn response(&mut self, mut response: PbLeaseKeepAliveResponse) -> PbLeaseKeepAliveResponse {
        if response.id == NO_LEASE {
            response.id = self.masked.pop_front().unwrap_or(NO_LEASE);
        }
        response
    }
}
