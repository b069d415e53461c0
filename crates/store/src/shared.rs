//! What the services, the writer and the timers share.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use flota_mvcc::{Alarm, AlarmKind, AuthError, Caller, Error, LeaseId, Millis, Mvcc, Request, Response, Revision};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Credentials};
use crate::clock::Clock;
use crate::hub::Hub;
use crate::log::{Identity, Log, Sizes};
use crate::metrics::Metrics;
use crate::writer::{Job, MAX_QUEUE_BYTES};
use crate::{StoreConfig, StoreError};

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// By the rules of the store, or for lack of space.
    Request(Error),
    /// Too many passwords are being checked.
    Busy,
    /// The store has failed or is stopping.
    Stopped,
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Refusal {
        Refusal::Request(Error::Auth(error))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Request(error)
    }
}

/// The running store.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) clock: Clock,
    pub(crate) hub: Hub,
    pub(crate) sizes: Arc<Sizes>,
    /// Why the disk cannot be trusted any more, once that happened.
    pub(crate) failure: OnceLock<String>,
    /// Whether the disk was full at the last try.
    pub(crate) no_space: AtomicBool,
    pub(crate) metrics: Metrics,
    /// When the next lease ends.
    pub(crate) deadline: watch::Sender<Option<Millis>>,
    /// Who waits for a snapshot of the log. The writer begins one for them; without it they are dropped.
    defragment: Mutex<Vec<oneshot::Sender<()>>>,
    /// Ends streams when the server stops.
    pub(crate) stopping: CancellationToken,
    /// What the store was opened with; `advertise` is never empty.
    pub(crate) config: StoreConfig,
    /// Who callers are.
    pub(crate) auth: Authenticator,
    state: RwLock<Mvcc>,
    queue: mpsc::Sender<Job>,
    queue_bytes: Arc<Semaphore>,
    last_lease: AtomicI64,
}

impl Shared {
    pub(crate) fn new(
        state: Mvcc,
        log: &Log,
        clock: Clock,
        queue: mpsc::Sender<Job>,
        config: StoreConfig,
        lease_seed: i64,
    ) -> Result<Shared, StoreError> {
        let hub = Hub::default();
        hub.start_at(state.revision());
        let auth = Authenticator::new(&config.auth)?;
        auth.follow(state.auth());
        Ok(Shared {
            identity: log.identity,
            clock,
            hub,
            sizes: Arc::clone(&log.sizes),
            failure: OnceLock::new(),
            defragment: Mutex::default(),
            no_space: AtomicBool::new(false),
            metrics: Metrics::new(),
            deadline: watch::Sender::new(state.next_deadline()),
            stopping: CancellationToken::new(),
            config,
            auth,
            state: RwLock::new(state),
            queue,
            queue_bytes: Arc::new(Semaphore::new(MAX_QUEUE_BYTES)),
            last_lease: AtomicI64::new(lease_seed),
        })
    }

    /// The durable state.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, Mvcc> {
        // The only writer is the writer thread; if it panicked, its end stops the store.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The durable state, for the writer thread alone.
    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, Mvcc> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn revision(&self) -> Revision {
        self.state().revision()
    }

    /// The alarms that were raised, and the one of a full disk, which comes and goes by itself.
    pub(crate) fn alarms(&self) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = self.state().alarms().collect();
        let full = self.no_space_alarm();
        if self.no_space.load(Ordering::Relaxed) && !alarms.contains(&full) {
            alarms.push(full);
        }
        alarms
    }

    /// The alarm that this store itself raises.
    pub(crate) fn no_space_alarm(&self) -> Alarm {
        Alarm { kind: AlarmKind::NoSpace, member: self.identity.member_id }
    }

    /// Reads are refused too when the disk has failed: the process is about to end.
    pub(crate) fn check_alive(&self) -> Result<(), Refusal> {
        if self.failure.get().is_some() { Err(Refusal::Stopped) } else { Ok(()) }
    }

    /// Has the writer check the caller and make the request durable, and answers then.
    pub(crate) async fn submit(&self, caller: Caller, request: Request) -> Result<Response, Refusal> {
        let size = request.size();
        if size > self.config.limits.max_request_bytes {
            return Err(Refusal::Request(Error::RequestTooLarge));
        }
        let permits = u32::try_from(size.max(1)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.queue_bytes).acquire_many_owned(permits).await.map_err(|_| Refusal::Stopped)?;
        let (answer, answered) = oneshot::channel();
        let job = Job::Request { caller, request, answer, room };
        self.queue.send(job).await.map_err(|_| Refusal::Stopped)?;
        answered.await.unwrap_or(Err(Refusal::Stopped))
    }

    /// Has the writer look for something to do, if it is not busy anyway.
    pub(crate) fn nudge(&self) {
        let _ = self.queue.try_send(Job::Look);
    }

    /// On whose behalf a request comes. While auth is disabled nobody is asked, not even for a token that would not stand for anybody.
    pub(crate) fn caller<T>(&self, request: &tonic::Request<T>) -> Result<Caller, Refusal> {
        if self.auth.is_enabled() { self.caller_by(&Credentials::of(request)) } else { Ok(Caller::Anonymous) }
    }

    /// The same for what was kept of a request that opened a stream.
    pub(crate) fn caller_by(&self, credentials: &Credentials) -> Result<Caller, Refusal> {
        if !self.auth.is_enabled() {
            return Ok(Caller::Anonymous);
        }
        Ok(self.auth.identify(credentials, self.state().auth(), self.clock.now())?)
    }

    /// Refuses callers who may not administer the store.
    pub(crate) fn check_admin<T>(&self, request: &tonic::Request<T>) -> Result<(), Refusal> {
        let caller = self.caller(request)?;
        Ok(self.state().auth().check_admin(&caller)?)
    }

    /// Refuses callers who are nobody.
    pub(crate) fn check_user<T>(&self, request: &tonic::Request<T>) -> Result<(), Refusal> {
        let caller = self.caller(request)?;
        Ok(self.state().auth().check_user(&caller)?)
    }

    /// Requests that wait for the writer.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Who waits for a snapshot of the log.
    pub(crate) fn waiting_for_snapshot(&self) -> MutexGuard<'_, Vec<oneshot::Sender<()>>> {
        // Nothing here can leave the list half changed.
        self.defragment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the log replaced by a snapshot, and waits for it; false if that cannot be done.
    pub(crate) async fn defragment(&self) -> Result<bool, Refusal> {
        let (done, waiting) = oneshot::channel();
        self.waiting_for_snapshot().push(done);
        self.queue.send(Job::Look).await.map_err(|_| Refusal::Stopped)?;
        tokio::select! {
            done = waiting => Ok(done.is_ok()),
            () = self.stopping.cancelled() => Err(Refusal::Stopped),
        }
    }

    /// Tells the writer something that has no answer.
    pub(crate) async fn tell(&self, job: Job) {
        // A writer that has ended needs no telling.
        let _ = self.queue.send(job).await;
    }

    /// A lease id that is most likely free: from a random start upwards.
    pub(crate) fn new_lease_id(&self) -> Option<LeaseId> {
        LeaseId::new(self.last_lease.fetch_add(1, Ordering::Relaxed) & i64::MAX)
    }
}
