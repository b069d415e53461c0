//! Status, alarms, hashes and snapshots; what makes no sense for one member says so.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse, PbDowngradeRequest,
    PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest, PbHashResponse, PbMaintenanceService,
    PbMoveLeaderRequest, PbMoveLeaderResponse, PbSnapshotRequest, PbSnapshotResponse, PbStatusRequest,
    PbStatusResponse,
};
use flota_mvcc::{Alarm, AlarmKind, Caller, Error, Request as Change, Response as Changed};
use futures_util::Stream;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::{ETCD_VERSION, convert, snapshot};
use crate::etcd_file::{Export, hash_all, hash_kv};
use crate::shared::{Refusal, Shared};

// The wire's actions on alarms.
const GET: i32 = 0;
const ACTIVATE: i32 = 1;
const DEACTIVATE: i32 = 2;

/// Most snapshots and hashes at a time: each keeps the values of its revision in memory, and a thread busy.
const MAX_EXPORTS: usize = 4;

pub(super) struct MaintenanceService {
    shared: Arc<Shared>,
    exports: Arc<Semaphore>,
}

impl MaintenanceService {
    pub(super) fn new(shared: &Arc<Shared>) -> MaintenanceService {
        MaintenanceService { shared: Arc::clone(shared), exports: Arc::new(Semaphore::new(MAX_EXPORTS)) }
    }

    /// Works on the state as etcd's database has it, where it keeps nobody waiting.
    async fn with_export<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Export) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        self.shared.check_alive().map_err(convert::status)?;
        let room = self.exports.acquire().await.map_err(|_| convert::status(Refusal::Stopped))?;
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let records = shared.state().dump();
            work(&Export::new(records))
        });
        let done = done.await.map_err(|_| convert::status(Refusal::Stopped))?;
        drop(room);
        done.map_err(|error| convert::status(Refusal::Request(error)))
    }

    async fn change_alarm(&self, caller: Caller, alarm: Alarm, active: bool) -> Result<PbAlarmResponse, Status> {
        // The alarm of a full disk is in no record: it goes when the disk has space again, which the writer finds out now.
        let full = alarm == self.shared.no_space_alarm() && self.shared.no_space.load(Ordering::Relaxed);
        match self.shared.submit(caller, Change::Alarm { alarm, active }).await.map_err(convert::status)? {
            Changed::Alarm { alarm: changed, .. } => {
                let changed = changed.or((full && !active).then_some(alarm));
                // Etcd answers without a header.
                Ok(PbAlarmResponse { header: None, alarms: changed.into_iter().map(alarm_member).collect() })
            }
            _ => Err(convert::mismatch()),
        }
    }
}

/// An alarm as etcd's Status tells it: its message in text form.
fn error_text(alarm: Alarm) -> String {
    format!("memberID:{} alarm:{} ", alarm.member, alarm.kind.name())
}

fn alarm_member(alarm: Alarm) -> PbAlarmMember {
    PbAlarmMember { member_id: alarm.member, alarm: alarm.kind.number() }
}

#[tonic::async_trait]
impl PbMaintenanceService for MaintenanceService {
    async fn alarm(&self, request: Request<PbAlarmRequest>) -> Result<Response<PbAlarmResponse>, Status> {
        let caller = self.shared.caller(&request).map_err(convert::status)?;
        let PbAlarmRequest { action, member_id, alarm } = *request.get_ref();
        let kind = AlarmKind::new(alarm);
        let response = match (action, kind) {
            (GET, _) => {
                let alarms =
                    self.shared.alarms().into_iter().filter(|found| kind.is_none_or(|kind| kind == found.kind));
                PbAlarmResponse { header: None, alarms: alarms.map(alarm_member).collect() }
            }
            (ACTIVATE | DEACTIVATE, Some(kind)) => {
                self.change_alarm(caller, Alarm { kind, member: member_id }, action == ACTIVATE).await?
            }
            // Nothing to do with an alarm that is none, or in a way that is none.
            _ => PbAlarmResponse::default(),
        };
        Ok(Response::new(response))
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
            version: ETCD_VERSION.to_owned(),
            db_size,
            leader: self.shared.identity.member_id,
            raft_index: revision as u64,
            raft_term: convert::TERM,
            raft_applied_index: revision as u64,
            errors: self.shared.alarms().into_iter().map(error_text).collect(),
            db_size_in_use: (bytes as i64).min(db_size),
            ..PbStatusResponse::default()
        }))
    }

    async fn defragment(
        &self,
        request: Request<PbDefragmentRequest>,
    ) -> Result<Response<PbDefragmentResponse>, Status> {
        self.shared.check_admin(&request).map_err(convert::maintenance_status)?;
        if self.shared.defragment().await.map_err(convert::status)? {
            // etcd's has no header either.
            Ok(Response::new(PbDefragmentResponse { header: None }))
        } else {
            Err(Status::resource_exhausted("the log cannot be written anew: see the store's log for the reason"))
        }
    }

    async fn hash(&self, request: Request<PbHashRequest>) -> Result<Response<PbHashResponse>, Status> {
        self.shared.check_admin(&request).map_err(convert::maintenance_status)?;
        let (hash, revision) = self.with_export(|export| Ok(hash_all(export))).await?;
        Ok(Response::new(PbHashResponse { header: convert::header(&self.shared, revision), hash }))
    }

    async fn hash_kv(&self, request: Request<PbHashKvRequest>) -> Result<Response<PbHashKvResponse>, Status> {
        self.shared.check_admin(&request).map_err(convert::maintenance_status)?;
        let asked = request.get_ref().revision;
        let hashed = self.with_export(move |export| hash_kv(export, asked)).await?;
        let header = convert::header(&self.shared, hashed.revision);
        Ok(Response::new(PbHashKvResponse {
            header,
            hash: hashed.hash,
            compact_revision: hashed.compacted,
            ..PbHashKvResponse::default()
        }))
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<PbSnapshotResponse, Status>> + Send>>;

    async fn snapshot(&self, request: Request<PbSnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        self.shared.check_admin(&request).map_err(convert::maintenance_status)?;
        self.shared.check_alive().map_err(convert::status)?;
        let room = self.exports.clone().try_acquire_owned().map_err(|_| convert::status(Refusal::Busy))?;
        Ok(Response::new(snapshot::stream(Arc::clone(&self.shared), room)))
    }

    async fn move_leader(
        &self,
        request: Request<PbMoveLeaderRequest>,
    ) -> Result<Response<PbMoveLeaderResponse>, Status> {
        if request.get_ref().target_id != self.shared.identity.member_id {
            return Err(Status::failed_precondition("etcdserver: bad leader transferee"));
        }
        Ok(Response::new(PbMoveLeaderResponse::default()))
    }

    async fn downgrade(&self, _: Request<PbDowngradeRequest>) -> Result<Response<PbDowngradeResponse>, Status> {
        Err(Status::unimplemented(
            "unknown method Downgrade for service etcdserverpb.Maintenance: etcd has it from 3.5 on",
        ))
    }
}
