//! MemberList, with the gateway where the members are: what a client finds there must lead it back here.

use etcd_client::proto::{
    PbClusterService, PbMemberAddRequest, PbMemberAddResponse, PbMemberListRequest, PbMemberListResponse,
    PbMemberPromoteRequest, PbMemberPromoteResponse, PbMemberRemoveRequest, PbMemberRemoveResponse,
    PbMemberUpdateRequest, PbMemberUpdateResponse,
};
use tonic::{Request, Response, Status};

use super::store::FilteredStore;

const MEMBER_LIST: &str = "/etcdserverpb.Cluster/MemberList";

pub(super) struct ClusterFilter {
    store: FilteredStore,
    own_url: String,
}

impl ClusterFilter {
    pub(super) fn new(store: &FilteredStore, own_url: &str) -> ClusterFilter {
        ClusterFilter { store: store.clone(), own_url: own_url.to_owned() }
    }
}

#[tonic::async_trait]
impl PbClusterService for ClusterFilter {
    async fn member_list(
        &self,
        request: Request<PbMemberListRequest>,
    ) -> Result<Response<PbMemberListResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let answer: Response<PbMemberListResponse> = self.store.ask(MEMBER_LIST, &metadata, request).await?;
        let mut list = answer.into_inner();
        for member in &mut list.members {
            member.client_ur_ls = vec![self.own_url.clone()];
            member.peer_ur_ls.clear();
        }
        Ok(Response::new(list))
    }

    async fn member_add(&self, _: Request<PbMemberAddRequest>) -> Result<Response<PbMemberAddResponse>, Status> {
        Err(self.store.refusal())
    }

    async fn member_remove(
        &self,
        _: Request<PbMemberRemoveRequest>,
    ) -> Result<Response<PbMemberRemoveResponse>, Status> {
        Err(self.store.refusal())
    }

    async fn member_update(
        &self,
        _: Request<PbMemberUpdateRequest>,
    ) -> Result<Response<PbMemberUpdateResponse>, Status> {
        Err(self.store.refusal())
    }

    async fn member_promote(
        &self,
        _: Request<PbMemberPromoteRequest>,
    ) -> Result<Response<PbMemberPromoteResponse>, Status> {
        Err(self.store.refusal())
    }
}
