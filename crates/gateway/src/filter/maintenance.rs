//! Status and the list of alarms; the rest is the store's own business.

use etcd_client::proto::{
    PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse, PbDowngradeRequest,
    PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest, PbHashResponse, PbMaintenanceService,
    PbMoveLeaderRequest, PbMoveLeaderResponse, PbSnapshotRequest, PbSnapshotResponse, PbStatusRequest,
    PbStatusResponse,
};
use tonic::{Request, Response, Status};

use super::relay::Answers;
use super::store::{FilteredStore, STATUS};

const ALARM: &str = "/etcdserverpb.Maintenance/Alarm";

/// The action of an alarm request that only lists alarms.
const LIST_ALARMS: i32 = 0;

pub(super) struct MaintenanceFilter {
    store: FilteredStore,
}

impl MaintenanceFilter {
    pub(super) fn new(store: &FilteredStore) -> MaintenanceFilter {
        MaintenanceFilter { store: store.clone() }
    }
}

#[tonic::async_trait]
impl PbMaintenanceService for MaintenanceFilter {
    async fn alarm(&self, request: Request<PbAlarmRequest>) -> Result<Response<PbAlarmResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        if request.action != LIST_ALARMS {
            return Err(self.store.refusal());
        }
        self.store.ask(ALARM, &metadata, request).await
    }

    async fn status(&self, request: Request<PbStatusRequest>) -> Result<Response<PbStatusResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.store.ask(STATUS, &metadata, request).await
    }

    async fn defragment(&self, _: Request<PbDefragmentRequest>) -> Result<Response<PbDefragmentResponse>, Status> {
        Err(self.store.refusal())
    }

    async fn hash(&self, _: Request<PbHashRequest>) -> Result<Response<PbHashResponse>, Status> {
        Err(self.store.refusal())
    }

    async fn hash_kv(&self, _: Request<PbHashKvRequest>) -> Result<Response<PbHashKvResponse>, Status> {
        Err(self.store.refusal())
    }

    type SnapshotStream = Answers<PbSnapshotResponse>;

    async fn snapshot(&self, _: Request<PbSnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(self.store.refusal())
    }

    async fn move_leader(&self, _: Request<PbMoveLeaderRequest>) -> Result<Response<PbMoveLeaderResponse>, Status> {
        Err(self.store.refusal())
    }

    async fn downgrade(&self, _: Request<PbDowngradeRequest>) -> Result<Response<PbDowngradeResponse>, Status> {
        Err(self.store.refusal())
    }
}
