//! etcd by its v2 API: recursive readings, and a wait for whatever comes after them.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use flota_gotemplate::Str;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::follow::Followed;
use super::{SourceError, common};
use crate::keys::{KeyPath, Snapshot};

/// Longest wait for a connection, and for the answer to a reading.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A wait is begun anew after this, in case its connection is dead without a word.
const WAIT_TIMEOUT: Duration = Duration::from_secs(300);
/// Largest answer that is taken in.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// How deep directories may be nested.
const MAX_DEPTH: usize = 128;

/// Why an etcd of the v2 API cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Etcd2Error {
    /// An address is none.
    #[error("`{0}` is no address of an etcd")]
    Address(String),
    /// Nobody there, or the connection broke.
    #[error("etcd at {node}: {reason}")]
    Unreachable {
        /// Who was asked.
        node: String,
        /// Why.
        reason: String,
    },
    /// It refused.
    #[error("etcd at {node} answers {status}: {message}")]
    Refused {
        /// Who was asked.
        node: String,
        /// The code of HTTP.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// Certificates.
    #[error("{path}: {reason}")]
    Tls {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// A store, and how to be let in.
#[derive(Debug, Clone)]
pub struct Etcd2 {
    nodes: Vec<String>,
    authorization: Option<String>,
    tls: super::tls::Tls,
}

/// An answer of the v2 API.
struct Answer {
    status: StatusCode,
    index: Option<u64>,
    body: Bytes,
}

#[derive(Deserialize)]
struct Reading {
    node: Node,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    key: String,
    value: Option<String>,
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "errorCode")]
    code: u32,
    message: String,
    #[serde(default)]
    cause: String,
}

/// There is no such key.
const NO_KEY: u32 = 100;
/// The history of what is waited for is gone.
const HISTORY_GONE: u32 = 401;

impl Etcd2 {
    pub(super) fn new(nodes: Vec<String>, access: &flota_etcd::Access) -> Result<Etcd2, Etcd2Error> {
        let authorization = access.user.as_ref().map(|(name, password)| {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
        });
        let secure = nodes.iter().any(|node| node.starts_with("https://"));
        let tls = if secure { super::tls::Tls::new(access)? } else { super::tls::Tls::none() };
        Ok(Etcd2 { nodes, authorization, tls })
    }

    /// Whether one of the nodes speaks the v2 API. A v3-only etcd answers, but without an index.
    pub(super) async fn answers(&self) -> bool {
        for node in &self.nodes {
            if let Ok(answer) = self.call(node, "/v2/keys/?quorum=false", CALL_TIMEOUT).await {
                return answer.index.is_some();
            }
        }
        false
    }

    /// All keys at and below these paths. A path that is not there has none.
    pub(super) async fn read(&self, roots: &[KeyPath]) -> Result<Snapshot, Etcd2Error> {
        let mut pairs = BTreeMap::new();
        let mut first = None;
        for root in roots {
            let path = format!("/v2/keys{}?recursive=true&quorum=true&sorted=false", encoded(root));
            let (node, answer) = self.any(&path).await?;
            // What came after the first answer is waited for, even if a later one has it already.
            first = first.or(answer.index);
            if answer.status == StatusCode::NOT_FOUND && refusal(&answer).is_some_and(|why| why.code == NO_KEY) {
                continue;
            }
            let reading: Reading = parsed(&node, &answer)?;
            collect(reading.node, 0, &mut pairs);
        }
        Ok(Snapshot::new(i64::try_from(first.unwrap_or(0)).unwrap_or(i64::MAX), pairs))
    }

    /// Follows the keys: whatever happens below them, all of them are read again.
    pub(super) async fn follow(&mut self, roots: &[KeyPath], followed: &mut Followed) -> Result<(), SourceError> {
        let all = common(roots).unwrap_or_else(|| KeyPath::new("/"));
        let mut snapshot = self.read(roots).await?;
        let mut next = u64::try_from(snapshot.revision).unwrap_or(0) + 1;
        if !followed.reset(snapshot.clone()).await {
            return Ok(());
        }
        loop {
            match self.wait(&all, next).await? {
                Waited::Nothing => continue,
                Waited::Changed | Waited::Lost => {}
            }
            let fresh = self.read(roots).await?;
            next = u64::try_from(fresh.revision).unwrap_or(0) + 1;
            let keys = fresh.differences(&snapshot);
            let changes = keys.into_iter().map(|key| {
                let value = fresh.get(&key).cloned();
                (key, value)
            });
            let changes: Vec<(String, Option<Str>)> = changes.collect();
            snapshot = fresh;
            if !changes.is_empty() && !followed.change(snapshot.revision, changes).await {
                return Ok(());
            }
        }
    }

