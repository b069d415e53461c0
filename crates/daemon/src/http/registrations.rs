//! Flota's own path for keys that live as long as a unit of this machine is active.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flota_agent::registrations::{Listed, Outcome, Refusal};
use flota_api::paths::QUERY_REGISTRATION;
use flota_api::registrations::{Registered, Registration, RegistrationList, RegistrationState, Value};
use flota_unit::UnitName;

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::extract::{Body, Pairs};
use crate::tasks::registrations::Unanswered;

pub async fn list(State(api): State<Arc<Api>>) -> Result<Json<RegistrationList>, ApiError> {
    let registrations = api.registrations.list().await?.into_iter().map(to_json).collect();
    Ok(Json(RegistrationList { registrations }))
}

pub async fn put(State(api): State<Arc<Api>>, body: Body) -> Result<(StatusCode, Json<Registered>), ApiError> {
    let Registration { unit, key, value, ttl_seconds } = body.json()?;
    let unit = unit_name(&unit)?;
    let value =
        value.bytes().ok_or_else(|| ApiError::bad_request("exactly one of `value` and `value_base64` is expected"))?;
    match api.registrations.put(unit, key, value, ttl_seconds).await? {
        Outcome::Registered(lease) => {
            Ok((StatusCode::OK, Json(Registered { lease: Some(format!("{:x}", lease.0)), detail: None })))
        }
        Outcome::Accepted(why) => Ok((StatusCode::ACCEPTED, Json(Registered { lease: None, detail: Some(why) }))),
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Removed => Err(ApiError::internal("a registration was answered as a removal")),
    }
}

pub async fn remove(State(api): State<Arc<Api>>, pairs: Pairs) -> Result<StatusCode, ApiError> {
    let missing = |name: &str| ApiError::bad_request(format!("query parameter `{name}` is missing"));
    let [unit, key] = QUERY_REGISTRATION.map(|name| pairs.first(name).ok_or_else(|| missing(name)));
    match api.registrations.remove(unit_name(unit?)?, key?.to_owned()).await? {
        Outcome::Refused(refusal) => Err(refusal.into()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET, PUT and DELETE")
}

fn unit_name(text: &str) -> Result<UnitName, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request(format!("unit `{text}`: {error}")))
}

fn to_json(listed: Listed) -> RegistrationState {
    let Listed { unit, key, value, ttl, lease, problem } = listed;
    RegistrationState {
        unit: unit.to_string(),
        key,
        value: Value::new(&value),
        ttl_seconds: ttl,
        lease: lease.map(|lease| format!("{:x}", lease.0)),
        problem,
    }
}

impl From<Unanswered> for ApiError {
    fn from(error: Unanswered) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let status = match refusal {
            Refusal::Reserved { .. } => StatusCode::FORBIDDEN,
            Refusal::KeyLength { .. } | Refusal::ValueLength { .. } | Refusal::Ttl { .. } => StatusCode::BAD_REQUEST,
            Refusal::Unknown { .. } => StatusCode::NOT_FOUND,
            Refusal::TooManyWaiting => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::NotActive { .. }
            | Refusal::Ended { .. }
            | Refusal::OtherTtl { .. }
            | Refusal::OtherUnit { .. }
            | Refusal::TooManyKeys { .. }
            | Refusal::TooManyUnits => StatusCode::CONFLICT,
        };
        ApiError::new(status, refusal.to_string())
    }
}
