//! `/version` and `/health`, as etcd has them.

use axum::Router;
use axum::extract::State;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use etcd_client::proto::PbStatusResponse;

use crate::filter::FilteredStore;

const TEXT: (HeaderName, &str) = (CONTENT_TYPE, "text/plain; charset=utf-8");

/// What is served beside gRPC and JSON.
pub(super) fn router(store: &FilteredStore) -> Router {
    Router::new()
        .route("/version", get(version).fallback(only_get))
        .route("/health", get(health).fallback(only_get))
        .with_state(store.clone())
}

async fn only_get() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET"), TEXT], "Method Not Allowed\n").into_response()
}

/// The store's version, and that of a cluster of such stores: with 0 as the last number.
async fn version(State(store): State<FilteredStore>) -> Response {
    match store.status().await {
        Ok(PbStatusResponse { version, .. }) => {
            let release = version.rsplit_once('.').map_or(version.as_str(), |(release, _)| release);
            let body = format!(r#"{{"etcdserver":"{version}","etcdcluster":"{release}.0"}}"#);
            ([(CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(status) => (StatusCode::SERVICE_UNAVAILABLE, [TEXT], format!("{}\n", status.message())).into_response(),
    }
}

/// False while the store is away, has no leader, or has raised an alarm.
async fn health(State(store): State<FilteredStore>) -> Response {
    let is_well = store.status().await.is_ok_and(|status| status.leader != 0 && status.errors.is_empty());
    if is_well {
        ([TEXT], r#"{"health":"true"}"#).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, [TEXT], "{\"health\":\"false\"}\n").into_response()
    }
}
