//! The cluster as requests see it: read once, then kept up to date by a watch for as long as the API is in use.
//!
//! Invariant: a read sees every change that was acknowledged before it began, through whichever daemon
//! ([`Api::fresh`]). A page that continues a list is as new as its first page, and as this daemon's own changes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use flota_etcd::{Batch, Committed, StoreClient, Watch};
use flota_registry::{ClusterEvent, ClusterSnapshot, Key, Txn, keys};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Api;
use super::error::ApiError;
use super::extract::Page;
use super::view::View;

/// How long after the last request the view is kept, and its watch wakes this daemon for others' changes.
const IDLE: Duration = Duration::from_secs(60);
/// How long a request waits for the watch to have come as far as the store.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How long before the store is asked once more how far the watch is.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often a request starts anew because the view that it waited for ended.
const MAX_TRIES: usize = 3;
/// Batches of events that a stream may lag behind; one that lags more is cut.
pub const MAX_LAG: usize = 256;

/// Where the view is, while there is one.
pub type FeedSlot = Arc<tokio::sync::Mutex<Option<Arc<Feed>>>>;

/// What one batch of changes brought.
#[derive(Debug, Clone)]
pub struct Told {
    pub revision: i64,
    pub events: Arc<[ClusterEvent]>,
}

/// A view of the cluster that a task keeps up to date.
pub struct Feed {
    view: RwLock<View>,
    /// Everything up to this revision is in the view.
    reached: watch::Sender<i64>,
    /// The last change that this daemon's API made.
    written: AtomicI64,
    /// Somebody waits for a revision that the view may never hear of: others than Flota write to the store too.
    asked: Notify,
    used: Mutex<Instant>,
    told: broadcast::Sender<Told>,
    over: CancellationToken,
}

impl Api {
    /// The way to the store, if it is reached.
    pub fn client(&self) -> Result<StoreClient, ApiError> {
        let away = || self.trust.reason().map_or_else(ApiError::away, ApiError::frozen);
        self.link.borrow().as_ref().map(|link| link.client.clone()).ok_or_else(away)
    }

    /// A view with everything that was acknowledged before this call.
    pub async fn fresh(&self) -> Result<Arc<Feed>, ApiError> {
        let client = self.client()?;
        for _ in 0..MAX_TRIES {
            let feed = self.feed(&client).await?;
            let (now, _) = client.get(&Key::Leader.to_string()).await?;
            if feed.reach(now).await {
                return Ok(feed);
            }
        }
        Err(ApiError::away())
    }

    /// A view with everything that this API changed, and that earlier reads saw.
    pub async fn continued(&self) -> Result<Arc<Feed>, ApiError> {
        let client = self.client()?;
        for _ in 0..MAX_TRIES {
            let feed = self.feed(&client).await?;
            if feed.reach(feed.written.load(Ordering::SeqCst)).await {
                return Ok(feed);
            }
        }
        Err(ApiError::away())
    }

    /// The view that a list request reads.
    pub async fn read(&self, page: &Page) -> Result<Arc<Feed>, ApiError> {
        if page.0.is_none() { self.fresh().await } else { self.continued().await }
    }

    /// Refuses changes while somebody does not believe the store: they would not be carried out, or be lost with it.
    async fn check_orders(&self) -> Result<(), ApiError> {
        if let Some(why) = self.trust.reason() {
            return Err(ApiError::frozen(why));
        }
        // Whoever has not asked for anything yet has no view: then this machine's own judgement has to do.
        let Some(feed) = self.feed.lock().await.clone() else { return Ok(()) };
        let view = feed.view();
        let mut machines = view.snapshot.machines().iter();
        match machines.find_map(|(id, entry)| Some((id, entry.value.frozen.as_ref()?))) {
            None => Ok(()),
            Some((id, why)) => Err(ApiError::frozen(format!("machine {} takes no orders: {why}", id.short()))),
        }
    }

    /// Commits a change so that later reads see it.
    pub async fn commit(&self, client: &StoreClient, txn: &Txn) -> Result<Committed, ApiError> {
        self.check_orders().await?;
        let committed = client.commit(txn).await?;
        if let Committed::Yes(revision) = committed
            && let Some(feed) = &*self.feed.lock().await
        {
            feed.written.fetch_max(revision, Ordering::SeqCst);
        }
        Ok(committed)
    }

