//! `/v1/leave`: the order to leave the cluster, and the answers of a machine that leaves or has left.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::routing::{get, post};
use axum::{Json, Router};
use flota_agent::{Leaving, may_leave};
use flota_api::join::Joined;
use flota_api::machines::{LeaveRequest, LeaveStage, LeaveStatus};
use flota_api::native::Health;
use flota_api::paths;
use flota_registry::{ClusterId, ClusterSnapshot, MachineId};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::{ApiError, method_not_allowed};
use super::extract::Body;
use super::{Api, members, named, serve_on};
use crate::join::Joiner;
use crate::leave::{Desk, plan, text};

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET and POST")
}

/// A machine that belongs to its cluster is on no way out of it.
pub async fn show() -> Json<LeaveStatus> {
    Json(LeaveStatus::default())
}

pub async fn order(State(api): State<Arc<Api>>, body: Body) -> Result<StatusCode, ApiError> {
    let LeaveRequest { keep, force, check } = body.json()?;
    if force && !keep {
        return Err(ApiError::bad_request("only a machine that keeps its units may be forced out"));
    }
    let link = api.link.borrow().clone();
    let desk = api.desk.as_ref().ok_or_else(|| ApiError::internal("this daemon has no data directory"))?;
    let cluster = match &link {
        Some(_) => asked(&api, desk, keep, check).await?,
        // Nobody can be asked, and nobody be told.
        None if force => None,
        None => return Err(ApiError::away()),
    };
    if keep {
        let (dir, etc) = (desk.dir.clone(), desk.etc.clone());
        let planned = tokio::task::spawn_blocking(move || plan(&dir, &etc)).await;
        let planned = planned.map_err(|why| ApiError::internal(why.to_string()))?;
        planned
            .map_err(|why| ApiError::internal(format!("{why:#}")))?
            .map_err(|refusal| ApiError::conflict(refusal.to_string()))?;
    }
    if check {
        return Ok(StatusCode::NO_CONTENT);
    }
    if !desk.order(cluster, link.map(|link| link.lease), keep) {
        return Err(ApiError::conflict("this machine leaves already"));
    }
    Ok(StatusCode::ACCEPTED)
}

/// Asks the cluster whether this machine may leave; returns its id.
async fn asked(api: &Api, desk: &Desk, keep: bool, check: bool) -> Result<Option<ClusterId>, ApiError> {
    let feed = api.fresh().await?;
    let view = feed.view();
    let leaving = Leaving { keep, has_store: desk.has_store, ..seen(&view.snapshot, &api.me) };
    may_leave(&leaving, !check).map_err(|refusal| ApiError::conflict(refusal.to_string()))?;
    Ok(view.snapshot.cluster().map(|entry| entry.value.id.clone()))
}

fn seen(snapshot: &ClusterSnapshot, me: &MachineId) -> Leaving {
    let others = |id: &&MachineId| *id != me;
    let living = snapshot.machines().keys().filter(others).count();
    let absent = snapshot.members().keys().filter(others).filter(|id| !snapshot.machines().contains_key(*id)).count();
    Leaving { living, members: living + absent, holds: members::held(snapshot, me).len(), ..Leaving::default() }
}

/// What the answers of a machine that leaves are made from.
pub struct Left {
    pub me: MachineId,
    pub status: watch::Receiver<LeaveStatus>,
    /// The way into a cluster again.
    pub joiner: Joiner,
    /// The note that keeps the machine out.
    pub note: PathBuf,
}

/// Serves the API of a machine that leaves or has left, until `shutdown`: everything but its own state is refused.
pub async fn serve_left(left: Left, listeners: Vec<UnixListener>, shutdown: CancellationToken) {
    let router = Router::new()
        .route(paths::LEAVE, get(left_status).fallback(refuse))
        .route(paths::HEALTH, get(left_health).fallback(refuse))
        .route(paths::JOIN, post(join).fallback(refuse))
        .fallback(refuse)
        .layer(map_response(named))
        .with_state(Arc::new(left));
    serve_on(router, listeners, &shutdown).await;
}

async fn left_status(State(left): State<Arc<Left>>) -> Json<LeaveStatus> {
    Json(left.status.borrow().clone())
}

/// Joins a cluster, also the one that it left. The daemon's next start is that of a machine like any other.
async fn join(State(left): State<Arc<Left>>, body: Body) -> Result<Json<Joined>, ApiError> {
    if left.status.borrow().stage != LeaveStage::Done {
        return Err(ApiError::conflict(text(&left.status.borrow())));
    }
    let joined = left.joiner.join(body.json()?, None).await.map_err(ApiError::from)?;
    match std::fs::remove_file(&left.note) {
        Err(why) if why.kind() != ErrorKind::NotFound => {
            Err(ApiError::internal(format!("cannot remove {}: {why}", left.note.display())))
        }
        _ => Ok(Json(joined)),
    }
}

async fn left_health(State(left): State<Arc<Left>>) -> Json<Health> {
    let detail = Some(text(&left.status.borrow()));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let machine_id = left.me.to_string();
    Json(Health { version, machine_id, store_connected: false, leader: None, revision: 0, generation: 0, detail })
}

async fn refuse(State(left): State<Arc<Left>>) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text(&left.status.borrow()))
}
