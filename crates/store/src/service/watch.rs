//! Watch: many watches on one stream, each reading history at the pace of its client.
//!
//! A stream is pulled: it reads the next events only when the connection has taken the last ones. A slow client therefore costs one chunk
//! of memory and delays nobody; what it has not read yet is in the history, or compacted, and then the watch is canceled with a reason.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbWatchRequest, PbWatchRequestUnion, PbWatchResponse};
use flota_mvcc::{Event, EventFilter, Events, KeyRange, Mvcc, Revision};
use futures_util::{FutureExt, stream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tonic::{Request, Status, Streaming};

use super::convert;
use super::watch_body::WatchBatches;
use super::wire::WatchAnswer;
use crate::auth::Credentials;
use crate::hub::Slot;
use crate::shared::{Refusal, Shared};

/// Most watches of one stream; one more is answered as canceled.
const MAX_WATCHES: usize = 65_536;

/// Bytes of events that a stream holds ready; the rest stays in the history until they are taken.
const MAX_READY_BYTES: usize = 4 << 20;

/// Most watches that are served before others get at the state.
const MAX_FETCHED: usize = 128;

/// Bytes of events in one response to a watch that asked for fragments (etcd's limit for a request and its overhead).
const MAX_FRAGMENT_BYTES: usize = flota_mvcc::MAX_REQUEST_BYTES + (512 << 10);

/// How often a watch that asked for it is told the revision when nothing happens (etcd's interval).
const PROGRESS_EVERY: Duration = Duration::from_secs(600);

/// The id that stands for the whole stream, or for no watch.
const NO_WATCH: i64 = -1;

pub(super) struct WatchService {
    shared: Arc<Shared>,
}

impl WatchService {
    pub(super) fn new(shared: &Arc<Shared>) -> WatchService {
        WatchService { shared: Arc::clone(shared) }
    }

    /// Begins a stream of watches.
    pub(super) fn watch(&self, request: Request<Streaming<PbWatchRequest>>) -> WatchBatches {
        let watches = WatchStream::new(&self.shared, Credentials::of(&request), request.into_inner());
        Box::pin(stream::try_unfold(watches, |mut watches| async move {
            let responses = watches.next().await?;
            Ok(responses.map(|responses| (responses, watches)))
        }))
    }
}

/// One watch of a stream.
struct Watch {
    filter: EventFilter,
    fragment: bool,
    progress_notify: bool,
    slot: Arc<Slot>,
    /// Everything below has been fetched.
    next: Revision,
}

/// What a client asked a watch to be.
struct WatchCreate {
    id: i64,
    start: Revision,
    filter: EventFilter,
    fragment: bool,
    progress_notify: bool,
}

struct WatchStream {
    shared: Arc<Shared>,
    /// Of the request that opened the stream; each watch is checked when it is made.
    credentials: Credentials,
    /// `None` after the client has said its last; its watches go on.
    inbound: Option<Streaming<PbWatchRequest>>,
    wake: Arc<Notify>,
    watches: BTreeMap<i64, Watch>,
    next_id: i64,
    /// The watch that was served last; the next round begins behind it.
    last_served: i64,
    /// The newest revision that any watch was told.
    delivered: Revision,
    ready: VecDeque<WatchAnswer>,
    progress_asked: bool,
    progress_at: Option<Instant>,
}

/// What one watch was told; the next one mostly asks for the same.
struct Fetched {
    filter: EventFilter,
    from: Revision,
    events: Arc<[Event]>,
    bytes: usize,
    next: Revision,
}

impl Fetched {
    fn new(filter: EventFilter, from: Revision, found: Events) -> Fetched {
        let bytes = found.events.iter().map(|event| size(event, filter.prev_kv)).sum();
        Fetched { filter, from, events: found.events.into(), bytes, next: found.next }
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        for watch in self.watches.values() {
            self.shared.hub.remove(&watch.slot);
        }
    }
}

impl WatchStream {
    fn new(shared: &Arc<Shared>, credentials: Credentials, inbound: Streaming<PbWatchRequest>) -> WatchStream {
        WatchStream {
            shared: Arc::clone(shared),
            credentials,
            inbound: Some(inbound),
            wake: Arc::new(Notify::new()),
            watches: BTreeMap::new(),
            next_id: 0,
            last_served: NO_WATCH,
            delivered: 0,
            ready: VecDeque::new(),
            progress_asked: false,
            progress_at: None,
        }
    }

    /// The next responses; `None` ends the stream.
    async fn next(&mut self) -> Result<Option<VecDeque<WatchAnswer>>, Status> {
        loop {
            if !self.ready.is_empty() {
                return Ok(Some(std::mem::take(&mut self.ready)));
            }
            // A busy watch must not keep the client from canceling it.
            let asked = self.inbound.as_mut().and_then(|inbound| inbound.message().now_or_never());
            if let Some(request) = asked {
                if !self.handle(request) {
                    return Ok(None);
                }
                continue;
            }
            self.fetch();
            self.tell_progress();
            if self.ready.is_empty() && !self.wait().await? {
                return Ok(None);
            }
        }
    }

    /// Waits for a request, an event, the time for progress, or the end; false ends the stream.
    async fn wait(&mut self) -> Result<bool, Status> {
        let progress_at = self.progress_at;
        let request = async {
            match &mut self.inbound {
                Some(inbound) => inbound.message().await,
                None => std::future::pending().await,
            }
        };
        let progress = async {
            match progress_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.stopping.cancelled() => Err(convert::status(Refusal::Stopped)),
            request = request => Ok(self.handle(request)),
            () = self.wake.notified() => Ok(true),
            () = progress => Ok(true),
        }
    }

    /// Handles a request; false if the stream ends with it.
    fn handle(&mut self, request: Result<Option<PbWatchRequest>, Status>) -> bool {
        let request = match request {
            Ok(Some(request)) => request,
            Ok(None) => {
                self.inbound = None;
                return !self.watches.is_empty();
            }
            Err(_) => return false,
        };
        match request.request_union {
            Some(PbWatchRequestUnion::CreateRequest(create)) => {
                let key: &[u8] = if create.key.is_empty() { &[0] } else { &create.key };
                self.create(WatchCreate {
                    id: create.watch_id,
                    start: create.start_revision,
                    filter: EventFilter {
                        range: KeyRange::new(key, &create.range_end),
                        no_put: create.filters.contains(&0),
                        no_delete: create.filters.contains(&1),
                        prev_kv: create.prev_kv,
                    },
                    fragment: create.fragment,
                    progress_notify: create.progress_notify,
                });
            }
            Some(PbWatchRequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id),
            Some(PbWatchRequestUnion::ProgressRequest(_)) => self.progress_asked = true,
            None => {}
        }
        true
    }

    fn create(&mut self, create: WatchCreate) {
        let id = match self.check(&create) {
            Ok(id) => id,
            Err(reason) => {
                let header = convert::header(&self.shared, self.shared.revision());
                self.tell(PbWatchResponse {
                    header,
                    watch_id: NO_WATCH,
                    created: true,
                    canceled: true,
                    cancel_reason: reason,
                    ..PbWatchResponse::default()
                });
                return;
            }
        };
        // Added before the revision is read: a commit is then either in what is read, or marks the slot.
        let slot = self.shared.hub.add(create.filter.range.clone(), Arc::clone(&self.wake));
        let current = self.shared.revision();
        let next = if create.start > 0 { create.start } else { current + 1 };
        if next <= current {
            slot.mark(next);
        }
        let WatchCreate { filter, fragment, progress_notify, .. } = create;
        if progress_notify && self.progress_at.is_none() {
            self.progress_at = Some(Instant::now() + PROGRESS_EVERY);
        }
        self.watches.insert(id, Watch { filter, fragment, progress_notify, slot, next });
        let header = convert::header(&self.shared, current);
        self.tell(PbWatchResponse { header, watch_id: id, created: true, ..PbWatchResponse::default() });
    }

    /// The id of a new watch, or why there is none.
    fn check(&mut self, create: &WatchCreate) -> Result<i64, String> {
        self.check_caller(&create.filter.range).map_err(|refusal| {
            let status = convert::status(refusal);
            // What Go prints for an error of gRPC: its clients look for the text after it.
            format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
        })?;
        Ok(self.check_form(create)?)
    }

    fn check_caller(&self, range: &KeyRange) -> Result<(), Refusal> {
        if !self.shared.auth.is_enabled() {
            return Ok(());
        }
        let caller = self.shared.caller_by(&self.credentials)?;
        Ok(self.shared.state().auth().check_read(&caller, range)?)
    }

    fn check_form(&mut self, create: &WatchCreate) -> Result<i64, &'static str> {
        if create.filter.range.is_empty() {
            return Err("mvcc: watcher range is empty");
        }
        if create.start < 0 {
            return Err("mvcc: watch start revision must not be negative");
        }
        if self.watches.len() >= MAX_WATCHES {
            return Err("mvcc: too many watches on the WatchStream");
        }
        if create.id != 0 {
            let taken = self.watches.contains_key(&create.id);
            return if taken { Err("mvcc: duplicate watch ID provided on the WatchStream") } else { Ok(create.id) };
        }
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    fn cancel(&mut self, id: i64) {
        if let Some(watch) = self.watches.remove(&id) {
            self.shared.hub.remove(&watch.slot);
            let header = convert::header(&self.shared, self.shared.revision());
            self.tell(PbWatchResponse { header, watch_id: id, canceled: true, ..PbWatchResponse::default() });
        }
    }

    /// Makes the next events ready, in turn for each watch that has some, until it is enough.
    fn fetch(&mut self) {
        let behind = self.watches.range(self.last_served + 1..);
        let order = behind.chain(self.watches.range(..=self.last_served));
        let ids: Vec<i64> = order.filter(|(_, watch)| watch.slot.is_pending()).map(|(id, _)| *id).collect();
        let shared = Arc::clone(&self.shared);
        let mut bytes = 0;
        for ids in ids.chunks(MAX_FETCHED) {
            let state = shared.state();
            let mut last = None;
            for &id in ids {
                if bytes >= MAX_READY_BYTES {
                    self.wake.notify_one();
                    return;
                }
                bytes += self.fetch_one(&state, id, &mut last);
                self.last_served = id;
            }
        }
    }

    /// Makes the next events of one watch ready; returns their bytes. `last` is what was read from the same state for the watch before.
    fn fetch_one(&mut self, state: &Mvcc, id: i64, last: &mut Option<Fetched>) -> usize {
        let Some(watch) = self.watches.get_mut(&id) else { return 0 };
        // A mark comes after its commit, and while the state is held there is no other: it has what is marked.
        let Some(marked) = watch.slot.take() else { return 0 };
        // Nothing below the mark concerns this watch, however old the last thing is that did.
        let from = watch.next.max(marked);
        let current = state.revision();
        let same = last.take().filter(|last| last.from == from && last.filter == watch.filter);
        let found = if let Some(same) = same {
            same
        } else {
            let Ok(found) = state.events(&watch.filter, from) else {
                self.compacted(id, current, state.compact_revision());
                return 0;
            };
            Fetched::new(watch.filter.clone(), from, found)
        };
        let found = last.insert(found);
        watch.next = found.next;
        if found.next <= current {
            watch.slot.mark(found.next);
        }
        if found.events.is_empty() {
            return 0;
        }
        let told = current.min(found.next - 1);
        self.delivered = self.delivered.max(told);
        let header = convert::header(&self.shared, told);
        let head = PbWatchResponse { header, watch_id: id, ..PbWatchResponse::default() };
        let answer = WatchAnswer { head, events: Arc::clone(&found.events), prev_kv: watch.filter.prev_kv };
        if watch.fragment {
            self.ready.extend(fragments(answer));
        } else {
            self.ready.push_back(answer);
        }
        found.bytes
    }

    /// Makes a message without events ready.
    fn tell(&mut self, message: PbWatchResponse) {
        self.ready.push_back(message.into());
    }

    fn compacted(&mut self, id: i64, current: Revision, compacted: Revision) {
        if let Some(watch) = self.watches.remove(&id) {
            self.shared.hub.remove(&watch.slot);
            self.tell(PbWatchResponse {
                header: convert::header(&self.shared, current),
                watch_id: id,
                canceled: true,
                compact_revision: compacted,
                ..PbWatchResponse::default()
            });
        }
    }

    /// Tells the revision up to which everything has been delivered, if asked or due.
    fn tell_progress(&mut self) {
        // Read before the marks: what was published has marked its watches.
        let revision = self.shared.hub.published();
        let is_due = self.progress_at.is_some_and(|at| at <= Instant::now());
        if revision < self.delivered {
            // A watch that was behind was told of a commit that is in the state and marks the others only now: a moment later
            // progress is not behind what was delivered.
            if self.progress_asked || is_due {
                self.wake.notify_one();
            }
            return;
        }
        let is_synced = |watch: &Watch| !watch.slot.is_pending();
        if self.progress_asked && self.watches.values().all(is_synced) {
            self.progress_asked = false;
            let header = convert::header(&self.shared, revision);
            self.tell(PbWatchResponse { header, watch_id: NO_WATCH, ..PbWatchResponse::default() });
        }
        if is_due {
            self.progress_at = Some(Instant::now() + PROGRESS_EVERY);
            let told = self.watches.iter().filter(|(_, watch)| watch.progress_notify && is_synced(watch));
            let told: Vec<i64> = told.map(|(id, _)| *id).collect();
            for watch_id in told {
                let header = convert::header(&self.shared, revision);
                self.tell(PbWatchResponse { header, watch_id, ..PbWatchResponse::default() });
            }
        }
    }
}

fn size(event: &Event, prev_kv: bool) -> usize {
    event.kv().size() + event.prev().filter(|_| prev_kv).map_or(0, |kv| kv.size())
}

/// Splits an answer that is too large for one message; an event is never split.
fn fragments(answer: WatchAnswer) -> impl Iterator<Item = WatchAnswer> {
    let WatchAnswer { head, events, prev_kv } = answer;
    let mut ends = Vec::new();
    let mut bytes = 0;
    for (place, event) in events.iter().enumerate() {
        let more = size(event, prev_kv);
        bytes += more;
        if bytes > MAX_FRAGMENT_BYTES && place > ends.last().copied().unwrap_or(0) {
            ends.push(place);
            bytes = more;
        }
    }
    ends.push(events.len());
    let last = ends.len() - 1;
    let mut start = 0;
    ends.into_iter().enumerate().map(move |(part, end)| {
        let part_events = if last == 0 { Arc::clone(&events) } else { events[start..end].into() };
        start = end;
        WatchAnswer { head: PbWatchResponse { fragment: part < last, ..head.clone() }, events: part_events, prev_kv }
    })
}