    /// The view as it is; all who ask while it is read for the first time wait for the same reading.
    async fn feed(&self, client: &StoreClient) -> Result<Arc<Feed>, ApiError> {
        let mut slot = self.feed.lock().await;
        if let Some(feed) = slot.as_ref().filter(|feed| !feed.over.is_cancelled()) {
            *lock(&feed.used) = Instant::now();
            return Ok(Arc::clone(feed));
        }
        let (revision, pairs) = client.range(keys::PREFIX).await?;
        let watch = client.watch_prefix(keys::PREFIX, revision + 1).await?;
        let feed = Arc::new(Feed {
            view: RwLock::new(View::new(ClusterSnapshot::from_range(revision, pairs))),
            reached: watch::Sender::new(revision),
            written: AtomicI64::new(0),
            asked: Notify::new(),
            used: Mutex::new(Instant::now()),
            told: broadcast::Sender::new(MAX_LAG),
            over: self.shutdown.child_token(),
        });
        *slot = Some(Arc::clone(&feed));
        tokio::spawn(keep(Arc::clone(&feed), watch, Arc::clone(&self.feed)));
        Ok(feed)
    }
}

impl Feed {
    /// The view; to be let go before anything is waited for.
    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens from now on, and the revision after which "now" begins.
    pub fn subscribe(&self) -> (i64, broadcast::Receiver<Told>) {
        // Under the lock nothing can come in between.
        let view = self.view();
        (view.snapshot.revision(), self.told.subscribe())
    }

    /// Ends with the view: the store is out of reach, or the daemon stops.
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Waits until the view is as far as `revision`; false when it ended, or the store does not tell.
    async fn reach(&self, revision: i64) -> bool {
        let mut reached = self.reached.subscribe();
        let deadline = Instant::now() + MAX_WAIT;
        while *reached.borrow_and_update() < revision {
            if Instant::now() >= deadline {
                return false;
            }
            self.asked.notify_one();
            tokio::select! {
                changed = reached.changed() => if changed.is_err() { return false },
                () = self.over.cancelled() => return false,
                () = tokio::time::sleep(ASK_AGAIN) => {}
            }
        }
        true
    }

    fn take(&self, batch: &Batch) {
        // Only the store's word on how far it is: no changes.
        if !batch.changes.is_empty() {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            if self.told.receiver_count() == 0 {
                view.snapshot.apply(batch.revision, &batch.changes);
            } else {
                let events = view.snapshot.apply_and_tell(batch.revision, &batch.changes);
                if !events.is_empty() {
                    // The last listener may be gone since it was counted.
                    let _ = self.told.send(Told { revision: batch.revision, events: events.into() });
                }
            }
            view.changed();
        }
        self.reached.send_if_modified(|reached| {
            let further = batch.revision > *reached;
            *reached = batch.revision.max(*reached);
            further
        });
    }

    /// When nobody will have used the view for long enough.
    fn idle_at(&self) -> Instant {
        let used = if self.told.receiver_count() > 0 { Instant::now() } else { *lock(&self.used) };
        used + IDLE
    }
}

/// Keeps the view up to date until nobody uses it, the watch breaks, or the daemon stops.
async fn keep(feed: Arc<Feed>, mut watch: Watch, slot: FeedSlot) {
    loop {
        tokio::select! {
            () = feed.over.cancelled() => break,
            batch = watch.next() => match batch {
                Ok(batch) => feed.take(&batch),
                Err(error) => {
                    debug!("the API's view of the cluster ends: {error}");
                    break;
                }
            },
            () = feed.asked.notified() => if watch.request_progress().await.is_err() { break },
            () = tokio::time::sleep_until(feed.idle_at()) => if feed.idle_at() <= Instant::now() { break },
        }
    }
    feed.over.cancel();
    let mut slot = slot.lock().await;
    if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, &feed)) {
        *slot = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::rig::{Rig, soon};

    #[tokio::test]
    async fn a_view_that_nobody_uses_is_dropped_and_made_anew() {
        let rig = Rig::start().await;
        let api = rig.api();
        let feed = api.fresh().await.unwrap();
        assert!(Arc::ptr_eq(&feed, &api.continued().await.unwrap()), "requests share it");

        *lock(&feed.used) = Instant::now().checked_sub(IDLE).unwrap();
        rig.submit("a.service", "inactive").await.is(201);
        soon(feed.over.cancelled()).await;
        soon(async {
            while api.feed.lock().await.is_some() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let second = api.fresh().await.unwrap();
        assert!(!Arc::ptr_eq(&feed, &second));
        assert_eq!(second.view().snapshot.units().len(), 1);
    }

    #[tokio::test]
    async fn a_view_with_listeners_is_kept() {
        let rig = Rig::start().await;
        let api = rig.api();
        let feed = api.fresh().await.unwrap();
        let (_, mut told) = feed.subscribe();
        *lock(&feed.used) = Instant::now().checked_sub(IDLE).unwrap();
        for name in ["a.service", "b.service"] {
            rig.submit(name, "inactive").await.is(201);
            soon(told.recv()).await.unwrap();
        }
        assert!(!feed.over.is_cancelled());
    }
}
