//! The methods without a key, a lease or a member in them: a few pass as they are, the others are the store's own business.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse, Response};
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt;

use super::store::FilteredStore;

/// Who one is (a token that a real etcd with auth gives and takes), and whether the store is well.
const PASSED: [&str; 3] =
    ["/etcdserverpb.Auth/Authenticate", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"];

/// Answers what no other service does.
pub(super) async fn answer(store: FilteredStore, request: Request) -> Response {
    let path = request.uri().path();
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|kind| kind.starts_with("application/grpc")) {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    let status = if PASSED.contains(&path) {
        match pass(&store, request).await {
            Ok(response) => return response,
            Err(status) => status,
        }
    } else if path.starts_with("/etcdserverpb.Auth/") {
        store.refusal()
    } else {
        Status::unimplemented(format!("{path} is not served by the discovery gateway"))
    };
    status.into_http()
}

async fn pass(store: &FilteredStore, request: Request) -> Result<Response, Status> {
    let mut request = request.map(Body::new);
    *request.version_mut() = Version::HTTP_2;
    let away = |error| Status::unavailable(format!("the store is out of reach: {error}"));
    let response = store.upstream().clone().into_service().oneshot(request).await.map_err(away)?;
    Ok(response.map(axum::body::Body::new))
}
