//! The one thread that changes the store: evaluates a batch, logs it, applies it, answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use flota_mvcc::{Caller, Error, Pending, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::StoreError;
use crate::log::{AppendError, Log, write_snapshot};
use crate::shared::{Refusal, Shared};

/// Most requests that become durable together; more wait in the queue, which is as long.
pub(crate) const MAX_BATCH_REQUESTS: usize = 4096;

/// Bytes of requests after which a batch is closed.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// Bytes of requests in the queue; senders wait when it is full.
pub(crate) const MAX_QUEUE_BYTES: usize = 64 << 20;

/// Most leases that end in one batch; the rest follows in the next.
const MAX_EXPIRED: usize = 1000;

/// The log is replaced by a snapshot when it is longer than this, and than twice what is kept in memory.
const SNAPSHOT_BYTES: u64 = 64 << 20;

/// Bytes that a key takes beside itself and its value, as far as the quota is concerned (etcd's figure).
const KEY_OVERHEAD: usize = 256;

/// Keys or commits of a snapshot that are read at once, while which nothing can be applied.
const SNAPSHOT_STEP: usize = 500;

/// Events of a compaction that are freed at once, between two batches.
const TIDY_STEP: usize = 1000;

/// How long the writer looks for another request before it sleeps. No longer than a client on the same machine takes for a round trip:
/// it is spent after each request that comes alone.
const LINGER: Duration = Duration::from_micros(150);

/// What the writer is asked.
pub(crate) enum Job {
    /// Change the store.
    Request {
        caller: Caller,
        request: Request,
        answer: oneshot::Sender<Result<Response, Refusal>>,
        /// The request's share of the queue, given back with the answer.
        room: OwnedSemaphorePermit,
    },
    /// There may be something to do: leases have ended, or a snapshot is written.
    Look,
    /// Finish what came before, then end.
    Stop,
}

/// How much may be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    /// Everything.
    Enough,
    /// Only what does not make the store larger.
    Scarce,
    /// Nothing.
    None,
}

type Answers = Vec<Result<Response, Refusal>>;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    log: Log,
    /// The thread that writes a snapshot, or wrote the last one.
    snapshot: Option<JoinHandle<()>>,
    /// Whether it is still at it.
    snapshotting: Arc<AtomicBool>,
    /// Whether the last batch was one request.
    alone: bool,
}

impl Writer {
    /// Starts the thread; it ends with the store's error, or without one after [`Job::Stop`].
    pub(crate) fn spawn(
        shared: Arc<Shared>,
        log: Log,
        queue: mpsc::Receiver<Job>,
    ) -> std::io::Result<oneshot::Receiver<Result<(), StoreError>>> {
        let (ended, end) = oneshot::channel();
        let mut writer = Writer { shared, log, snapshot: None, snapshotting: Arc::default(), alone: false };
        Builder::new().name("store-writer".to_owned()).spawn(move || {
            let outcome = writer.run(queue);
            // The data directory is not free for another process before this has ended too.
            if let Some(Err(_)) = writer.snapshot.take().map(JoinHandle::join) {
                tracing::error!("the snapshot thread panicked: the log is kept");
            }
            // Nobody listens when the server itself has been dropped.
            let _ = ended.send(outcome);
        })?;
        Ok(end)
    }

