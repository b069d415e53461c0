//! What handlers read from the store: as much of the cluster as a request needs.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use flota_api::page::PageToken;
use flota_api::paths::QUERY_PAGE;
use flota_api::v1;
use flota_etcd::StoreClient;
use flota_registry::{ClusterSnapshot, DesiredState, Key, MachineId, ObservedUnit, TargetState, keys};
use flota_unit::UnitName;

use super::Api;
use super::error::ApiError;

impl Api {
    /// The way to the store, if it is reached.
    pub fn client(&self) -> Result<StoreClient, ApiError> {
        self.link.borrow().as_ref().map(|link| link.client.clone()).ok_or_else(ApiError::away)
    }

    /// Everything.
    pub async fn cluster(&self) -> Result<ClusterSnapshot, ApiError> {
        let (revision, pairs) = self.client()?.range(keys::PREFIX).await?;
        Ok(ClusterSnapshot::from_range(revision, pairs))
    }

    /// Machines, schedules and reports, and of the units only `name` with its text.
    pub async fn around(&self, name: &UnitName) -> Result<ClusterSnapshot, ApiError> {
        let client = self.client()?;
        let (revision, unit) = client.get(&Key::Unit(name.clone()).to_string()).await?;
        let mut pairs = Vec::from_iter(unit);
        let first = ClusterSnapshot::from_range(revision, pairs.clone());
        if let Some(entry) = first.units().get(name) {
            pairs.extend(client.get(&Key::File(entry.value.hash).to_string()).await?.1);
        }
        for prefix in [keys::MACHINES, keys::SCHEDULES, keys::REPORTS] {
            pairs.extend(client.range(prefix).await?.1);
        }
        Ok(ClusterSnapshot::from_range(revision, pairs))
    }

    /// Only one prefix.
    pub async fn only(&self, prefix: &str) -> Result<ClusterSnapshot, ApiError> {
        let (revision, pairs) = self.client()?.range(prefix).await?;
        Ok(ClusterSnapshot::from_range(revision, pairs))
    }
}

/// The page that a list request asks for.
pub struct Page(pub Option<PageToken>);

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = query.map_err(|error| ApiError::bad_request(error.to_string()))?;
        let values = pairs.iter().filter(|(key, _)| key == QUERY_PAGE).map(|(_, value)| value.as_str());
        Ok(Page(PageToken::from_query(values)?))
    }
}

/// One unit as fleet's API tells it.
pub fn unit(snapshot: &ClusterSnapshot, name: &UnitName) -> Option<v1::Unit> {
    let desired = &snapshot.units().get(name)?.value;
    let file = snapshot.files().get(&desired.hash);
    let options = file.into_iter().flat_map(|file| file.value.entries()).map(|entry| v1::UnitOption {
        section: entry.section.clone(),
        name: entry.name.clone(),
        value: entry.value.clone(),
    });
    let global = file.is_some_and(|file| is_global(name, &file.value));
    let place = if global { None } else { placed(snapshot, name) };
    Some(v1::Unit {
        name: name.to_string(),
        options: options.collect(),
        desired_state: Some(to_v1(desired.desired)),
        current_state: if global { None } else { Some(current(snapshot, name, place)) },
        machine_id: place.map_or_else(String::new, |(machine, _)| machine.to_string()),
    })
}

fn is_global(name: &UnitName, file: &flota_unit::UnitFile) -> bool {
    flota_unit::Requirements::from_unit(name, file).is_ok_and(|requirements| requirements.global)
}

/// Where a unit is scheduled, and how far it is to be taken there. Of several places one whose machine lives.
pub fn placed<'a>(snapshot: &'a ClusterSnapshot, name: &UnitName) -> Option<(&'a MachineId, TargetState)> {
    let places =
        snapshot.schedules().iter().filter_map(|(id, schedule)| Some((id, schedule.value.units.get(name)?.target)));
    places.max_by_key(|(id, _)| snapshot.machines().contains_key(*id))
}

/// fleet's three words for what has become of a unit, from its schedule and its machine's report.
fn current(snapshot: &ClusterSnapshot, name: &UnitName, place: Option<(&MachineId, TargetState)>) -> v1::CurrentState {
    let observed: Option<&ObservedUnit> =
        place.and_then(|(machine, _)| snapshot.reports().get(machine)?.value.units.get(name));
    match observed {
        Some(unit) if unit.started => v1::CurrentState::Launched,
        Some(unit) if unit.hash.is_some() => v1::CurrentState::Loaded,
        _ => v1::CurrentState::Inactive,
    }
}

pub fn to_v1(state: DesiredState) -> v1::DesiredState {
    match state {
        DesiredState::Inactive => v1::DesiredState::Inactive,
        DesiredState::Loaded => v1::DesiredState::Loaded,
        DesiredState::Launched => v1::DesiredState::Launched,
    }
}

pub fn from_v1(state: v1::DesiredState) -> DesiredState {
    match state {
        v1::DesiredState::Inactive => DesiredState::Inactive,
        v1::DesiredState::Loaded => DesiredState::Loaded,
        v1::DesiredState::Launched => DesiredState::Launched,
    }
}
