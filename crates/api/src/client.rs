//! The typed client: requests over a few kept HTTP/1 connections.

mod join;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, ETAG, HOST, HeaderName, IF_MATCH, IF_NONE_MATCH},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    ErrorBody,
    conf::{ConfList, ConfMachine, ConfSource},
    endpoint::Endpoint,
    machines::{CordonRequest, LeaveRequest, LeaveStatus, MachineDetail, MachineInfo, MachineList},
    native::{Explanation, Health},
    paths,
    registrations::{Registered, Registration, RegistrationList, RegistrationState},
    trust::{Accepted, StoreTrust},
    v1::{DesiredState, Machine, MachinePage, Unit, UnitPage, UnitState, UnitStatePage},
};

/// Longest answer read. A page has a hundred units, each with a unit file of at most 1 MiB by systemd's line limit.
pub const MAX_RESPONSE_BYTES: usize = 128 << 20;

/// Time for one request, from dialling to the last byte of the answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections kept for the next request; a request that finds none dials.
const MAX_IDLE: usize = 16;

/// Pages followed in one list; a server that gives more is broken (tokens count to 65,535).
const MAX_PAGES: usize = 65_535;

/// What must hold for a PUT to be carried out. A daemon that knows no conditions (fleet's) passes over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Nothing: the last writer wins.
    None,
    /// There is no such unit.
    Absent,
    /// Nobody changed the unit since it was read with this tag.
    Unchanged(&'a str),
}

impl Condition<'_> {
    fn header(&self) -> Option<(HeaderName, &str)> {
        match self {
            Self::None => None,
            Self::Absent => Some((IF_NONE_MATCH, "*")),
            Self::Unchanged(tag) => Some((IF_MATCH, tag)),
        }
    }
}

/// An answer of success.
struct Reply {
    tag: Option<String>,
    body: Bytes,
}

/// Why a request failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody answers at the endpoint.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// Why.
        source: io::Error,
    },
    /// The connection ended before the answer did, as when the daemon stops.
    #[error("connection to {endpoint} broke: {detail}")]
    Broken {
        /// To where.
        endpoint: Endpoint,
        /// What ended it.
        detail: String,
    },
    /// No whole answer in time.
    #[error("no answer from {endpoint} within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout {
        /// From where.
        endpoint: Endpoint,
    },
    /// The daemon refused.
    #[error("{message}")]
    Api {
        /// The HTTP status.
        code: u16,
        /// The daemon's words; never empty.
        message: String,
    },
    /// What came back is not an answer of this API.
    #[error("{endpoint} does not speak Flota's API: {detail}")]
    Protocol {
        /// From where.
        endpoint: Endpoint,
        /// What is wrong with it.
        detail: String,
    },
}

impl ClientError {
    /// What a person can try, if there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::Connect { source, .. } = self else { return None };
        Some(match source.kind() {
            io::ErrorKind::PermissionDenied => "the socket is for root and the group flota; try again with sudo",
            _ => "is flota.service running? try: systemctl status flota",
        })
    }
}

/// Speaks to one daemon. Cloning is cheap; the clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    // One is taken for the time of a request, and put back only after a clean one.
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
    /// The last answer's word about the daemon's store.
    frozen: Arc<Mutex<Option<String>>>,
}

