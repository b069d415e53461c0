//! Following keys: first all of them, then what changes; after whatever was lost, all of them again.

use std::path::PathBuf;
use std::time::Duration;

use flota_gotemplate::Str;
use tokio::sync::mpsc;

use super::file::{self, FilesError};
use super::{Source, SourceError};
use crate::inotify::Inotify;
use crate::keys::{KeyPath, Snapshot};

/// What is told and not taken yet; then following waits.
pub const MAX_FEEDS: usize = 64;
/// The wait after a first failure; it doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait after failures.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// An editor writes several times; what comes within this is one change.
const SETTLE: Duration = Duration::from_millis(10);

/// What a backend tells.
#[derive(Debug)]
pub enum Feed {
    /// All keys.
    All(Snapshot),
    /// Changes of one revision; no value: the key is gone.
    Some(i64, Vec<(String, Option<Str>)>),
    /// It is out of reach, for now.
    Trouble(SourceError),
}

/// Who is told, and whether all keys were told since the backend was last out of reach.
#[derive(Debug)]
pub(super) struct Followed {
    feeds: mpsc::Sender<Feed>,
    well: bool,
}

impl Followed {
    /// Tells all keys; false if nobody listens any more.
    pub async fn reset(&mut self, snapshot: Snapshot) -> bool {
        self.well = true;
        self.feeds.send(Feed::All(snapshot)).await.is_ok()
    }

    /// Tells changes; false if nobody listens any more.
    pub async fn change(&self, revision: i64, changes: Vec<(String, Option<Str>)>) -> bool {
        self.feeds.send(Feed::Some(revision, changes)).await.is_ok()
    }
}

impl Source {
    /// Tells all keys at and below these paths, and then their changes, until nobody listens any more.
    pub async fn follow(mut self, roots: Vec<KeyPath>, feeds: mpsc::Sender<Feed>) {
        let roots = super::covering(roots);
        let mut wait = FIRST_WAIT;
        let mut followed = Followed { feeds, well: false };
        while !followed.feeds.is_closed() {
            let ended = match &mut self {
                Source::Etcd3(etcd) => Box::pin(etcd.follow(&roots, &mut followed)).await,
                Source::Etcd2(etcd) => etcd.follow(&roots, &mut followed).await,
                Source::Env => follow_nothing(&self, &roots, &mut followed).await,
                Source::Files(paths, filter) => follow_files(paths, filter, &mut followed).await,
            };
            if std::mem::take(&mut followed.well) {
                wait = FIRST_WAIT;
            }
            if let Err(error) = ended
                && followed.feeds.send(Feed::Trouble(error)).await.is_err()
            {
                return;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
    }
}

/// The environment of a process does not change.
async fn follow_nothing(source: &Source, roots: &[KeyPath], followed: &mut Followed) -> Result<(), SourceError> {
    let snapshot = source.read(roots).await?;
    if followed.reset(snapshot).await {
        followed.feeds.closed().await;
    }
    Ok(())
}

async fn follow_files(paths: &[PathBuf], filter: &str, followed: &mut Followed) -> Result<(), SourceError> {
    loop {
        // First the watch, then the reading: what changes in between is seen by one of them.
        let io = |source| FilesError::Io { path: paths.first().cloned().unwrap_or_default(), source };
        let mut inotify = Inotify::new().map_err(io)?;
        for path in file::find(paths, filter)?.iter().chain(paths) {
            inotify.watch_around(path).map_err(io)?;
        }
        let snapshot = file::read(paths, filter)?;
        if !followed.reset(snapshot).await {
            return Ok(());
        }
        inotify.changed().await.map_err(io)?;
        tokio::time::sleep(SETTLE).await;
    }
}
