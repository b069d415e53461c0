//! The pieces that answers are made of.

use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};

/// The type of almost all answers.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLUSTER_ID: HeaderName = HeaderName::from_static("x-etcd-cluster-id");
const ETCD_INDEX: HeaderName = HeaderName::from_static("x-etcd-index");
const RAFT_INDEX: HeaderName = HeaderName::from_static("x-raft-index");
const RAFT_TERM: HeaderName = HeaderName::from_static("x-raft-term");

fn new(status: StatusCode, kind: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// JSON.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    new(status, JSON, body)
}

/// Text.
pub fn text(body: String) -> Response<Body> {
    new(StatusCode::OK, TEXT, body)
}

/// A refusal about something else than keys.
pub fn message(status: StatusCode, message: &str) -> Response<Body> {
    #[derive(serde::Serialize)]
    struct Message<'a> {
        message: &'a str,
    }
    let mut body = super::json::encode(&Message { message });
    body.pop(); // Without a newline.
    json(status, body)
}

fn plain(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut response = new(status, TEXT, words);
    let nosniff = HeaderName::from_static("x-content-type-options");
    response.headers_mut().insert(nosniff, HeaderValue::from_static("nosniff"));
    response
}

/// 404.
pub fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// 405, with what is allowed; nothing is, if that is empty.
pub fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    if !methods.is_empty() {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    }
    response
}

/// 301, to the cleaned path.
pub fn moved(location: &str) -> Response<Body> {
    let body = format!("<a href=\"{}\">Moved Permanently</a>.\n\n", location.replace('&', "&amp;"));
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = new(StatusCode::MOVED_PERMANENTLY, kind, body);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Names the cluster.
pub fn with_cluster(mut response: Response<Body>, cluster_id: u64) -> Response<Body> {
    if let Ok(id) = HeaderValue::from_str(&format!("{cluster_id:x}")) {
        response.headers_mut().insert(CLUSTER_ID, id);
    }
    response
}

/// Tells the store's index.
pub fn with_etcd_index(mut response: Response<Body>, index: i64) -> Response<Body> {
    response.headers_mut().insert(ETCD_INDEX, HeaderValue::from(index));
    response
}

/// Tells the store's index and, for v3 knows no other, the same as Raft's.
pub fn with_index(response: Response<Body>, index: i64, term: u64) -> Response<Body> {
    let mut response = with_etcd_index(response, index);
    response.headers_mut().insert(RAFT_INDEX, HeaderValue::from(index));
    response.headers_mut().insert(RAFT_TERM, HeaderValue::from(term));
    response
}
