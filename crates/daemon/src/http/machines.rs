//! `/machines`: the machines whose lease lives.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flota_api::page::{PageToken, paginate};
use flota_api::v1;
use flota_registry::keys;

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::view::Page;

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET")
}

pub async fn list(State(api): State<Arc<Api>>, page: Page) -> Result<Json<v1::MachinePage>, ApiError> {
    let snapshot = api.only(keys::MACHINES).await?;
    let machines: Vec<v1::Machine> = snapshot
        .machines()
        .iter()
        .map(|(id, machine)| v1::Machine {
            id: id.to_string(),
            metadata: machine.value.metadata.clone(),
            primary_ip: machine.value.address.clone(),
        })
        .collect();
    let (machines, next) = paginate(&machines, page.0);
    let next_page_token = next.map_or_else(String::new, PageToken::encode);
    Ok(Json(v1::MachinePage { machines: machines.to_vec(), next_page_token }))
}
