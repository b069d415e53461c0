//! `/v1/events`: what happens in the cluster, as server-sent events that can be resumed by revision.
//!
//! An id stands on the last event of each batch of changes, so a connection that breaks in the middle of one resumes
//! before it: events may come twice, but none is lost.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use flota_api::events::{CutEvent, MachineEvent, ResetEvent, ScheduleEvent, StateEvent, UnitEvent};
use flota_api::paths::QUERY_SINCE;
use flota_api::v1;
use flota_etcd::{EtcdError, StoreClient, Watch};
use flota_registry::{
    ClusterEvent, ClusterSnapshot, DesiredState, MachineChange, MachineId, ObservedUnit, ScheduleChange, TargetState,
    keys,
};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::error::ApiError;
use super::extract::Pairs;
use super::feed::{MAX_LAG, Told};
use super::view::to_v1;

/// Most clients of the stream at one time.
pub const MAX_EVENT_STREAMS: usize = 64;
/// Events that wait for the client to read on.
const MAX_UNSENT: usize = 256;
/// How long a client may take to read on; then it is cut.
const SLOW_CLIENT: Duration = Duration::from_secs(15);
/// How often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Counts the streams.
pub struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Streams {
        Streams(Arc::new(Semaphore::new(MAX_EVENT_STREAMS)))
    }
}

impl Streams {
    /// How many are open.
    pub fn open(&self) -> usize {
        MAX_EVENT_STREAMS - self.0.available_permits()
    }
}

pub async fn stream(State(api): State<Arc<Api>>, headers: HeaderMap, query: Pairs) -> Result<Response, ApiError> {
    let since = since(&headers, &query)?;
    let Ok(permit) = Arc::clone(&api.streams.0).try_acquire_owned() else {
        let message = format!("{MAX_EVENT_STREAMS} clients read events, no more are served; try again later");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message));
    };
    let client = api.client()?;
    let feed = api.fresh().await?;
    let (start, told) = feed.subscribe();
    let replay = match since {
        Some(since) if since < start => Replay::open(&client, since, start).await?,
        Some(since) if since > start => Replay::ahead(&client, since, start).await?,
        _ => Replay::None,
    };
    let (out, mut unsent) = mpsc::channel(MAX_UNSENT);
    // Kept free from the start: there is always room to say why a stream ends.
    let last = out.clone().reserve_owned().await.map_err(|_| ApiError::away())?;
    let pump = Pump { out, seen: start, _permit: permit };
    tokio::spawn(pump.run(replay, told, feed.over().clone(), last));
    let events = stream::poll_fn(move |context| unsent.poll_recv(context).map(|event| event.map(Ok::<_, Infallible>)));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

/// The revision after which a client wants to go on. The header wins: browsers send it when they connect again.
fn since(headers: &HeaderMap, query: &Pairs) -> Result<Option<i64>, ApiError> {
    let text = match headers.get("last-event-id") {
        Some(value) => Some(value.to_str().unwrap_or("?").trim()).filter(|text| !text.is_empty()),
        None => query.first(QUERY_SINCE),
    };
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(revision) if revision > 0 => Ok(Some(revision)),
        _ => Err(ApiError::bad_request(format!("\"{text}\" is not a revision: expect the id of an event"))),
    }
}

/// What a client missed.
enum Replay {
    /// Nothing.
    None,
    /// The cluster as it was, and the changes after that, to be read until they are as far as the live events begin.
    From(Box<(ClusterSnapshot, Watch)>),
    /// It cannot be told any more.
    Lost(String),
}

impl Replay {
    async fn open(client: &StoreClient, since: i64, start: i64) -> Result<Replay, ApiError> {
        let pairs = match client.range_at(keys::PREFIX, since).await {
            Ok(pairs) => pairs,
            Err(error) if error.no_such_revision() => return Ok(Replay::lost(since, start)),
            Err(error) => return Err(error.into()),
        };
        let watch = client.watch_prefix(keys::PREFIX, since + 1).await?;
        Ok(Replay::From(Box::new((ClusterSnapshot::from_range(since, pairs), watch))))
    }

