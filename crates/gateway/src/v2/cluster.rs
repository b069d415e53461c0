//! `/v2/members`, `/v2/machines`, `/v2/stats` and `/v2/auth`: what clients ask of a cluster. This door is its only member.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::{CONTENT_TYPE, HOST, HeaderMap};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Serialize;

use super::answer::{self, json, message};
use super::core::{Core, now};
use super::json::encode;
use super::time::Millis;

/// How this door presents itself.
#[derive(Debug, Clone)]
pub struct Info {
    /// The member's name.
    pub name: String,
    /// Where other members would find it.
    pub peer_urls: Vec<String>,
    /// Where clients find v2; they go there for everything. Empty: where they are asking.
    pub client_urls: Vec<String>,
}

/// What does not change while the program runs.
pub struct Cluster {
    info: Info,
    started: (Millis, Instant),
}

#[derive(Serialize)]
struct Member<'a> {
    id: String,
    name: &'a str,
    #[serde(rename = "peerURLs")]
    peer_urls: &'a [String],
    #[serde(rename = "clientURLs")]
    client_urls: Vec<String>,
}

const FIXED_MEMBERS: &str = "members are not changed here: this is one door to a store that has its own members";
const NO_V2_USERS: &str = "auth: v2 users and roles are not kept here: use authentication of etcd v3";
/// The only role there is.
const ROOT: &str = r#"{"role":"root","permissions":{"kv":{"read":["/*"],"write":["/*"]}}}"#;

impl Cluster {
    /// Begins now.
    pub fn new(info: Info) -> Cluster {
        Cluster { info, started: (now(), Instant::now()) }
    }

    fn client_urls(&self, headers: &HeaderMap) -> Vec<String> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        match host {
            Some(host) if self.info.client_urls.is_empty() => vec![format!("http://{host}")],
            _ => self.info.client_urls.clone(),
        }
    }

    /// `/v2/machines`.
    pub fn machines(&self, request: &Parts) -> Response<Body> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return answer::not_allowed("GET,HEAD");
        }
        answer::text(self.client_urls(&request.headers).join(", "))
    }

    /// `/v2/members` and what is below it.
    pub async fn members(&self, core: &Core, below: &str, request: &Parts) -> Response<Body> {
        let (cluster_id, member_id) = core.store.ids().await;
        let response = self.members_of(member_id, below.trim_start_matches('/'), request);
        match request.method {
            Method::GET | Method::POST | Method::PUT | Method::DELETE => answer::with_cluster(response, cluster_id),
            _ => response,
        }
    }

    fn members_of(&self, member_id: u64, id: &str, request: &Parts) -> Response<Body> {
        let member = Member {
            id: format!("{member_id:x}"),
            name: &self.info.name,
            peer_urls: &self.info.peer_urls,
            client_urls: self.client_urls(&request.headers),
        };
        match request.method {
            Method::GET if id.is_empty() => {
                #[derive(Serialize)]
                struct Members<'a> {
                    members: [Member<'a>; 1],
                }
                json(StatusCode::OK, encode(&Members { members: [member] }))
            }
            Method::GET if id == "leader" => json(StatusCode::OK, encode(&member)),
            Method::GET => message(StatusCode::NOT_FOUND, "Not found"),
            Method::DELETE | Method::PUT if id.is_empty() => answer::not_allowed(""),
            Method::DELETE | Method::PUT if u64::from_str_radix(id, 16) != Ok(member_id) => {
                message(StatusCode::NOT_FOUND, &format!("No such member: {id}"))
            }
            Method::POST if !is_json(&request.headers) => {
                let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
                let words = format!("Bad Content-Type {kind}, accept application/json");
                message(StatusCode::UNSUPPORTED_MEDIA_TYPE, &words)
            }
            Method::POST | Method::PUT | Method::DELETE => message(StatusCode::CONFLICT, FIXED_MEMBERS),
            _ => answer::not_allowed("GET,POST,DELETE,PUT"),
        }
    }

    /// `/v2/stats/…`.
    pub async fn stats(&self, core: &Core, which: &str, method: &Method) -> Response<Body> {
        let (_, member_id) = core.store.ids().await;
        let body = match which {
            "/self" => {
                let (started, since) = self.started;
                format!(
                    "{{\"name\":{},\"id\":\"{member_id:x}\",\"state\":\"StateLeader\",\"startTime\":\"{started}\",\
                     \"leaderInfo\":{{\"leader\":\"{member_id:x}\",\"uptime\":\"{}\",\"startTime\":\"{started}\"}},\
                     \"recvAppendRequestCnt\":0,\"sendAppendRequestCnt\":0}}",
                    String::from_utf8_lossy(&encode(&self.info.name)).trim_end(),
                    go_duration(since.elapsed()),
                )
            }
            "/leader" => format!("{{\"leader\":\"{member_id:x}\",\"followers\":{{}}}}"),
            "/store" => core.stats.show(core.hub.count()),
            _ => return answer::not_found(),
        };
        if method != Method::GET {
            return answer::not_allowed("GET");
        }
        json(StatusCode::OK, body)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A duration as Go writes it.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let in_minute = Duration::new(seconds % 60, duration.subsec_nanos());
    let rest = in_minute.as_secs_f64();
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `/v2/auth/…`: as an etcd whose v2 authentication was never switched on; it cannot be.
pub async fn auth(core: &Core, which: &str, method: &Method) -> Response<Body> {
    let pieces: Vec<&str> = which.trim_matches('/').split('/').collect();
    let ok = |body: String| json(StatusCode::OK, body + "\n");
    let response = match (&pieces[..], method) {
        (["enable"], &Method::GET) => ok("{\"enabled\":false}".to_owned()),
        (["enable"], &Method::DELETE) => message(StatusCode::CONFLICT, "auth: already disabled"),
        (["enable"], &Method::PUT) => message(StatusCode::CONFLICT, NO_V2_USERS),
        (["enable"], _) => return answer::not_allowed("GET,PUT,DELETE"),
        (["users"], &Method::GET) => ok("{\"users\":null}".to_owned()),
        (["roles"], &Method::GET) => ok(format!("{{\"roles\":[{ROOT}]}}")),
        (["users" | "roles"], _) => return answer::not_allowed("GET"),
        (["roles", "root"], &Method::GET) => ok(ROOT.to_owned()),
        (["users" | "roles", _], &Method::PUT) => message(StatusCode::CONFLICT, NO_V2_USERS),
        (["users", user], &Method::GET | &Method::DELETE) => {
            message(StatusCode::NOT_FOUND, &format!("auth: User {user} does not exist."))
        }
        (["roles", role], &Method::GET | &Method::DELETE) => {
            message(StatusCode::NOT_FOUND, &format!("auth: Role {role} does not exist."))
        }
        (["users" | "roles", _], _) => return answer::not_allowed("GET,PUT,DELETE"),
        (["users" | "roles", ..], _) => message(StatusCode::BAD_REQUEST, "Invalid path"),
        _ => return answer::not_found(),
    };
    answer::with_cluster(response, core.store.ids().await.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_by_go() {
        assert_eq!(go_duration(Duration::from_nanos(6_027_576_661)), "6.027576661s");
        assert_eq!(go_duration(Duration::from_millis(61_500)), "1m1.5s");
        assert_eq!(go_duration(Duration::from_secs(7325)), "2h2m5s");
    }
}
