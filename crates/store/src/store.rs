//! Opening, serving and closing the store.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use flota_etcd::Upstream;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::disk::{Directory, Disk};
use crate::listener::Bound;
use crate::lock::DirectoryLock;
use crate::log::{Identity, Recovered, RecoveryReport, recover};
use crate::shared::Shared;
use crate::writer::{Job, MAX_BATCH_REQUESTS, Writer};
use crate::{Listen, StoreConfig, StoreError, service};

/// How long requests at hand may take when the store is told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// A store that has been recovered and listens, but does not answer yet.
pub struct Store {
    shared: Arc<Shared>,
    listeners: Vec<Bound>,
    /// Added by the store's owner.
    routes: Router,
    report: RecoveryReport,
    writer_end: oneshot::Receiver<Result<(), StoreError>>,
    _lock: DirectoryLock,
}

impl Store {
    /// Recovers the data and binds all addresses. Nothing is served before [`Store::serve`].
    pub async fn open(config: StoreConfig) -> Result<Store, StoreError> {
        let disk = Arc::new(Directory::new(&config.data_dir));
        Store::open_on(config, disk).await
    }

    /// The same on another disk; the lock is still a file in the data directory.
    pub async fn open_on(mut config: StoreConfig, disk: Arc<dyn Disk>) -> Result<Store, StoreError> {
        let clock = Clock::new();
        let dir = config.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || open_log(&dir, disk, clock)).await;
        let (lock, Recovered { mut state, log, report }) = opened.map_err(|_| StoreError::WriterEnded)??;
        state.set_limits(config.limits);
        let mut listeners = Vec::new();
        for listen in &config.listen {
            listeners.push(Bound::bind(listen).await?);
        }
        let (queue, jobs) = mpsc::channel(MAX_BATCH_REQUESTS);
        if config.advertise.is_empty() {
            config.advertise = listeners.iter().map(|bound| bound.listen().to_string()).collect();
        }
        let seed = random(&config.data_dir)? as i64;
        let data_dir = config.data_dir.clone();
        let shared = Arc::new(Shared::new(state, &log, clock, queue, config, seed)?);
        let spawned = Writer::spawn(Arc::clone(&shared), log, jobs);
        let writer_end = spawned.map_err(|source| StoreError::Io {
            action: "start the writer thread for",
            path: data_dir,
            source,
        })?;
        Ok(Store { shared, listeners, routes: Router::new(), report, writer_end, _lock: lock })
    }

    /// What was found on disk.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.report
    }

    /// The revision of the last write.
    pub fn revision(&self) -> i64 {
        self.shared.revision()
    }

    /// The id of the cluster, made up when the data directory was.
    pub fn cluster_id(&self) -> u64 {
        self.shared.identity.cluster_id
    }

    /// The name of the member, and the URLs that clients are told to use.
    pub fn member(&self) -> (&str, &[String]) {
        (&self.shared.config.name, &self.shared.config.advertise)
    }

    /// The addresses in the order of the configuration, with the ports that were chosen where 0 was asked for.
    pub fn addresses(&self) -> Vec<Listen> {
        self.listeners.iter().map(|bound| bound.listen().clone()).collect()
    }

    /// The store as something to call in this process: the same services as on its addresses, without a connection.
    pub fn upstream(&self) -> Upstream {
        Upstream::new(service::grpc(&self.shared))
    }

    /// Serves these routes too, on all addresses. They must not overlap with the store's own.
    pub fn with_routes(mut self, routes: Router) -> Store {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Serves until `shutdown`; returns early with an error if the disk fails, and then the process must be started again.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let Store { shared, listeners, routes, writer_end, _lock, .. } = self;
        let stopping = shared.stopping.clone();
        let front = service::front(&shared, service::router(&shared).merge(routes));
        let served = listeners.into_iter().map(|bound| bound.serve(front.clone(), stopping.clone()));
        let served = join_all(served.collect::<Vec<_>>());
        let mut servers = tokio::spawn(async { served.await.clear() });
        let leases = tokio::spawn(lease_timer(Arc::clone(&shared)));
        let mut writer_end = Some(writer_end);
        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = ended(&mut writer_end) => ended,
        };
        leases.abort();
        stopping.cancel();
        if tokio::time::timeout(DRAIN, &mut servers).await.is_err() {
            tracing::info!("clients kept their connections open: they are cut");
            servers.abort();
        }
        shared.tell(Job::Stop).await;
        let closed = ended(&mut writer_end).await;
        outcome.and(closed)
    }
}

/// Waits for the writer; at once if it has been waited for already.
async fn ended(end: &mut Option<oneshot::Receiver<Result<(), StoreError>>>) -> Result<(), StoreError> {
    let Some(receiver) = end else { return Ok(()) };
    let ended = receiver.await;
    *end = None;
    ended.unwrap_or(Err(StoreError::WriterEnded))
}

/// Tells the writer when leases end; sleeps until the next one, however far.
async fn lease_timer(shared: Arc<Shared>) {
    /// A revocation that cannot be logged, on a full disk, is tried again after this.
    const RETRY: Duration = Duration::from_secs(1);
    let mut changes = shared.deadline.subscribe();
    loop {
        let deadline = *changes.borrow_and_update();
        let sleep = async {
            match deadline {
                Some(deadline) => tokio::time::sleep(shared.clock.until(deadline)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = sleep => {
                shared.tell(Job::Look).await;
                // The writer changes the deadline when it has revoked the leases.
                let _ = tokio::time::timeout(RETRY, changes.changed()).await;
            }
        }
    }
}

fn open_log(dir: &Path, disk: Arc<dyn Disk>, clock: Clock) -> Result<(DirectoryLock, Recovered), StoreError> {
    let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    make.map_err(|source| StoreError::Io { action: "make", path: dir.to_owned(), source })?;
    let lock = DirectoryLock::take(dir)?;
    let fresh = Identity { cluster_id: random(dir)?, member_id: random(dir)? };
    let recovered = recover(dir, disk, fresh, clock.now())?;
    Ok((lock, recovered))
}

/// A random number that is not 0.
pub(crate) fn random(dir: &Path) -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    let filled = filled.map_err(|errno| StoreError::Io {
        action: "make an id for",
        path: dir.to_owned(),
        source: errno.into(),
    })?;
    debug_assert_eq!(filled, bytes.len());
    Ok(u64::from_le_bytes(bytes).max(1))
}