    /// Others than Flota write to the store too, so `since` may be ahead of all that concerns Flota; but not of the
    /// store itself, unless that was restored from a copy.
    async fn ahead(client: &StoreClient, since: i64, start: i64) -> Result<Replay, ApiError> {
        let (now, _) = client.get(&flota_registry::Key::Leader.to_string()).await?;
        Ok(if since <= now { Replay::None } else { Replay::lost(since, start) })
    }

    fn lost(since: i64, start: i64) -> Replay {
        Replay::Lost(format!(
            "revision {since} is not in the store's history; read everything, then go on after {start}"
        ))
    }
}

/// Carries events to one client.
struct Pump {
    out: mpsc::Sender<Event>,
    /// Everything up to this revision was sent, or is not wanted.
    seen: i64,
    _permit: OwnedSemaphorePermit,
}

/// Why a stream ends.
enum End {
    /// The client went, or the view of the cluster ended: it connects again by itself.
    Silent,
    /// The client is too slow.
    Cut(String),
}

impl Pump {
    async fn run(
        mut self,
        replay: Replay,
        told: broadcast::Receiver<Told>,
        over: CancellationToken,
        last: mpsc::OwnedPermit<Event>,
    ) {
        let client_gone = self.out.clone();
        let end = tokio::select! {
            end = self.carry(replay, told) => end,
            () = over.cancelled() => End::Silent,
            () = client_gone.closed() => End::Silent,
        };
        if let End::Cut(reason) = end {
            last.send(event(CutEvent::KIND, &CutEvent { reason }));
        }
    }

    async fn carry(&mut self, replay: Replay, mut told: broadcast::Receiver<Told>) -> End {
        let replayed = match replay {
            // An id without an event: a client that breaks off before the first event resumes from here.
            Replay::None => self.send(Event::default().id(self.seen.to_string())).await,
            Replay::Lost(reason) => self.reset(reason).await,
            Replay::From(history) => self.replay(history.0, history.1).await,
        };
        if let Err(end) = replayed {
            return end;
        }
        loop {
            match told.recv().await {
                Ok(batch) if batch.revision <= self.seen => {}
                Ok(batch) => {
                    if let Err(end) = self.send_all(batch.revision, &batch.events).await {
                        return end;
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    return End::Cut(format!("the client is more than {MAX_LAG} changes behind"));
                }
                Err(RecvError::Closed) => return End::Silent,
            }
        }
    }

    /// Reads history until it has reached the live events. Only a change tells that: until one comes, this watch
    /// waits for it as the live events do, and afterwards they go on.
    async fn replay(&mut self, mut snapshot: ClusterSnapshot, mut watch: Watch) -> Result<(), End> {
        let start = self.seen;
        self.send(Event::default().id(snapshot.revision().to_string())).await?;
        loop {
            match watch.next().await {
                Ok(batch) => {
                    let events = snapshot.apply_and_tell(batch.revision, &batch.changes);
                    self.send_all(batch.revision, &events).await?;
                    if batch.revision >= start {
                        return Ok(());
                    }
                }
                Err(EtcdError::Compacted { revision }) => {
                    self.seen = start;
                    return self.reset(format!("history up to revision {revision} was compacted meanwhile")).await;
                }
                Err(_) => return Err(End::Silent),
            }
        }
    }

    async fn reset(&mut self, reason: String) -> Result<(), End> {
        let body = ResetEvent { revision: self.seen, reason };
        self.send(event(ResetEvent::KIND, &body).id(self.seen.to_string())).await
    }

    async fn send_all(&mut self, revision: i64, events: &[ClusterEvent]) -> Result<(), End> {
        for (index, event) in events.iter().enumerate() {
            let event = to_wire(revision, event);
            let is_last = index + 1 == events.len();
            self.send(if is_last { event.id(revision.to_string()) } else { event }).await?;
        }
        self.seen = self.seen.max(revision);
        Ok(())
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        match tokio::time::timeout(SLOW_CLIENT, self.out.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Silent),
            Err(_) => Err(End::Cut("the client does not read on".to_owned())),
        }
    }
}

