//! `/state`: what every machine's systemd says about its units.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flota_api::page::{PageToken, page_of};
use flota_api::paths::{QUERY_MACHINE, QUERY_UNIT};
use flota_api::v1;
use flota_unit::UnitName;

use super::Api;
use super::error::ApiError;
use super::extract::{Name, Page, Pairs};

pub async fn list(State(api): State<Arc<Api>>, page: Page, query: Pairs) -> Result<Json<v1::UnitStatePage>, ApiError> {
    let feed = api.read(&page).await?;
    let (unit, machine) = (query.first(QUERY_UNIT), query.first(QUERY_MACHINE));
    let view = feed.view();
    let wanted: Vec<_> = view
        .states()
        .iter()
        .filter(|(name, id)| unit.is_none_or(|it| name.as_str() == it) && machine.is_none_or(|it| id.as_str() == it))
        .collect();
    let (range, next) = page_of(wanted.len(), page.0);
    let states = wanted[range].iter().filter_map(|(name, id)| view.state(name, id)).collect();
    Ok(Json(v1::UnitStatePage { states, next_page_token: next.map_or_else(String::new, PageToken::encode) }))
}

/// One state, as fleet had it: of a unit on several machines the first.
pub async fn show(State(api): State<Arc<Api>>, Name(name): Name) -> Result<Json<v1::UnitState>, ApiError> {
    let name: UnitName = name.parse().map_err(|_| ApiError::no_such_unit())?;
    let feed = api.fresh().await?;
    let view = feed.view();
    let first = view.states().partition_point(|(other, _)| *other < name);
    let place = view.states().get(first).filter(|(other, _)| *other == name);
    if let Some(state) = place.and_then(|(name, id)| view.state(name, id)) {
        return Ok(Json(state));
    }
    if view.snapshot.units().contains_key(&name) {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "unit has no state: no machine has loaded it"));
    }
    Err(ApiError::no_such_unit())
}
