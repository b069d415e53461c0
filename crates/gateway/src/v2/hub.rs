//! One watch of the store for all who wait, and one more for each who asks for older history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use etcd_client::proto::PbEvent;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::core::{Core, times};
use super::error::{Code, V2Error};
use super::infer::{self, Hints};
use super::path::KeyPath;
use super::request::Wait;
use super::waiters::{MAX_BEHIND, MAX_WAITERS, Told, Waiter, Waiters};

/// Waits served from the store's history at a time, each with a watch of its own; more are told to read again.
const MAX_REPLAYS: usize = 256;
/// Leases asked about for one revision; of more, removals read as deletes.
const MAX_LEASES: usize = 16;
/// Without waiters the shared watch ends after this.
const IDLE: Duration = Duration::from_secs(60);
/// First and longest pause before a broken watch is taken up again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Those who wait.
pub struct Hub {
    state: Mutex<State>,
    replays: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    waiters: Waiters,
    /// Whether the shared watch is there.
    running: bool,
}

impl Default for Hub {
    fn default() -> Hub {
        Hub { state: Mutex::default(), replays: Arc::new(Semaphore::new(MAX_REPLAYS)) }
    }
}

/// A wait; its lines end when there is nothing more to come.
pub struct Waiting {
    lines: mpsc::Receiver<Bytes>,
    place: Option<(Arc<Core>, KeyPath, u64)>,
}

impl Waiting {
    /// The next event.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.lines.recv().await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((core, path, number)) = &self.place {
            core.hub.lock().waiters.remove(path, *number);
        }
    }
}

impl Hub {
    /// How many wait.
    pub fn count(&self) -> usize {
        self.lock().waiters.count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a wait, when the store is at `revision`.
pub async fn wait(core: &Arc<Core>, wait: &Wait, revision: i64) -> Result<Waiting, V2Error> {
    let since = wait.since.unwrap_or(revision + 1);
    let (sender, lines) = mpsc::channel(MAX_BEHIND);
    let waiter = Waiter { recursive: wait.recursive, stream: wait.stream, since, sender };
    let sender = {
        let mut state = core.hub.lock();
        if state.waiters.count() >= MAX_WAITERS {
            return Err(V2Error::new(Code::Internal, format!("more than {MAX_WAITERS} waits")).at(revision));
        }
        if !state.running {
            state.running = true;
            state.waiters.restart(revision + 1);
            tokio::spawn(run(Arc::clone(core), revision + 1));
        }
        if state.waiters.reaches(since) {
            let waits = state.waiters.catch_up(&wait.path, &waiter);
            let place =
                waits.then(|| (Arc::clone(core), wait.path.clone(), state.waiters.add(wait.path.clone(), waiter)));
            return Ok(Waiting { lines, place });
        }
        waiter.sender
    };
    let cleared = |start: String| {
        let cause = format!("the requested history has been cleared [{start}/{since}]");
        V2Error::new(Code::IndexCleared, cause).at(revision)
    };
    if !core.store.remembers(since.min(revision)).await? {
        return Err(cleared(format!("{revision}")));
    }
    let Ok(permit) = Arc::clone(&core.hub.replays).try_acquire_owned() else {
        return Err(cleared(format!("{revision}")));
    };
    let (core, wait) = (Arc::clone(core), wait.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = replay(&core, &wait, since, &sender) => {}
        }
        drop(permit);
    });
    Ok(Waiting { lines, place: None })
}

/// Serves one wait from the store's history and on.
async fn replay(core: &Core, wait: &Wait, since: i64, sender: &mpsc::Sender<Bytes>) {
    let mut span = wait.path.inside();
    if !wait.path.is_root() {
        span.start = wait.path.key();
    }
    let Ok(mut events) = core.store.watch(span, since).await else { return };
    while let Ok(Some(response)) = events.message().await {
        if response.canceled {
            return; // The client asks again, and is told that the history is gone.
        }
        for (revision, events) in by_revision(response.events) {
            for told in tell(core, revision, events).await {
                if told.concerns(&wait.path, wait.recursive) && (sender.send(told.line).await.is_err() || !wait.stream)
                {
                    return;
                }
            }
        }
    }
}

