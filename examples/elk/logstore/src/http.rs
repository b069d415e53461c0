//! The routes: Elasticsearch's, and the page.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::{Value, json};
use tantivy::DateTime;

use crate::bulk;
use crate::error::Error;
use crate::index::{Found, Index};
use crate::request::{Parameters, SearchRequest};

/// The largest body of a request, in bytes.
const MAX_BODY: usize = 16 << 20;

/// The version of Elasticsearch whose answers these are like.
const LIKE: &str = "8.0.0";

const PAGE: &str = include_str!("page.html");

/// All routes over that index.
pub fn router(index: Arc<Index>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/page", get(page))
        .route("/_cluster/health", get(health))
        .route("/_cat/health", get(async || "logstore green 1 1\n"))
        .route("/_bulk", post(bulk).put(bulk))
        .route("/{index}/_bulk", post(bulk).put(bulk))
        .route("/_search", get(search).post(search))
        .route("/{index}/_search", get(search).post(search))
        .route("/_count", get(count).post(count))
        .route("/{index}/_count", get(count).post(count))
        .route("/_refresh", get(refresh).post(refresh))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(index)
}

/// A browser gets the page, a program what Elasticsearch says of itself.
async fn root(headers: axum::http::HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        return page().await;
    }
    let version = json!({"number": LIKE, "build_flavor": "stand-in"});
    answer(json!({"name": "logstore", "cluster_name": "logstore", "version": version,
        "tagline": "a stand-in for Elasticsearch, over tantivy"}))
}

async fn page() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response()
}

async fn health() -> Response {
    answer(json!({"cluster_name": "logstore", "status": "green", "timed_out": false, "number_of_nodes": 1,
        "number_of_data_nodes": 1, "active_primary_shards": 1, "active_shards": 1, "unassigned_shards": 0}))
}

async fn bulk(State(store): State<Arc<Index>>, path: Option<Path<String>>, body: Bytes) -> Result<Response, Error> {
    let began = Instant::now();
    let items = bulk::parse(&body, path.as_ref().map(|Path(index)| index.as_str()))?;
    let now = DateTime::from_timestamp_millis(Timestamp::now().as_millisecond());
    let mut errors = false;
    let mut told = Vec::with_capacity(items.len());
    for item in items {
        let added = match item.document {
            Ok(document) => store.add(&item.index, document, now),
            Err(why) => Err(Error::request("document", why)),
        };
        let about = match added {
            Ok(number) => json!({"_index": item.index, "_id": number.to_string(), "result": "created", "status": 201}),
            Err(error @ Error::Index(_)) => return Err(error),
            Err(error) => {
                errors = true;
                let why = json!({"type": error.kind(), "reason": error.to_string()});
                json!({"_index": item.index, "status": error.status().as_u16(), "error": why})
            }
        };
        told.push(json!({item.action: about}));
    }
    Ok(answer(json!({"took": millis(began), "errors": errors, "items": told})))
}

async fn search(
    State(store): State<Arc<Index>>,
    path: Option<Path<String>>,
    Query(parameters): Query<Parameters>,
    body: Bytes,
) -> Result<Response, Error> {
    let began = Instant::now();
    let found = store.search(&SearchRequest::read(path.map(|Path(index)| index), &body, parameters)?)?;
    Ok(answer(told(found, began)))
}

fn told(found: Found, began: Instant) -> Value {
    let hit = |(number, index, source): (u64, String, Value)| json!({"_index": index, "_id": number.to_string(), "_score": null, "_source": source});
    let hits: Vec<Value> = found.hits.into_iter().map(hit).collect();
    let mut told = json!({
        "took": millis(began), "timed_out": false,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": found.total, "relation": "eq"}, "max_score": null, "hits": hits},
    });
    if let Some(aggregations) = found.aggregations {
        told["aggregations"] = aggregations;
    }
    told
}

async fn count(
    State(store): State<Arc<Index>>,
    path: Option<Path<String>>,
    Query(parameters): Query<Parameters>,
    body: Bytes,
) -> Result<Response, Error> {
    let request = SearchRequest { size: 0, ..SearchRequest::read(path.map(|Path(index)| index), &body, parameters)? };
    let found = store.search(&request)?;
    Ok(answer(json!({"count": found.total, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}})))
}

async fn refresh(State(store): State<Arc<Index>>) -> Result<Response, Error> {
    store.refresh()?;
    Ok(answer(json!({"_shards": {"total": 1, "successful": 1, "failed": 0}})))
}

/// Clients of Elasticsearch 8 look for the header that names the product.
fn answer(value: Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch")),
    ];
    (headers, value.to_string()).into_response()
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let why = json!({"type": self.kind(), "reason": self.to_string()});
        let body = json!({"error": why, "status": self.status().as_u16()});
        let status: StatusCode = self.status();
        (status, answer(body)).into_response()
    }
}
