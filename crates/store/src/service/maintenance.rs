//! Status and alarms; what is not here yet says so.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse, PbDowngradeRequest,
    PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest, PbHashResponse, PbMaintenanceService,
    PbMoveLeaderRequest, PbMoveLeaderResponse, PbSnapshotRequest, PbSnapshotResponse, PbStatusRequest,
    PbStatusResponse,
};
use futures_util::Stream;
use tonic::{Request, Response, Status};

use super::convert;
use crate::shared::Shared;

/// The etcd release whose API is served.
const API_VERSION: &str = "3.5.0";

/// The wire's number for "the disk is full".
const ALARM_NOSPACE: i32 = 1;

pub(super) struct MaintenanceService {
    shared: Arc<Shared>,
}

impl MaintenanceService {
    pub(super) fn new(shared: &Arc<Shared>) -> MaintenanceService {
        MaintenanceService { shared: Arc::clone(shared) }
    }

    fn alarms(&self) -> Vec<PbAlarmMember> {
        let member_id = self.shared.identity.member_id;
        let full = self.shared.no_space.load(Ordering::Relaxed);
        full.then_some(PbAlarmMember { member_id, alarm: ALARM_NOSPACE }).into_iter().collect()
    }
}

#[tonic::async_trait]
impl PbMaintenanceService for MaintenanceService {
    async fn alarm(&self, request: Request<PbAlarmRequest>) -> Result<Response<PbAlarmResponse>, Status> {
        match request.get_ref().action {
            // Nothing needs disarming: each new write tries whether there is space again.
            0 | 2 => {
                let header = convert::header(&self.shared, self.shared.revision());
                Ok(Response::new(PbAlarmResponse { header, alarms: self.alarms() }))
            }
            _ => Err(Status::unimplemented("the embedded store raises its alarms itself")),
        }
    }

    async fn status(&self, _: Request<PbStatusRequest>) -> Result<Response<PbStatusResponse>, Status> {
        self.shared.check_alive().map_err(convert::status)?;
        let (revision, bytes) = {
            let state = self.shared.state();
            (state.revision(), state.bytes())
        };
        let db_size = self.shared.sizes.total() as i64;
        Ok(Response::new(PbStatusResponse {
            header: convert::header(&self.shared, revision),
            version: API_VERSION.to_owned(),
            db_size,
            leader: self.shared.identity.member_id,
            raft_index: revision as u64,
            raft_term: convert::TERM,
            raft_applied_index: revision as u64,
            errors: self.alarms().iter().map(|_| "NOSPACE".to_owned()).collect(),
            db_size_in_use: (bytes as i64).min(db_size),
            ..PbStatusResponse::default()
        }))
    }

    async fn defragment(&self, _: Request<PbDefragmentRequest>) -> Result<Response<PbDefragmentResponse>, Status> {
        Err(Status::unimplemented("the embedded store replaces its log by a snapshot by itself"))
    }

    async fn hash(&self, _: Request<PbHashRequest>) -> Result<Response<PbHashResponse>, Status> {
        Err(Status::unimplemented("there is no other member to compare a hash with"))
    }

    async fn hash_kv(&self, _: Request<PbHashKvRequest>) -> Result<Response<PbHashKvResponse>, Status> {
        Err(Status::unimplemented("there is no other member to compare a hash with"))
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<PbSnapshotResponse, Status>> + Send>>;

    async fn snapshot(&self, _: Request<PbSnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(Status::unimplemented("the embedded store cannot be saved online yet: stop it and copy its data directory"))
    }

    async fn move_leader(&self, _: Request<PbMoveLeaderRequest>) -> Result<Response<PbMoveLeaderResponse>, Status> {
        Err(Status::unimplemented("the embedded store has one member, which always leads"))
    }

    async fn downgrade(&self, _: Request<PbDowngradeRequest>) -> Result<Response<PbDowngradeResponse>, Status> {
        Err(Status::unimplemented("the embedded store has no cluster version to lower"))
    }
}
