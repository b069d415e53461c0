//! The log store of the application, asked by the host as a browser would.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

const PORT: u16 = 9200;
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer to a search, or why there is none.
fn search(address: Ipv4Addr, body: &Value) -> Result<Value, String> {
    let failed = |error: std::io::Error| format!("http://{address}:{PORT}/_search: {error}");
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, PORT)), PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let body = body.to_string();
    let request = format!("POST /_search HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let (_, json) = answer.split_once("\r\n\r\n").ok_or_else(|| answer.clone())?;
    serde_json::from_str(json).map_err(|error| format!("{error}: {json}"))
}

/// How many documents there are.
pub fn count(address: Ipv4Addr) -> Result<u64, String> {
    let found = search(address, &json!({"size": 0}))?;
    found["hits"]["total"]["value"].as_u64().ok_or_else(|| found.to_string())
}

/// The requests of one run of the test script, by their numbers.
pub fn requests(address: Ipv4Addr, run: &str) -> Result<BTreeSet<u64>, String> {
    let body = json!({"size": 10_000, "query": {"term": {"run": run}}, "sort": [{"@timestamp": "desc"}]});
    let found = search(address, &body)?;
    let hits = found["hits"]["hits"].as_array().ok_or_else(|| found.to_string())?;
    Ok(hits.iter().filter_map(|hit| hit["_source"]["number"].as_u64()).collect())
}

/// How many requests each server has answered, by its port.
pub fn servers(address: Ipv4Addr) -> Result<BTreeMap<u64, u64>, String> {
    let body = json!({"size": 0, "aggs": {"ports": {"terms": {"field": "port", "size": 50}}}});
    let found = search(address, &body)?;
    let buckets = found["aggregations"]["ports"]["buckets"].as_array().ok_or_else(|| found.to_string())?;
    let pair = |bucket: &Value| Some((bucket["key"].as_f64()? as u64, bucket["doc_count"].as_u64()?));
    Ok(buckets.iter().filter_map(pair).collect())
}
