//! Plain HTTP beside gRPC: `/health`, `/version` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{CLUSTER_VERSION, ETCD_VERSION, prometheus};
use crate::shared::Shared;

const TEXT: (HeaderName, &str) = (CONTENT_TYPE, "text/plain; charset=utf-8");

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/version", get(version).fallback(only_get))
        .route("/health", get(health).fallback(only_get))
        .route("/metrics", get(metrics).fallback(only_get))
        .with_state(Arc::clone(shared))
}

async fn only_get() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET"), TEXT], "Method Not Allowed\n").into_response()
}

async fn version() -> Response {
    let body = format!(r#"{{"etcdserver":"{ETCD_VERSION}","etcdcluster":"{CLUSTER_VERSION}"}}"#);
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], prometheus::text(&shared)).into_response()
}

/// False while there is an alarm that the question does not exclude (`?exclude=NOSPACE`), or when the disk has failed.
async fn health(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let excluded = |name: &str| query.split('&').any(|pair| pair.strip_prefix("exclude=") == Some(name));
    let alarmed = shared.alarms().iter().any(|alarm| !excluded(alarm.kind.name()));
    if alarmed || shared.check_alive().is_err() {
        shared.metrics.health_failures.add(1);
        return (StatusCode::SERVICE_UNAVAILABLE, [TEXT], "{\"health\":\"false\"}\n").into_response();
    }
    shared.metrics.health_success.add(1);
    ([TEXT], r#"{"health":"true"}"#).into_response()
}
