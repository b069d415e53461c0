//! `/v1/machines`: all machines that belong to the cluster, and what people ask of them as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flota_api::machines::{
    CordonInfo, CordonMode as Mode, CordonRequest, HeldUnit, MachineDetail, MachineInfo, MachineList, MachineState,
};
use flota_api::paths::QUERY_FORCE;
use flota_etcd::{Committed, StoreClient};
use flota_registry::{ClusterSnapshot, Cordon, CordonMode, Entry, Key, MachineId, put_cordon, remove_cordon};

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::extract::{Body, Name, Pairs};
use crate::clock::now_unix_ms;

/// Longest reason, in bytes.
const MAX_REASON_BYTES: usize = 1024;
/// How often a change is tried anew when somebody else changed the same machine in between.
const MAX_TRIES: usize = 5;

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET and DELETE")
}

pub async fn wrong_method_of_cordon() -> ApiError {
    method_not_allowed("PUT and DELETE")
}

pub async fn list(State(api): State<Arc<Api>>) -> Result<Json<MachineList>, ApiError> {
    let feed = api.fresh().await?;
    let view = feed.view();
    let snapshot = &view.snapshot;
    let ids = snapshot.machines().keys().chain(snapshot.members().keys()).chain(snapshot.cordons().keys());
    let ids: BTreeSet<&MachineId> = ids.collect();
    let machines = ids.into_iter().filter_map(|id| info(snapshot, id)).collect();
    Ok(Json(MachineList { machines }))
}

pub async fn show(State(api): State<Arc<Api>>, Name(name): Name) -> Result<Json<MachineDetail>, ApiError> {
    let id = machine_id(&name)?;
    let feed = api.fresh().await?;
    let view = feed.view();
    let machine = info(&view.snapshot, &id).ok_or_else(no_such_machine)?;
    Ok(Json(MachineDetail { machine, holds: held(&view.snapshot, &id) }))
}

pub async fn cordon(State(api): State<Arc<Api>>, Name(name): Name, body: Body) -> Result<StatusCode, ApiError> {
    let id = machine_id(&name)?;
    let CordonRequest { mode, reason } = body.json()?;
    let mode = match mode {
        Mode::Cordoned => CordonMode::Cordoned,
        Mode::Draining => CordonMode::Draining,
        Mode::Removed => return Err(ApiError::bad_request("a machine is removed by DELETE of the machine itself")),
    };
    known(&api, &id).await?;
    let wanted = Cordon { mode, reason: checked_reason(reason)?, since_unix_ms: now_unix_ms() };
    change(&api, &id, |current| {
        refuse_removed(current)?;
        // Whoever asks again for the same changes nothing.
        let same = current.is_some_and(|it| it.mode == wanted.mode && it.reason == wanted.reason);
        Ok((!same).then(|| Some(wanted.clone())))
    })
    .await
}

pub async fn uncordon(State(api): State<Arc<Api>>, Name(name): Name) -> Result<StatusCode, ApiError> {
    let id = machine_id(&name)?;
    known(&api, &id).await?;
    change(&api, &id, |current| {
        refuse_removed(current)?;
        Ok(current.map(|_| None))
    })
    .await
}

/// Takes a machine out of the cluster: its units are placed elsewhere, then the leader forgets it.
pub async fn remove(State(api): State<Arc<Api>>, Name(name): Name, pairs: Pairs) -> Result<StatusCode, ApiError> {
    let id = machine_id(&name)?;
    let force = match pairs.first(QUERY_FORCE) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!("{QUERY_FORCE} is `{other}`, expected true or false")));
        }
    };
    let alive = known(&api, &id).await?;
    if alive && !force {
        let message = format!("machine {} lives", id.short());
        return Err(ApiError::conflict(message));
    }
    change(&api, &id, |current| {
        let done = current.is_some_and(|it| it.mode == CordonMode::Removed);
        let reason = current.and_then(|it| it.reason.clone());
        let removed = Cordon { mode: CordonMode::Removed, reason, since_unix_ms: now_unix_ms() };
        Ok((!done).then_some(Some(removed)))
    })
    .await
    .map(|_| StatusCode::ACCEPTED)
}

/// Whether the machine lives; an error when the cluster does not know it.
async fn known(api: &Api, id: &MachineId) -> Result<bool, ApiError> {
    let feed = api.fresh().await?;
    let view = feed.view();
    info(&view.snapshot, id).map(|machine| machine.alive).ok_or_else(no_such_machine)
}

