//! The door: which part of v2 a request is for.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::any;
use flota_etcd::Upstream;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use tokio::task::AbortHandle;

use super::answer;
use super::cluster::{self, Cluster, Info};
use super::core::Core;
use super::form::unescape;
use super::path::clean;
use super::store::Store;
use super::{keys, reaper};

/// What the door holds; times to live are not ended any more when it is gone.
struct Door {
    core: Arc<Core>,
    cluster: Cluster,
    reaper: AbortHandle,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.reaper.abort();
    }
}

/// The etcd v2 API over an etcd v3 service, under `/v2`. Must be called within a runtime: it begins at once to end the
/// times to live that it finds in the store.
pub fn router(upstream: Upstream, info: Info) -> Router {
    let core = Arc::new(Core::new(Store::new(upstream)));
    let reaper = tokio::spawn(reaper::run(Arc::clone(&core))).abort_handle();
    let door = Arc::new(Door { core, cluster: Cluster::new(info), reaper });
    Router::new().route("/v2", any(serve)).route("/v2/", any(serve)).route("/v2/{*rest}", any(serve)).with_state(door)
}

async fn serve(State(door): State<Arc<Door>>, request: Request<Body>) -> Response<Body> {
    // Decoded once and cleaned before anything is decided by it, so that nothing can be spelled around what decides.
    let decoded = unescape(request.uri().path().as_bytes(), false).ok().and_then(|path| String::from_utf8(path).ok());
    let Some(path) = decoded else {
        return answer::message(StatusCode::BAD_REQUEST, "the path is not percent-encoded UTF-8");
    };
    let mut cleaned = clean(&path);
    if path.ends_with('/') && cleaned != "/" {
        cleaned.push('/');
    }
    if cleaned != path {
        return answer::moved(&location(&cleaned, request.uri().query()));
    }
    let Some(rest) = path.strip_prefix("/v2/") else { return answer::not_found() };
    let (part, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match (part, below) {
        ("keys", below) => keys::serve(&door.core, below, request).await,
        (part, below) => about_the_cluster(&door, part, below, &request.into_parts().0).await,
    }
}

async fn about_the_cluster(door: &Door, part: &str, below: &str, request: &Parts) -> Response<Body> {
    match (part, below) {
        ("members", below) => door.cluster.members(&door.core, below, request).await,
        ("machines", "") => door.cluster.machines(request),
        ("stats", below) => door.cluster.stats(&door.core, below, &request.method).await,
        ("auth", below) => cluster::auth(&door.core, below, &request.method).await,
        _ => answer::not_found(),
    }
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

/// A path and query as Go writes them into a `Location`.
fn location(path: &str, query: Option<&str>) -> String {
    let mut location = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => location.push(char::from(byte)),
            byte if b"-_.~$&+,/:;=@".contains(&byte) => location.push(char::from(byte)),
            byte => location.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    match query {
        Some(query) => format!("{location}?{query}"),
        None => location,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_escaped_as_by_go() {
        assert_eq!(location("/v2/keys/a b/ü", Some("x=1")), "/v2/keys/a%20b/%C3%BC?x=1");
        assert_eq!(location("/v2/keys/a;b=c", None), "/v2/keys/a;b=c");
    }
}
