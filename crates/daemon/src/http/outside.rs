//! The answers of a machine that has to join a cluster first, and is none of its own.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::routing::{get, post};
use axum::{Json, Router};
use flota_api::join::{JoinRequest, JoinWay, Joined};
use flota_api::native::Health;
use flota_api::paths;
use flota_registry::MachineId;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::error::ApiError;
use super::extract::Body;
use super::{named, serve_on};
use crate::join::Joiner;

/// What is said to everybody, until the machine has joined.
const OUTSIDE: &str = "this machine is in no cluster, and nothing runs on it: `[join] required` of flota.toml has it join one \
                       (`flota token create` on a machine of that cluster, then here what it prints), and keeps it from \
                       being one of its own";

/// What the answers of such a machine are made from.
pub struct Outside {
    me: MachineId,
    joiner: Joiner,
    /// Why the last attempt to join failed.
    refused: Mutex<Option<String>>,
}

impl Outside {
    /// Of machine `me`.
    pub fn new(me: MachineId, joiner: Joiner) -> Outside {
        Outside { me, joiner, refused: Mutex::default() }
    }

    /// What people are told.
    pub fn text(&self) -> String {
        match &*self.refused.lock().unwrap_or_else(PoisonError::into_inner) {
            None => OUTSIDE.to_owned(),
            Some(why) => format!("{OUTSIDE}; the last attempt failed: {why}"),
        }
    }

    fn note(&self, why: Option<String>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// Serves the API of such a machine until `shutdown`: it can join, and all else is refused.
pub async fn serve_outside(outside: Outside, listeners: Vec<UnixListener>, shutdown: CancellationToken) {
    let router = Router::new()
        .route(paths::HEALTH, get(health).fallback(refuse))
        .route(paths::JOIN, post(join).fallback(refuse))
        .fallback(refuse)
        .layer(map_response(named))
        .with_state(Arc::new(outside));
    serve_on(router, listeners, &shutdown).await;
}

/// Joins. The daemon's next start is that of a machine of the cluster.
async fn join(State(outside): State<Arc<Outside>>, body: Body) -> Result<Json<Joined>, ApiError> {
    let request: JoinRequest = body.json()?;
    let place = match &request.way {
        JoinWay::Token { address, .. } => address.clone(),
        JoinWay::Store { endpoints, .. } => endpoints.join(", "),
    };
    match outside.joiner.join(request, None).await {
        Ok(joined) => {
            outside.note(None);
            Ok(Json(joined))
        }
        Err(refusal) => {
            let why = refusal.told();
            warn!("cannot join the cluster at {place}: {why}");
            outside.note(Some(why));
            Err(refusal.into())
        }
    }
}

async fn health(State(outside): State<Arc<Outside>>) -> Json<Health> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let (machine_id, detail) = (outside.me.to_string(), Some(outside.text()));
    Json(Health { version, machine_id, store_connected: false, leader: None, revision: 0, generation: 0, detail })
}

async fn refuse(State(outside): State<Arc<Outside>>) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, outside.text())
}