/// Changes what is asked of a machine; `next` says what is to be asked instead (none: nothing), or that all is well.
async fn change(
    api: &Api,
    id: &MachineId,
    next: impl Fn(Option<&Cordon>) -> Result<Option<Option<Cordon>>, ApiError>,
) -> Result<StatusCode, ApiError> {
    let client = api.client()?;
    for _ in 0..MAX_TRIES {
        let current = read(&client, id).await?;
        let Some(wanted) = next(current.as_ref().map(|entry| &entry.value))? else {
            return Ok(StatusCode::NO_CONTENT);
        };
        let seen = current.map(|entry| entry.mod_revision);
        let txn = match (wanted, seen) {
            (Some(cordon), seen) => put_cordon(id, &cordon, seen),
            (None, Some(seen)) => remove_cordon(id, seen),
            (None, None) => return Ok(StatusCode::NO_CONTENT),
        };
        if let Committed::Yes(_) = api.commit(&client, &txn).await? {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(ApiError::contended())
}

async fn read(client: &StoreClient, id: &MachineId) -> Result<Option<Entry<Cordon>>, ApiError> {
    let key = Key::Cordon(id.clone()).to_string();
    let (_, pair) = client.get(&key).await?;
    pair.as_ref().map(Entry::decode).transpose().map_err(|error| ApiError::internal(format!("{key}: {error}")))
}

fn refuse_removed(current: Option<&Cordon>) -> Result<(), ApiError> {
    match current {
        Some(Cordon { mode: CordonMode::Removed, .. }) => Err(ApiError::conflict("the machine is being removed")),
        _ => Ok(()),
    }
}

fn checked_reason(reason: Option<String>) -> Result<Option<String>, ApiError> {
    let reason = reason.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match &reason {
        Some(text) if text.len() > MAX_REASON_BYTES => {
            Err(ApiError::bad_request(format!("a reason has at most {MAX_REASON_BYTES} bytes")))
        }
        Some(text) if text.contains(char::is_control) => {
            Err(ApiError::bad_request("a reason is one line, without control characters"))
        }
        _ => Ok(reason),
    }
}

fn machine_id(text: &str) -> Result<MachineId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request(format!("{error}")))
}

fn no_such_machine() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "machine does not exist")
}

/// What is known of a machine; none when it neither lives, nor belongs to the cluster, nor is spoken of.
fn info(snapshot: &ClusterSnapshot, id: &MachineId) -> Option<MachineInfo> {
    let living = snapshot.machines().get(id).map(|entry| &entry.value);
    let member = snapshot.members().get(id).map(|entry| &entry.value);
    let cordon = snapshot.cordons().get(id).map(|entry| &entry.value);
    if living.is_none() && member.is_none() && cordon.is_none() {
        return None;
    }
    let frozen = living.and_then(|machine| machine.frozen.clone());
    let down = member.and_then(|member| member.down_unix_ms);
    let notes = snapshot.notes();
    let asked = || cordon.and_then(|cordon| cordon.reason.clone());
    let (state, reason) = match (living, cordon.map(|cordon| cordon.mode)) {
        (_, Some(CordonMode::Removed)) => (MachineState::Removed, asked()),
        (None, _) if down.is_some() => (MachineState::Down, None),
        (None, _) => (MachineState::Lost, notes.and_then(|notes| notes.suspects.get(id)).cloned()),
        (Some(_), _) if frozen.is_some() => (MachineState::Frozen, frozen),
        (Some(_), Some(CordonMode::Draining)) => (MachineState::Draining, asked()),
        (Some(_), Some(CordonMode::Cordoned)) => (MachineState::Cordoned, asked()),
        (Some(_), None) => (MachineState::Ready, None),
    };
    let address = living.map(|machine| &machine.address).or(member.map(|member| &member.address));
    Some(MachineInfo {
        id: id.to_string(),
        address: address.cloned().unwrap_or_default(),
        metadata: snapshot.effective_metadata(id).into_owned(),
        peer: member.and_then(|member| member.peer.clone()),
        state,
        reason,
        alive: living.is_some(),
        cordon: cordon.map(to_json),
        down_unix_ms: down.filter(|_| living.is_none()),
        version: living.map(|machine| machine.version.clone()),
        cpus: living.map(|machine| machine.capacity.cpus),
        memory_bytes: living.map(|machine| machine.capacity.memory_bytes),
        units: held(snapshot, id).len() as u64,
    })
}

/// The units of its schedule, and those that it still reports beside them.
pub fn held(snapshot: &ClusterSnapshot, id: &MachineId) -> Vec<HeldUnit> {
    let scheduled = snapshot.schedules().get(id).map(|entry| &entry.value.units);
    let reported = snapshot.reports().get(id).map(|entry| &entry.value.units);
    let mut held: BTreeMap<&str, HeldUnit> = BTreeMap::new();
    for name in scheduled.into_iter().flatten().map(|(name, _)| name.as_str()) {
        held.insert(name, HeldUnit { unit: name.to_owned(), scheduled: true, active: String::new() });
    }
    for (name, unit) in reported.into_iter().flatten() {
        let active = unit.states.active.clone();
        match held.get_mut(name.as_str()) {
            Some(held) => held.active = active,
            None if unit.hash.is_none() => {}
            None => {
                held.insert(name.as_str(), HeldUnit { unit: name.to_string(), scheduled: false, active });
            }
        }
    }
    held.into_values().collect()
}

fn to_json(cordon: &Cordon) -> CordonInfo {
    let mode = match cordon.mode {
        CordonMode::Cordoned => Mode::Cordoned,
        CordonMode::Draining => Mode::Draining,
        CordonMode::Removed => Mode::Removed,
    };
    CordonInfo { mode, reason: cordon.reason.clone(), since_unix_ms: cordon.since_unix_ms }
}
