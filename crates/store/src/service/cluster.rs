//! MemberList: one member, this one.

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
}

/// For administrators only, as in etcd, even to hear that it cannot be done.
fn one_member<Q, T>(shared: &Shared, request: &Request<Q>) -> Result<Response<T>, Status> {
    shared.check_admin(request).map_err(convert::status)?;
    Err(Status::unimplemented("the embedded store has one member: for more, move to an etcd cluster"))
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
        one_member(&self.shared, &request)
    }

    async fn member_remove(
        &self,
        request: Request<PbMemberRemoveRequest>,
    ) -> Result<Response<PbMemberRemoveResponse>, Status> {
        one_member(&self.shared, &request)
    }

    async fn member_update(
        &self,
        request: Request<PbMemberUpdateRequest>,
    ) -> Result<Response<PbMemberUpdateResponse>, Status> {
        one_member(&self.shared, &request)
    }

    async fn member_promote(
        &self,
        request: Request<PbMemberPromoteRequest>,
    ) -> Result<Response<PbMemberPromoteResponse>, Status> {
        one_member(&self.shared, &request)
    }
}
