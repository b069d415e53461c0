//! `/discovery`: the description of fleet's API v1.

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use flota_api::discovery::DOCUMENT;

use super::error::ApiError;

pub async fn show() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// 400, where all others answer 405: fleet did so.
pub async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "only HTTP GET supported against this resource")
}
