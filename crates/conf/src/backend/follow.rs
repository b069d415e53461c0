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

/// What the receiver knows.
#[derive(Debug, Default)]
pub(super) struct Followed {
    well: bool,
}

impl Followed {
    /// Tells all keys; false if nobody listens any more.
    pub async fn reset(&mut self, snapshot: Snapshot, feeds: &mpsc::Sender<Feed>) -> bool {
        self.well = true;
        feeds.send(Feed::All(snapshot)).await.is_ok()
    }

    /// Tells changes; false if nobody listens any more.
    pub async fn change(
        &mut self,
        revision: i64,
        changes: Vec<(String, Option<Str>)>,
        feeds: &mpsc::Sender<Feed>,
    ) -> bool {
        feeds.send(Feed::Some(revision, changes)).await.is_ok()
    }
}

impl Source {
    /// Tells all keys at and below these paths, and then their changes, until nobody listens any more.
    pub async fn follow(mut self, roots: Vec<KeyPath>, feeds: mpsc::Sender<Feed>) {
        let roots = super::covering(roots);
        let mut wait = FIRST_WAIT;
        while !feeds.is_closed() {
            let mut followed = Followed::default();
            let ended = match &mut self {
                Source::Etcd3(etcd) => Box::pin(etcd.follow(&roots, &mut followed, &feeds)).await,
                Source::Etcd2(etcd) => etcd.follow(&roots, &mut followed, &feeds).await,
                Source::Env => follow_nothing(&self, &roots, &mut followed, &feeds).await,
                Source::Files(paths, filter) => follow_files(paths, filter, &mut followed, &feeds).await,
            };
            if followed.well {
                wait = FIRST_WAIT;
            }
            if let Err(error) = ended
                && feeds.send(Feed::Trouble(error)).await.is_err()
            {
                return;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
    }
}

/// The environment of a process does not change.
async fn follow_nothing(
    source: &Source,
    roots: &[KeyPath],
    followed: &mut Followed,
    feeds: &mpsc::Sender<Feed>,
) -> Result<(), SourceError> {
    let snapshot = source.read(roots).await?;
    if followed.reset(snapshot, feeds).await {
        feeds.closed().await;
    }
    Ok(())
}

async fn follow_files(
    paths: &[PathBuf],
    filter: &str,
    followed: &mut Followed,
    feeds: &mpsc::Sender<Feed>,
) -> Result<(), SourceError> {
    loop {
        // First the watch, then the reading: what changes in between is seen by one of them.
        let io = |source| FilesError::Io { path: paths.first().cloned().unwrap_or_default(), source };
        let mut inotify = Inotify::new().map_err(io)?;
        for path in file::find(paths, filter)?.iter().chain(paths) {
            inotify.watch_around(path).map_err(io)?;
        }
        let snapshot = file::read(paths, filter)?;
        if !followed.reset(snapshot, feeds).await {
            return Ok(());
        }
        inotify.changed().await.map_err(io)?;
        tokio::time::sleep(SETTLE).await;
    }
}
