//! Flota's own paths: why a unit is where it is, and how the daemon is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flota_api::native::{Explanation, Health, MachineVerdict};
use flota_registry::{DesiredState, MachineId};
use flota_unit::UnitName;

use super::Api;
use super::error::ApiError;
use super::extract::Name;
use super::view::{View, to_v1};

pub async fn why(State(api): State<Arc<Api>>, Name(name): Name) -> Result<Json<Explanation>, ApiError> {
    let name: UnitName = name.parse().map_err(|_| ApiError::no_such_unit())?;
    // Every unit counts: another one's Conflicts may be the reason.
    let feed = api.fresh().await?;
    explanation(&feed.view(), &name).map(Json).ok_or_else(ApiError::no_such_unit)
}

pub async fn health(State(api): State<Arc<Api>>) -> Json<Health> {
    let link = api.link.borrow().clone();
    let leader = api.leader.borrow().as_ref().map(ToString::to_string);
    let mut health = Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine_id: api.me.to_string(),
        store_connected: link.is_some(),
        leader,
        revision: 0,
        generation: *api.generation.borrow(),
        detail: None,
    };
    match link {
        None => {
            let away = || "the store is out of reach; units run on".to_owned();
            health.detail = Some(api.trust.reason().unwrap_or_else(away));
        }
        Some(link) => match link.client.get(&flota_registry::Key::Leader.to_string()).await {
            Ok((revision, _)) => {
                health.revision = revision;
                health.detail = api.trust.reason();
            }
            Err(why) => health.detail = Some(format!("store: {why}")),
        },
    }
    Json(health)
}

fn explanation(view: &View, name: &UnitName) -> Option<Explanation> {
    let explained = flota_engine::explain(&view.snapshot, name)?;
    let machines: Vec<MachineVerdict> = explained
        .verdicts
        .iter()
        .map(|verdict| MachineVerdict {
            machine: verdict.machine.to_string(),
            address: verdict.address.clone(),
            eligible: verdict.reasons.is_empty(),
            reasons: verdict.reasons.iter().map(ToString::to_string).collect(),
        })
        .collect();
    let place = view.placed(name).map(|(machine, _)| machine.clone());
    let cause = explained.scheduled.iter().find(|(machine, _)| Some(machine) == place.as_ref());
    let problem = explained.problem.clone().or_else(|| match (&place, explained.desired) {
        (Some(machine), _) => problem_on(view, machine, name),
        (None, DesiredState::Inactive) => None,
        (None, _) if machines.is_empty() => Some("no machine is alive".to_owned()),
        (None, _) if machines.iter().all(|verdict| !verdict.eligible) => Some("no machine can take it".to_owned()),
        (None, _) => None,
    });
    Some(Explanation {
        unit: name.to_string(),
        desired: to_v1(explained.desired),
        scheduled_on: place.map(|machine| machine.to_string()),
        cause: cause.map(|(_, cause)| cause.clone()),
        machines,
        problem,
    })
}

/// What the machine that has the unit says against it.
fn problem_on(view: &View, machine: &MachineId, name: &UnitName) -> Option<String> {
    if !view.snapshot.machines().contains_key(machine) {
        return Some(format!("machine {} does not answer", machine.short()));
    }
    let report = &view.snapshot.reports().get(machine)?.value;
    let unit = report.units.get(name).and_then(|unit| unit.problem.clone());
    unit.or_else(|| report.problem.clone())
}