fn event(kind: &str, body: &impl Serialize) -> Event {
    // Serialising plain structs into memory has no way to fail.
    Event::default().event(kind).data(serde_json::to_string(body).unwrap_or_default())
}

fn to_wire(revision: i64, told: &ClusterEvent) -> Event {
    match told {
        ClusterEvent::Unit { unit, desired } => {
            let change = if desired.is_some() { "desired" } else { "destroyed" };
            let body = UnitEvent {
                revision,
                unit: unit.to_string(),
                change: change.to_owned(),
                desired: desired.as_ref().map(|unit| to_v1(unit.desired)),
                hash: desired.as_ref().map(|unit| unit.hash.to_string()),
            };
            event(UnitEvent::KIND, &body)
        }
        ClusterEvent::Machine { machine, change } => {
            event(MachineEvent::KIND, &machine_event(revision, machine, change))
        }
        ClusterEvent::Schedule { unit, change } => {
            event(ScheduleEvent::KIND, &schedule_event(revision, unit.to_string(), change))
        }
        ClusterEvent::State { unit, machine, state } => {
            event(StateEvent::KIND, &state_event(revision, unit.to_string(), machine, state.as_ref()))
        }
    }
}

fn machine_event(revision: i64, machine: &MachineId, change: &MachineChange) -> MachineEvent {
    let (change, view) = match change {
        MachineChange::Joined(view) => ("joined", view.clone()),
        MachineChange::Changed(view) => ("changed", view.clone()),
        MachineChange::Lost => ("lost", Default::default()),
    };
    let (machine, change) = (machine.to_string(), change.to_owned());
    MachineEvent { revision, machine, change, address: view.address, metadata: view.metadata }
}

fn schedule_event(revision: i64, unit: String, change: &ScheduleChange) -> ScheduleEvent {
    let (word, from, to, now, cause) = match change {
        ScheduleChange::Placed { to, now } => ("placed", None, Some(to), Some(now), now.cause.as_str()),
        ScheduleChange::Moved { from, to, now } => ("moved", Some(from), Some(to), Some(now), now.cause.as_str()),
        ScheduleChange::Changed { on, now } => ("changed", None, Some(on), Some(now), now.cause.as_str()),
        ScheduleChange::Removed { from, cause } => ("removed", Some(from), None, None, *cause),
    };
    ScheduleEvent {
        revision,
        unit,
        change: word.to_owned(),
        machine: to.map(ToString::to_string),
        from: from.map(ToString::to_string),
        target: now.map(|unit| target(unit.target)),
        cause: cause.to_owned(),
    }
}

fn target(target: TargetState) -> v1::DesiredState {
    to_v1(match target {
        TargetState::Loaded => DesiredState::Loaded,
        TargetState::Launched => DesiredState::Launched,
    })
}

fn state_event(revision: i64, unit: String, machine: &MachineId, state: Option<&ObservedUnit>) -> StateEvent {
    let machine = machine.to_string();
    let Some(state) = state else {
        let (load, active, sub, hash) = Default::default();
        return StateEvent {
            revision,
            unit,
            machine,
            change: "gone".to_owned(),
            load,
            active,
            sub,
            hash,
            problem: None,
        };
    };
    let flota_registry::UnitStates { load, active, sub } = state.states.clone();
    let hash = state.hash.map_or_else(String::new, |hash| hash.to_string());
    let (change, problem) = ("changed".to_owned(), state.problem.clone());
    StateEvent { revision, unit, machine, change, load, active, sub, hash, problem }
}