/// The shared watch: goes on for as long as somebody waits.
async fn run(core: Arc<Core>, mut next: i64) {
    let mut pause = PAUSES.0;
    loop {
        match follow(&core, &mut next).await {
            End::Idle => return,
            End::Compacted => {
                // Everybody's answer ends without an event, and they read again.
                let mut state = core.hub.lock();
                state.waiters.restart(0);
                state.running = false;
                return;
            }
            End::Progress => pause = PAUSES.0,
            End::Broken => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// How a watch ended.
enum End {
    /// Nobody waited.
    Idle,
    /// History was lost.
    Compacted,
    /// After events: try again at once.
    Progress,
    /// Without any.
    Broken,
}

async fn follow(core: &Core, next: &mut i64) -> End {
    let root = KeyPath::new("/").map(|root| root.inside());
    let Ok(root) = root else { return End::Broken };
    let mut events = match core.store.watch(root, *next).await {
        Ok(events) => events,
        Err(status) => {
            tracing::warn!("the watch for v2 waiters cannot be opened: {}", status.message());
            return End::Broken;
        }
    };
    let mut end = End::Broken;
    let mut idle_since = Instant::now();
    loop {
        let message = tokio::time::timeout(IDLE, events.message()).await;
        {
            let mut state = core.hub.lock();
            if state.waiters.count() > 0 {
                idle_since = Instant::now();
            } else if idle_since.elapsed() >= IDLE {
                state.waiters.restart(0);
                state.running = false;
                return End::Idle;
            }
        }
        let response = match message {
            Err(_) => continue, // Nothing happened.
            Ok(Ok(Some(response))) => response,
            Ok(Ok(None) | Err(_)) => return end,
        };
        if response.compact_revision > 0 {
            return End::Compacted;
        }
        if response.canceled {
            tracing::warn!("the watch for v2 waiters was ended: {}", response.cancel_reason);
            return End::Broken;
        }
        for (revision, events) in by_revision(response.events) {
            let told = tell(core, revision, events).await;
            let mut state = core.hub.lock();
            for told in told {
                state.waiters.tell(told);
            }
            *next = revision + 1;
            end = End::Progress;
        }
    }
}

/// Events of a revision are always in one response.
fn by_revision(events: Vec<PbEvent>) -> Vec<(i64, Vec<PbEvent>)> {
    let mut revisions: Vec<(i64, Vec<PbEvent>)> = Vec::new();
    for event in events {
        let revision = event.kv.as_ref().map_or(0, |pair| pair.mod_revision);
        match revisions.last_mut() {
            Some((last, events)) if *last == revision => events.push(event),
            _ => revisions.push((revision, vec![event])),
        }
    }
    revisions
}

/// What a revision is to v2: what was asked for here, or else what its changes look like.
async fn tell(core: &Core, revision: i64, events: Vec<PbEvent>) -> Vec<Told> {
    let removed = infer::removed(&events);
    if let Some(record) = core.journal.find(revision, infer::touched(&events)).await {
        if record.refresh {
            return Vec::new();
        }
        return vec![Told::new(revision, record.path, &record.event, removed)];
    }
    let mut hints = Hints::default();
    for lease in infer::foreign_leases(&events).into_iter().take(MAX_LEASES) {
        if let Ok(None) = core.store.lease(lease).await {
            hints.gone.insert(lease);
        }
    }
    if let Some(directory) = infer::perhaps_emptied(&events)
        && let Ok(true) = core.store.was_empty(&directory, revision).await
    {
        hints.emptied = Some(directory);
    }
    let events = infer::infer(revision, &events, &hints, &times());
    events
        .into_iter()
        .filter_map(|event| {
            let path = KeyPath::new(&event.node.as_ref()?.key).ok()?;
            Some(Told::new(revision, path, &event, removed.clone()))
        })
        .collect()
}