    fn run(&mut self, mut queue: mpsc::Receiver<Job>) -> Result<(), StoreError> {
        if let Err(error) = self.log.take_reserve() {
            tracing::warn!(%error, "cannot set disk space aside: on a full disk even deletes will be refused");
        }
        let mut arrived = Vec::new();
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                // What is to be freed is freed between batches, or now that nobody asks anything.
                match queue.try_recv() {
                    Ok(job) => waiting.push_back(job),
                    Err(_) if self.free() => continue,
                    Err(_) if self.linger(&mut queue, &mut waiting) => {}
                    Err(_) if queue.blocking_recv_many(&mut arrived, MAX_BATCH_REQUESTS) == 0 => return Ok(()),
                    Err(_) => {}
                }
            }
            while let Some(job) = (waiting.len() < MAX_BATCH_REQUESTS).then(|| queue.try_recv().ok()).flatten() {
                waiting.push_back(job);
            }
            waiting.extend(arrived.drain(..));
            let (jobs, stop) = take_batch(&mut waiting);
            if let Err(reason) = self.batch(jobs) {
                tracing::error!(reason, "the disk failed: the store stops, what was answered is safe");
                let _ = self.shared.failure.set(reason.clone());
                return Err(StoreError::DiskFailed { reason });
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// Waits a moment without sleeping when the last request came alone: a client that asks one thing after the other is about to ask the
    /// next, and to be woken takes longer than that. With many clients the next request is there already.
    fn linger(&self, queue: &mut mpsc::Receiver<Job>, waiting: &mut VecDeque<Job>) -> bool {
        let start = Instant::now();
        while self.alone && start.elapsed() < LINGER {
            if let Ok(job) = queue.try_recv() {
                waiting.push_back(job);
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    /// Runs the jobs as one batch; an error means that the disk cannot be trusted, and drops the answers.
    fn batch(&mut self, jobs: Vec<Work>) -> Result<(), String> {
        let mut space = self.space(&jobs);
        let (answers, pending) = loop {
            let (answers, pending) = self.evaluate(&jobs, space);
            if pending.records.is_empty() {
                break (answers, pending);
            }
            let start = Instant::now();
            let appended = self.log.append(&pending.records);
            self.shared.metrics.sync.observe(start.elapsed());
            match appended {
                Ok(()) => break (answers, pending),
                Err(AppendError::NoSpace) => space = self.out_of_space(space),
                Err(AppendError::TooLarge) => {
                    refuse_all(jobs, Refusal::Request(Error::RequestTooLarge));
                    return Ok(());
                }
                Err(AppendError::Failed(reason)) => return Err(reason),
            }
        };
        self.shared.metrics.leases(&pending.records);
        let now = self.shared.clock.now();
        let (commits, deadline) = {
            let mut state = self.shared.state_mut();
            let commits = state.apply(now, pending);
            self.shared.auth.follow(state.auth());
            (commits, state.next_deadline())
        };
        // Before the answers: whoever has one finds it counted.
        self.shared.metrics.committed(&commits);
        let is_one = jobs.len() == 1;
        let compacted = jobs.iter().any(|job| matches!(job.request, Request::Compact(_)));
        for (job, answer) in jobs.into_iter().zip(answers) {
            // A caller that has gone away does not want the answer.
            let _ = job.answer.send(answer);
        }
        let woken = self.shared.hub.publish(&commits);
        // Streams that have something to send need the processor more.
        self.alone = is_one && !woken;
        self.shared.deadline.send_if_modified(|old| std::mem::replace(old, deadline) != deadline);
        self.tidy(compacted && space != Space::Enough);
        self.free();
        Ok(())
    }

    /// Evaluates ended leases first: a keep-alive behind them must find them gone.
    fn evaluate(&self, jobs: &[Work], space: Space) -> (Answers, Pending) {
        let now = self.shared.clock.now();
        let state = self.shared.state();
        let mut batch = state.batch(now);
        if space != Space::None {
            for id in state.expired(now).into_iter().take(MAX_EXPIRED) {
                // The state itself told that it exists.
                let _ = batch.evaluate(&Request::LeaseRevoke(id));
            }
        }
        let mut used = state.bytes();
        let answers = jobs.iter().map(|job| {
            if refused(&job.request, space) {
                return Err(Refusal::Request(Error::NoSpace));
            }
            if self.over_quota(&job.request, used) {
                // Nobody raises an alarm by what is not allowed anyway. Raised once; from then on the alarm itself refuses what grows.
                batch.check(&job.caller, &job.request)?;
                let _ = batch.evaluate(&Request::Alarm { alarm: self.shared.no_space_alarm(), active: true });
                return Err(Refusal::Request(Error::NoSpace));
            }
            used += job.request.size();
            Ok(batch.evaluate_for(&job.caller, &job.request)?)
        });
        let answers = answers.collect();
        if let Some(revision) = state.compaction_due(now).filter(|_| space == Space::Enough) {
            // A compaction asked for in this very batch may have gone further already.
            let _ = batch.evaluate(&Request::Compact(revision));
        }
        (answers, batch.finish())
    }

    fn over_quota(&self, request: &Request, used: usize) -> bool {
        let quota = self.shared.config.quota_bytes;
        let cost = request.size() + KEY_OVERHEAD;
        quota > 0 && request.grows() && (used + cost) as u64 >= quota
    }

    /// On a disk that was full, each new write tries whether there is space again.
    fn space(&self, jobs: &[Work]) -> Space {
        if !self.shared.no_space.load(Ordering::Relaxed) {
            return Space::Enough;
        }
        if jobs.iter().any(|job| tries_for_space(&job.request)) && self.log.retake_reserve().is_ok() {
            tracing::info!("there is disk space again: writes go on");
            self.shared.no_space.store(false, Ordering::Relaxed);
            return Space::Enough;
        }
        Space::Scarce
    }

    fn out_of_space(&self, space: Space) -> Space {
        if space == Space::Enough {
            tracing::error!("the disk is full: puts and new leases are refused, reads and deletes go on");
            self.shared.no_space.store(true, Ordering::Relaxed);
            self.log.release_reserve();
            Space::Scarce
        } else {
            Space::None
        }
    }

    /// Frees a part of what was compacted; tells whether there is more. A snapshot still reads it.
    fn free(&self) -> bool {
        !self.snapshotting.load(Ordering::Acquire) && self.shared.state_mut().tidy(TIDY_STEP)
    }

    /// Begins new segments and snapshots when it is time.
    fn tidy(&mut self, now: bool) {
        let length = self.log.sizes.segments.load(Ordering::Relaxed);
        let asked = !self.shared.waiting_for_snapshot().is_empty();
        let due = now || asked || length > SNAPSHOT_BYTES.max(2 * self.shared.state().bytes() as u64);
        let snapshot = due && !self.snapshotting.load(Ordering::Acquire);
        if !snapshot && !self.log.is_segment_full() {
            return;
        }
        match self.log.rotate() {
            Ok(seq) if snapshot => self.snapshot(seq),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot begin a new segment of the log: the old one goes on");
                self.shared.waiting_for_snapshot().clear();
            }
        }
    }

    /// Writes what the segments below `seq` hold as a snapshot, beside the running store.
    fn snapshot(&mut self, seq: u64) {
        let waiting = std::mem::take(&mut *self.shared.waiting_for_snapshot());
        let mut dump = self.shared.state().begin_dump();
        let (disk, identity, sizes) = (Arc::clone(&self.log.disk), self.log.identity, Arc::clone(&self.log.sizes));
        let old = sizes.segments.load(Ordering::Relaxed) - self.log.length();
        let (shared, snapshotting) = (Arc::clone(&self.shared), Arc::clone(&self.snapshotting));
        snapshotting.store(true, Ordering::Release);
        let thread = Builder::new().name("store-snapshot".to_owned()).spawn(move || {
            let records = || shared.state().dump_step(&mut dump, SNAPSHOT_STEP);
            match write_snapshot(&*disk, identity, seq, records, &sizes) {
                Ok(bytes) => {
                    sizes.segments.fetch_sub(old, Ordering::Relaxed);
                    tracing::info!(seq, bytes, "wrote a snapshot and removed the log before it");
                    // Who has gone away need not be told; without a snapshot all are dropped, which tells them that too.
                    for waiting in waiting {
                        let _ = waiting.send(());
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot write a snapshot: the log is kept, and grows"),
            }
            snapshotting.store(false, Ordering::Release);
            shared.nudge();
        });
        match thread {
            Ok(thread) => self.snapshot = Some(thread),
            Err(error) => {
                self.snapshotting.store(false, Ordering::Release);
                tracing::warn!(%error, "cannot start a thread for a snapshot: the log is kept, and grows");
            }
        }
    }
}

/// A request on its way through a batch.
struct Work {
    caller: Caller,
    request: Request,
    answer: oneshot::Sender<Result<Response, Refusal>>,
    _room: OwnedSemaphorePermit,
}

/// Takes jobs up to the batch's limits; also tells whether the writer is to stop afterwards.
fn take_batch(waiting: &mut VecDeque<Job>) -> (Vec<Work>, bool) {
    let mut jobs = Vec::new();
    let mut bytes = 0;
    while bytes < MAX_BATCH_BYTES && jobs.len() < MAX_BATCH_REQUESTS {
        match waiting.pop_front() {
            Some(Job::Request { caller, request, answer, room }) => {
                bytes += request.size();
                jobs.push(Work { caller, request, answer, _room: room });
            }
            Some(Job::Look) => {}
            Some(Job::Stop) => return (jobs, true),
            None => break,
        }
    }
    (jobs, false)
}

/// Somebody wants to write, or says that there is space again.
fn tries_for_space(request: &Request) -> bool {
    request.grows() || matches!(request, Request::Alarm { active: false, .. })
}

fn refused(request: &Request, space: Space) -> bool {
    match space {
        Space::Enough => false,
        Space::Scarce => request.grows(),
        Space::None => !matches!(request, Request::LeaseKeepAlive(_)),
    }
}

fn refuse_all(jobs: Vec<Work>, refusal: Refusal) {
    for job in jobs {
        let _ = job.answer.send(Err(refusal));
    }
}
