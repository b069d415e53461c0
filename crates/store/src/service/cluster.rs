//! One member, this one: it is listed, and stays the only one.

use std::sync::Arc;

use etcd_client::proto::{
    PbClusterService, PbMember, PbMemberAddRequest, PbMemberAddResponse, PbMemberListRequest, PbMemberListResponse,
    PbMemberPromoteRequest, PbMemberPromoteResponse, PbMemberRemoveRequest, PbMemberRemoveResponse,
    PbMemberUpdateRequest, PbMemberUpdateResponse,
};
use tonic::{Request, Response, Status};

use super::convert;
use crate::shared::Shared;

pub(super) struct ClusterService {
    shared: Arc<Shared>,
}

impl ClusterService {
    pub(super) fn new(shared: &Arc<Shared>) -> ClusterService {
        ClusterService { shared: Arc::clone(shared) }
    }

    /// Members are changed by administrators only, as in etcd, and only those that there are.
    fn check_change<Q>(&self, request: &Request<Q>, id: u64) -> Result<(), Status> {
        self.shared.check_admin(request).map_err(convert::status)?;
        let known = id == self.shared.identity.member_id;
        if known { Ok(()) } else { Err(Status::not_found("etcdserver: member not found")) }
    }
}

fn one_member<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented(
        "the embedded store is always one member: for more, save it with `etcdctl snapshot save` and restore that into an etcd cluster",
    ))
}

/// Whether etcd would take these as the addresses of a member: some, all with a known scheme, a port and no path.
fn are_member_urls(urls: &[String]) -> bool {
    !urls.is_empty() && urls.iter().all(|url| is_member_url(url.trim()))
}

fn is_member_url(url: &str) -> bool {
    match url.split_once("://") {
        Some(("unix" | "unixs", _)) => true,
        Some(("http" | "https", host)) => {
            !host.contains('/') && host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty())
        }
        _ => false,
    }
}

#[tonic::async_trait]
impl PbClusterService for ClusterService {
    async fn member_list(
        &self,
        request: Request<PbMemberListRequest>,
    ) -> Result<Response<PbMemberListResponse>, Status> {
        self.shared.check_user(&request).map_err(convert::status)?;
        let member = PbMember {
            id: self.shared.identity.member_id,
            name: self.shared.config.name.clone(),
            peer_ur_ls: self.shared.config.peer_urls.clone(),
            client_ur_ls: self.shared.config.advertise.clone(),
            is_learner: false,
        };
        // Etcd tells no revision here.
        let header = convert::header(&self.shared, 0);
        Ok(Response::new(PbMemberListResponse { header, members: vec![member] }))
    }

    async fn member_add(&self, request: Request<PbMemberAddRequest>) -> Result<Response<PbMemberAddResponse>, Status> {
        if !are_member_urls(&request.get_ref().peer_ur_ls) {
            return Err(Status::invalid_argument("etcdserver: given member URLs are invalid"));
        }
        self.shared.check_admin(&request).map_err(convert::status)?;
        one_member()
    }

    async fn member_remove(
        &self,
        request: Request<PbMemberRemoveRequest>,
    ) -> Result<Response<PbMemberRemoveResponse>, Status> {
        self.check_change(&request, request.get_ref().id)?;
        Err(Status::unknown("etcdserver: re-configuration failed due to not enough started members"))
    }

    async fn member_update(
        &self,
        request: Request<PbMemberUpdateRequest>,
    ) -> Result<Response<PbMemberUpdateResponse>, Status> {
        self.check_change(&request, request.get_ref().id)?;
        one_member()
    }

    async fn member_promote(
        &self,
        request: Request<PbMemberPromoteRequest>,
    ) -> Result<Response<PbMemberPromoteResponse>, Status> {
        self.check_change(&request, request.get_ref().id)?;
        Err(Status::failed_precondition("etcdserver: can only promote a learner member"))
    }
}