    async fn wait(&self, path: &KeyPath, index: u64) -> Result<Waited, Etcd2Error> {
        let query = format!("/v2/keys{}?wait=true&recursive=true&waitIndex={index}", encoded(path));
        let mut last = None;
        for node in &self.nodes {
            match self.call(node, &query, WAIT_TIMEOUT).await {
                Ok(answer) if answer.status.is_success() => {
                    if answer.body.is_empty() {
                        return Ok(Waited::Nothing);
                    }
                    return Ok(Waited::Changed);
                }
                Ok(answer) if refusal(&answer).is_some_and(|why| why.code == HISTORY_GONE) => return Ok(Waited::Lost),
                Ok(answer) => return Err(refused(node, &answer)),
                // Nothing happened for a long time.
                Err(Etcd2Error::Unreachable { reason, .. }) if reason == TOO_LATE => return Ok(Waited::Nothing),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Etcd2Error::Address(String::new())))
    }

    /// Asks one node after the other until one answers.
    async fn any(&self, path: &str) -> Result<(String, Answer), Etcd2Error> {
        let mut last = Etcd2Error::Address(String::new());
        for node in &self.nodes {
            match self.call(node, path, CALL_TIMEOUT).await {
                Ok(answer) => return Ok((node.clone(), answer)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn call(&self, node: &str, path: &str, limit: Duration) -> Result<Answer, Etcd2Error> {
        let unreachable = |reason: String| Etcd2Error::Unreachable { node: node.to_owned(), reason };
        match timeout(limit, self.exchange(node, path)).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(TOO_LATE.to_owned())),
        }
    }

    async fn exchange(&self, node: &str, path: &str) -> Result<Answer, Etcd2Error> {
        let unreachable = |reason: String| Etcd2Error::Unreachable { node: node.to_owned(), reason };
        let uri: Uri = node.parse().map_err(|_| Etcd2Error::Address(node.to_owned()))?;
        let host = uri.host().ok_or_else(|| Etcd2Error::Address(node.to_owned()))?;
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let connected = timeout(CALL_TIMEOUT, TcpStream::connect((bare, port))).await;
        let stream = connected.map_err(|_| unreachable(TOO_LATE.to_owned()))?;
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        let _ = stream.set_nodelay(true);
        let mut request = Request::get(path).header("host", format!("{host}:{port}"));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|_| Etcd2Error::Address(node.to_owned()))?;
        if secure {
            let stream = self.tls.connect(bare, stream).await.map_err(|error| unreachable(error.to_string()))?;
            return send(stream, request).await.map_err(unreachable);
        }
        send(stream, request).await.map_err(unreachable)
    }
}

/// What a wait ends with.
enum Waited {
    Changed,
    Lost,
    Nothing,
}

/// The reason of a call that took too long.
const TOO_LATE: &str = "no answer in time";

async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // Ends when the sender is dropped.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let index = response.headers().get("x-etcd-index").and_then(|index| index.to_str().ok()?.parse().ok());
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    Ok(Answer { status, index, body: body.map_err(|error| error.to_string())?.to_bytes() })
}

fn parsed<T: for<'de> Deserialize<'de>>(node: &str, answer: &Answer) -> Result<T, Etcd2Error> {
    if !answer.status.is_success() {
        return Err(refused(node, answer));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| Etcd2Error::Unreachable { node: node.to_owned(), reason: format!("not the v2 API: {error}") })
}

fn refusal(answer: &Answer) -> Option<Refusal> {
    serde_json::from_slice(&answer.body).ok()
}

fn refused(node: &str, answer: &Answer) -> Etcd2Error {
    let message = match refusal(answer) {
        Some(why) => format!("{} ({}) {}", why.message, why.code, why.cause).trim_end().to_owned(),
        None => String::from_utf8_lossy(&answer.body).trim().chars().take(200).collect(),
    };
    Etcd2Error::Refused { node: node.to_owned(), status: answer.status.as_u16(), message }
}

fn collect(node: Node, depth: usize, pairs: &mut BTreeMap<String, String>) {
    if depth > MAX_DEPTH {
        return;
    }
    if let Some(value) = node.value {
        pairs.insert(node.key, value);
    }
    for child in node.nodes {
        collect(child, depth + 1, pairs);
    }
}

/// The path in a URL.
fn encoded(path: &KeyPath) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(path.as_str(), KEEP).to_string()
}
