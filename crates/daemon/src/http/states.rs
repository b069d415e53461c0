//! `/state`: what every machine's systemd says about its units.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use flota_api::page::{PageToken, paginate};
use flota_api::v1;
use flota_registry::{ClusterSnapshot, MachineId, ObservedUnit, keys};
use flota_unit::UnitName;
use serde::Deserialize;

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::view::Page;

#[derive(Debug, Deserialize)]
pub struct Filter {
    #[serde(rename = "unitName", default)]
    unit: String,
    #[serde(rename = "machineID", default)]
    machine: String,
}

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET")
}

pub async fn list(
    State(api): State<Arc<Api>>,
    page: Page,
    Query(filter): Query<Filter>,
) -> Result<Json<v1::UnitStatePage>, ApiError> {
    let snapshot = api.only(keys::REPORTS).await?;
    let mut states = states(&snapshot);
    states.retain(|state| filter.unit.is_empty() || state.name == filter.unit);
    states.retain(|state| filter.machine.is_empty() || state.machine_id == filter.machine);
    let (states, next) = paginate(&states, page.0);
    let next_page_token = next.map_or_else(String::new, PageToken::encode);
    Ok(Json(v1::UnitStatePage { states: states.to_vec(), next_page_token }))
}

/// One state, as fleet had it: of a unit on several machines the first.
pub async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Json<v1::UnitState>, ApiError> {
    let snapshot = api.only(keys::REPORTS).await?;
    states(&snapshot).into_iter().find(|state| state.name == name).map(Json).ok_or_else(ApiError::no_such_unit)
}

/// By unit, then machine.
fn states(snapshot: &ClusterSnapshot) -> Vec<v1::UnitState> {
    let of_machine =
        |(id, report): (&MachineId, &flota_registry::Entry<flota_registry::Report>)| -> Vec<v1::UnitState> {
            report
                .value
                .units
                .iter()
                .filter(|(_, unit)| unit.hash.is_some())
                .map(|(name, unit)| state(id, name, unit))
                .collect()
        };
    let mut states: Vec<v1::UnitState> = snapshot.reports().iter().flat_map(of_machine).collect();
    states.sort_by(|a, b| (&a.name, &a.machine_id).cmp(&(&b.name, &b.machine_id)));
    states
}

fn state(machine: &MachineId, name: &UnitName, unit: &ObservedUnit) -> v1::UnitState {
    v1::UnitState {
        name: name.to_string(),
        hash: unit.hash.map_or_else(String::new, |hash| hash.to_string()),
        machine_id: machine.to_string(),
        systemd_load_state: unit.states.load.clone(),
        systemd_active_state: unit.states.active.clone(),
        systemd_sub_state: unit.states.sub.clone(),
    }
}
