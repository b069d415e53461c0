//! The configuration files that confd keeps, on all machines.

use std::sync::Arc;

use axum::Json;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::serve::IncomingStream;
use flota_api::conf as api;
use flota_registry::{ConfGroup, ConfReport, ConfState, Entry, Key, KeyValue, keys};
use tokio::net::UnixListener;

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::extract::Body;
use crate::tasks::conf::Unheard;

/// Longest name of a directory, in bytes.
const MAX_SOURCE_BYTES: usize = 1024;

/// The process at the other end of a connection, where the kernel knows it.
#[derive(Debug, Clone, Copy)]
pub struct Caller(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Caller {
        let pid = stream.io().peer_cred().ok().and_then(|credentials| credentials.pid());
        Caller(pid.and_then(|pid| u32::try_from(pid).ok()))
    }
}

pub async fn list(State(daemon): State<Arc<Api>>) -> Result<Json<api::ConfList>, ApiError> {
    let (_, pairs) = daemon.client()?.range(keys::CONF).await?;
    Ok(Json(api::ConfList { machines: pairs.iter().filter_map(machine).collect() }))
}

pub async fn tell(
    State(daemon): State<Arc<Api>>,
    ConnectInfo(Caller(pid)): ConnectInfo<Caller>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let api::ConfSource { source, resources } = body.json()?;
    if !(1..=MAX_SOURCE_BYTES).contains(&source.len()) {
        return Err(ApiError::bad_request(format!("the name of a directory has 1 to {MAX_SOURCE_BYTES} bytes")));
    }
    let Some(handle) = &daemon.conf else { return Err(Unheard::Busy.into()) };
    let pid = pid.ok_or(Unheard::Nobody)?;
    handle.tell(source, pid, resources.into_iter().map(from_json).collect()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET and PUT")
}

impl From<Unheard> for ApiError {
    fn from(error: Unheard) -> ApiError {
        let status = match error {
            Unheard::TooMuch(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Unheard::Nobody => StatusCode::CONFLICT,
            Unheard::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        ApiError::new(status, error.to_string())
    }
}

/// What a machine tells; none for a key that is none of a machine's.
fn machine(pair: &KeyValue) -> Option<api::ConfMachine> {
    let Some(Key::Conf(id)) = Key::parse(&pair.key) else { return None };
    let (report, problem) = match Entry::<ConfReport>::decode(pair) {
        Ok(entry) => (entry.value, None),
        Err(why) => (ConfReport::default(), Some(why.to_string())),
    };
    let sources = report
        .sources
        .into_iter()
        .map(|(source, groups)| api::ConfSource { source, resources: groups.into_iter().map(to_json).collect() });
    Some(api::ConfMachine { machine: id.to_string(), sources: sources.collect(), problem })
}

fn to_json(group: ConfGroup) -> api::ConfGroup {
    let ConfGroup { resource, state, revision, error, files } = group;
    let state = match state {
        ConfState::Ok => api::ConfState::Ok,
        ConfState::Pending => api::ConfState::Pending,
        ConfState::Failed => api::ConfState::Failed,
        ConfState::ReloadFailed => api::ConfState::ReloadFailed,
        ConfState::Unattended => api::ConfState::Unattended,
    };
    api::ConfGroup { resource, state, revision, error, files }
}

fn from_json(group: api::ConfGroup) -> ConfGroup {
    let api::ConfGroup { resource, state, revision, error, files } = group;
    let state = match state {
        api::ConfState::Ok => ConfState::Ok,
        api::ConfState::Pending => ConfState::Pending,
        api::ConfState::Failed => ConfState::Failed,
        api::ConfState::ReloadFailed => ConfState::ReloadFailed,
        api::ConfState::Unattended => ConfState::Unattended,
    };
    ConfGroup { resource, state, revision, error, files }
}