impl Client {
    /// A client of `endpoint`. Dials on the first request.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, idle: Arc::default(), frozen: Arc::default() }
    }

    /// Where requests go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// All units, by name.
    pub async fn units(&self) -> Result<Vec<Unit>, ClientError> {
        self.pages(paths::UNITS, &[], |page: UnitPage| (page.units, page.next_page_token)).await
    }

    /// One unit, or nothing if the cluster has none of that name.
    pub async fn unit(&self, name: &str) -> Result<Option<Unit>, ClientError> {
        Ok(self.tagged_unit(name).await?.map(|(unit, _)| unit))
    }

    /// A unit and the tag of what users made of it; `None` if there is no such unit.
    pub async fn tagged_unit(&self, name: &str) -> Result<Option<(Unit, Option<String>)>, ClientError> {
        match self.request(Method::GET, &paths::unit(name), None::<&()>, Condition::None).await {
            Err(ClientError::Api { code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(Reply { tag, body }) => {
                let unit = serde_json::from_slice(&body).map_err(|error| self.protocol(error))?;
                Ok(Some((unit, tag)))
            }
        }
    }

    /// Creates a unit, or replaces its file and desired state.
    pub async fn put_unit(&self, unit: &Unit) -> Result<(), ClientError> {
        self.put_unit_if(unit, Condition::None).await
    }

    /// The same under a condition; what does not hold is an [`ClientError::Api`] with code 412.
    pub async fn put_unit_if(&self, unit: &Unit, condition: Condition<'_>) -> Result<(), ClientError> {
        self.request(Method::PUT, &paths::unit(&unit.name), Some(unit), condition).await.map(drop)
    }

    /// Changes what a known unit should be.
    pub async fn set_desired(&self, name: &str, state: DesiredState) -> Result<(), ClientError> {
        let unit = Unit { name: name.to_owned(), desired_state: Some(state), ..Unit::default() };
        self.put_unit(&unit).await
    }

    /// Removes a unit from the cluster.
    pub async fn destroy(&self, name: &str) -> Result<(), ClientError> {
        self.request(Method::DELETE, &paths::unit(name), None::<&()>, Condition::None).await.map(drop)
    }

    /// What systemd says, of one unit and on one machine if given.
    pub async fn states(&self, unit: Option<&str>, machine: Option<&str>) -> Result<Vec<UnitState>, ClientError> {
        let query =
            [(paths::QUERY_UNIT, unit.unwrap_or_default()), (paths::QUERY_MACHINE, machine.unwrap_or_default())];
        self.pages(paths::STATES, &query, |page: UnitStatePage| (page.states, page.next_page_token)).await
    }

    /// All machines, by id.
    pub async fn machines(&self) -> Result<Vec<Machine>, ClientError> {
        self.pages(paths::MACHINES, &[], |page: MachinePage| (page.machines, page.next_page_token)).await
    }

    /// All machines that belong to the cluster, alive or not, by id.
    pub async fn all_machines(&self) -> Result<Vec<MachineInfo>, ClientError> {
        Ok(self.get::<MachineList>(paths::ALL_MACHINES).await?.machines)
    }

    /// A machine and what it holds, or nothing if the cluster has none with that id.
    pub async fn machine(&self, id: &str) -> Result<Option<MachineDetail>, ClientError> {
        match self.get(&paths::machine(id)).await {
            Err(ClientError::Api { code: 404, .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Asks something of a machine as a whole.
    pub async fn cordon(&self, id: &str, request: &CordonRequest) -> Result<(), ClientError> {
        self.request(Method::PUT, &paths::cordon(id), Some(request), Condition::None).await.map(drop)
    }

    /// Takes back what was asked of a machine.
    pub async fn uncordon(&self, id: &str) -> Result<(), ClientError> {
        self.request(Method::DELETE, &paths::cordon(id), None::<&()>, Condition::None).await.map(drop)
    }

    /// Takes a machine out of the cluster; one that lives only by `force`.
    pub async fn remove_machine(&self, id: &str, force: bool) -> Result<(), ClientError> {
        let query = if force { format!("?{}=true", paths::QUERY_FORCE) } else { String::new() };
        let path = paths::machine(id) + &query;
        self.request(Method::DELETE, &path, None::<&()>, Condition::None).await.map(drop)
    }

    /// Orders the daemon's machine to leave its cluster.
    pub async fn leave(&self, request: LeaveRequest) -> Result<(), ClientError> {
        self.request(Method::POST, paths::LEAVE, Some(&request), Condition::None).await.map(drop)
    }

    /// How far the daemon's machine is on its way out.
    pub async fn leave_status(&self) -> Result<LeaveStatus, ClientError> {
        self.get(paths::LEAVE).await
    }

    /// Why a unit is where it is, or nothing if the cluster has none of that name.
    pub async fn why(&self, name: &str) -> Result<Option<Explanation>, ClientError> {
        match self.get(&paths::why(name)).await {
            Err(ClientError::Api { code: 404, .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// How the daemon is.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get(paths::HEALTH).await
    }

    /// What the daemon makes of its store, and what accepting it would mean.
    pub async fn store_trust(&self) -> Result<StoreTrust, ClientError> {
        self.get(paths::TRUST).await
    }

    /// Takes the daemon's store for the truth.
    pub async fn accept_store(&self) -> Result<Accepted, ClientError> {
        let reply = self.request(Method::POST, paths::TRUST, None::<&()>, Condition::None).await?;
        serde_json::from_slice(&reply.body).map_err(|error| self.protocol(error))
    }

    /// Why the daemon that answered last takes no orders from its store; none: it does.
    pub fn frozen(&self) -> Option<String> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a key that lives as long as a unit of the daemon's machine is active.
    pub async fn register(&self, registration: &Registration) -> Result<Registered, ClientError> {
        let reply = self.request(Method::PUT, paths::REGISTRATIONS, Some(registration), Condition::None).await?;
        serde_json::from_slice(&reply.body).map_err(|error| self.protocol(error))
    }

    /// Takes such a key away before its unit ends.
    pub async fn unregister(&self, unit: &str, key: &str) -> Result<(), ClientError> {
        let path = paths::registration(unit, key);
        self.request(Method::DELETE, &path, None::<&()>, Condition::None).await.map(drop)
    }

    /// The keys that units of the daemon's machine have registered.
    pub async fn registrations(&self) -> Result<Vec<RegistrationState>, ClientError> {
        Ok(self.get::<RegistrationList>(paths::REGISTRATIONS).await?.registrations)
    }

    /// The configuration files that confd keeps, on all machines that tell of some.
    pub async fn conf(&self) -> Result<Vec<ConfMachine>, ClientError> {
        Ok(self.get::<ConfList>(paths::CONF).await?.machines)
    }

    /// Tells the daemon of this machine how files are that the calling process keeps.
    pub async fn tell_conf(&self, told: &ConfSource) -> Result<(), ClientError> {
        self.request(Method::PUT, paths::CONF, Some(told), Condition::None).await.map(drop)
    }

    async fn pages<P: DeserializeOwned, T>(
        &self,
        resource: &str,
        query: &[(&str, &str)],
        split: impl Fn(P) -> (Vec<T>, String),
    ) -> Result<Vec<T>, ClientError> {
        let (mut items, mut token) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let query: Vec<_> = query.iter().copied().chain([(paths::QUERY_PAGE, &*token)]).collect();
            let (page, next) = split(self.get(&paths::list(resource, &query)).await?);
            items.extend(page);
            if next.is_empty() {
                return Ok(items);
            }
            token = next;
        }
        Err(self.protocol("a list that does not end"))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let Reply { body, .. } = self.request(Method::GET, path, None::<&()>, Condition::None).await?;
        serde_json::from_slice(&body).map_err(|error| self.protocol(error))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        condition: Condition<'_>,
    ) -> Result<Reply, ClientError> {
        timeout(REQUEST_TIMEOUT, self.request_unbounded(method, path, body, condition))
            .await
            .map_err(|_| ClientError::Timeout { endpoint: self.endpoint.clone() })?
    }

    /// For whoever bounds it in time.
    async fn request_unbounded(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        condition: Condition<'_>,
    ) -> Result<Reply, ClientError> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.host());
        if let Some((name, value)) = condition.header() {
            request = request.header(name, value);
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                serde_json::to_vec(body).map_err(|error| self.protocol(error))?
            }
            None => Vec::new(),
        };
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| self.protocol(error))?;
        let (status, reply) = self.exchange(request).await?;
        if status.is_success() { Ok(reply) } else { Err(refusal(status, &reply.body)) }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Reply), ClientError> {
        let kept = self.idle().pop();
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.dial().await?,
        };
        let response = match sender.try_send_request(request).await {
            Ok(response) => response,
            Err(mut error) => match error.take_message() {
                // The daemon closed the kept connection before it read the request.
                Some(request) => {
                    sender = self.dial().await?;
                    sender.send_request(request).await.map_err(|error| self.broken(error))?
                }
                None => return Err(self.broken(error.into_error())),
            },
        };
        let status = response.status();
        let frozen = response.headers().get(paths::FROZEN_HEADER).and_then(|why| why.to_str().ok()).map(str::to_owned);
        *self.frozen.lock().unwrap_or_else(PoisonError::into_inner) = frozen;
        let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    return self.protocol(format!("an answer of more than {MAX_RESPONSE_BYTES} bytes"));
                }
                ClientError::Broken { endpoint: self.endpoint.clone(), detail: error.to_string() }
            })?
            .to_bytes();
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(sender);
        }
        Ok((status, Reply { tag, body }))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let connect = |source| ClientError::Connect { endpoint: self.endpoint.clone(), source };
        match &self.endpoint {
            Endpoint::Unix(path) => self.handshake(UnixStream::connect(path).await.map_err(connect)?).await,
            Endpoint::Http(authority) => self.handshake(TcpStream::connect(authority).await.map_err(connect)?).await,
        }
    }

    async fn handshake<S>(&self, stream: S) -> Result<SendRequest<Full<Bytes>>, ClientError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.protocol(error))?;
        // Its errors reach the sender; it ends when the client or the daemon closes.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn host(&self) -> &str {
        match &self.endpoint {
            Endpoint::Unix(_) => "localhost",
            Endpoint::Http(authority) => authority,
        }
    }

    fn broken(&self, error: hyper::Error) -> ClientError {
        if error.is_parse() {
            return self.protocol(error);
        }
        ClientError::Broken { endpoint: self.endpoint.clone(), detail: error.to_string() }
    }

    fn protocol(&self, detail: impl ToString) -> ClientError {
        ClientError::Protocol { endpoint: self.endpoint.clone(), detail: detail.to_string() }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    let message = serde_json::from_slice::<ErrorBody>(body)
        .map(|body| body.error.message)
        .ok()
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| format!("the daemon answered {status}"));
    ClientError::Api { code: status.as_u16(), message }
}

#[cfg(test)]
mod tests;
