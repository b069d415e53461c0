//! The API as log shippers and the page use it, over the routes without a socket.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use logstore::{Index, router};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// One request to a log store, and its answer.
async fn ask(index: &Arc<Index>, method: &str, path: &str, body: impl Into<String>) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.into())).unwrap();
    let answer = router(Arc::clone(index)).oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()))
}

/// Ten requests, one a second, over two servers; the third one failed.
async fn with_traffic() -> Arc<Index> {
    let index = Arc::new(Index::new().unwrap());
    let lines: String = (0..10)
        .map(|number| {
            let document = json!({"@timestamp": format!("2026-01-01T00:00:{number:02}.500Z"), "port": 5000 + number % 2,
                "status": if number == 2 { 500 } else { 200 }, "path": format!("/traffic/a-b/{number}"), "ms": 1.5,
                "run": "a-b"});
            format!("{{\"index\":{{\"_index\":\"logstash\"}}}}\n{document}\n")
        })
        .collect();
    let (status, told) = ask(&index, "POST", "/_bulk", lines).await;
    assert_eq!((status, &told["errors"]), (StatusCode::OK, &json!(false)));
    assert_eq!(told["items"][9]["index"]["status"], 201);
    index.refresh().unwrap();
    index
}

async fn count(index: &Arc<Index>, query: Value) -> u64 {
    let (status, told) = ask(index, "POST", "/_count", json!({"query": query}).to_string()).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    told["count"].as_u64().unwrap()
}

#[tokio::test]
async fn documents_are_found_by_value_word_and_time() {
    let index = with_traffic().await;
    assert_eq!(count(&index, json!({"match_all": {}})).await, 10);
    assert_eq!(count(&index, json!({"term": {"port": 5001}})).await, 5);
    assert_eq!(count(&index, json!({"term": {"run.keyword": {"value": "a-b"}}})).await, 10);
    assert_eq!(count(&index, json!({"match": {"path": {"query": "/traffic/a-b/3"}}})).await, 1);
    for (words, found) in
        [("status:500", 1), ("port:5000 AND status:200", 4), ("traffic", 10), ("run:\"a-b\"", 10), ("", 10)]
    {
        assert_eq!(count(&index, json!({"query_string": {"query": words}})).await, found, "{words}");
    }
    let middle = json!({"range": {"@timestamp": {"gte": "2026-01-01T00:00:02Z", "lt": "2026-01-01T00:00:05Z"}}});
    assert_eq!(count(&index, middle.clone()).await, 3);
    assert_eq!(count(&index, json!({"range": {"status": {"gte": 500, "lte": 599}}})).await, 1);
    let good = json!({"bool": {"must": [middle], "must_not": [{"term": {"status": 500}}]}});
    assert_eq!(count(&index, good).await, 2);
    assert_eq!(ask(&index, "GET", "/_count?q=port:5001", "").await.1["count"], 5);
    assert_eq!(ask(&index, "GET", "/other/_count", "").await.1["count"], 0);
    assert_eq!(ask(&index, "GET", "/logstash/_count", "").await.1["count"], 10);
}

#[tokio::test]
async fn hits_are_sorted_by_time_and_come_in_pages() {
    let index = with_traffic().await;
    let body = json!({"size": 2, "from": 1, "sort": [{"@timestamp": "desc"}]});
    let (_, told) = ask(&index, "POST", "/_search", body.to_string()).await;
    assert_eq!(told["hits"]["total"]["value"], 10);
    let paths: Vec<_> = told["hits"]["hits"].as_array().unwrap().iter().map(|hit| &hit["_source"]["path"]).collect();
    assert_eq!(paths, ["/traffic/a-b/8", "/traffic/a-b/7"]);
}

#[tokio::test]
async fn histograms_count_by_time_and_by_value() {
    let index = with_traffic().await;
    let body = json!({"size": 0, "aggs": {
        "time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "5s"}},
        "ports": {"terms": {"field": "port"}}}});
    let (status, told) = ask(&index, "POST", "/_search", body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let counts = |name: &str| -> Vec<u64> {
        let buckets = told["aggregations"][name]["buckets"].as_array().unwrap();
        buckets.iter().map(|bucket| bucket["doc_count"].as_u64().unwrap()).collect()
    };
    assert_eq!(counts("time"), [5, 5]);
    assert_eq!(counts("ports"), [5, 5]);
}

#[tokio::test]
async fn a_bad_document_is_told_and_the_others_are_kept() {
    let index = Arc::new(Index::new().unwrap());
    let body = "{\"index\":{}}\n{broken\n{\"index\":{}}\n{\"x\":1}\n{\"create\":{}}\n{\"@timestamp\":\"yesterday\"}\n";
    let (status, told) = ask(&index, "POST", "/logs/_bulk", body).await;
    assert_eq!((status, &told["errors"]), (StatusCode::OK, &json!(true)));
    assert_eq!(told["items"][0]["index"]["status"], 400);
    assert_eq!(told["items"][1]["index"]["status"], 201);
    assert_eq!(told["items"][2]["create"]["status"], 400);
    index.refresh().unwrap();
    assert_eq!(count(&index, json!({"match_all": {}})).await, 1);
}

#[tokio::test]
async fn what_is_not_known_or_too_much_is_refused_with_a_reason() {
    let index = with_traffic().await;
    let mut deep = json!({"match_all": {}});
    for _ in 0..20 {
        deep = json!({"bool": {"must": [deep]}});
    }
    let long = json!({"query_string": {"query": "x".repeat(5000)}});
    for query in [
        json!({"fuzzy": {}}),
        json!({"range": {"port": {"gte": "x"}}}),
        json!({}),
        deep,
        long,
        json!({"query_string": {"query": "a:("}}),
    ] {
        let (status, told) = ask(&index, "POST", "/_search", json!({"query": query}).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
        assert!(told["error"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{told}");
    }
    let buckets =
        json!({"size": 0, "aggs": {"t": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1ms"}}}});
    assert_eq!(ask(&index, "POST", "/_search", buckets.to_string()).await.0, StatusCode::OK);
    let (status, _) = ask(&index, "POST", "/_bulk", "x".repeat(17 << 20)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn only_the_latest_documents_are_kept() {
    let index = Arc::new(Index::with_capacity(5).unwrap());
    for number in 0..12 {
        ask(&index, "POST", "/_bulk", format!("{{\"index\":{{}}}}\n{{\"number\":{number}}}\n")).await;
    }
    index.refresh().unwrap();
    assert_eq!(count(&index, json!({"match_all": {}})).await, 5);
    assert_eq!(count(&index, json!({"term": {"number": 6}})).await, 0);
    assert_eq!(count(&index, json!({"term": {"number": 7}})).await, 1);
}

#[tokio::test]
async fn programs_and_browsers_are_greeted_each_in_its_way() {
    let index = Arc::new(Index::new().unwrap());
    let (_, told) = ask(&index, "GET", "/", "").await;
    assert_eq!(told["version"]["build_flavor"], "stand-in");
    assert_eq!(ask(&index, "GET", "/_cluster/health", "").await.1["status"], "green");
    let request = Request::builder().uri("/").header("accept", "text/html").body(Body::empty()).unwrap();
    let answer = router(index).oneshot(request).await.unwrap();
    let page = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(page.contains("<title>Traffic</title>"));
    assert!(!page.contains("http://") || page.matches("http://").count() == page.matches("http://www.w3.org/").count());
}
