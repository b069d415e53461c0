//! One life of confd: settings and resources read, keys followed, until it is done, told to end, or told to begin anew.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flota_etcd::chain;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::engine::{Engine, Told};
use super::status::{StatusSender, Teller};
use crate::FileError;
use crate::apply::{Journal, Reloader};
use crate::backend::{Feed, MAX_FEEDS, Source, SourceError};
use crate::group::Group;
use crate::keys::KeyPath;
use crate::plan::{Event, Health, Policy};
use crate::resource::{Loaded, load};
use crate::settings::Settings;

/// Why nothing could be begun.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There are no resources to be read.
    #[error("cannot read {}", path.display())]
    Resources {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The keys cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The kernel refuses to tell of signals.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All is done.
    Done,
    /// All that could be done is; something failed.
    Failed,
    /// It was told to end.
    Stopped,
    /// The configuration is to be read again.
    Again,
}

/// What a life is begun with.
pub struct Session {
    /// What confd is told.
    pub settings: Settings,
    /// Who reloads.
    pub reloader: Arc<Reloader>,
    /// What is owed.
    pub journal: Option<Journal>,
    /// Whether resources without a reload of their own restart the supervised command.
    pub restarts_child: bool,
    /// Whether files are checked but nobody is told of them.
    pub without_reloads: bool,
    /// Who wants to know how the files are, for as long as they are kept.
    pub listener: Option<StatusSender>,
}

/// Lives until it is done or told to end.
pub async fn run(session: &Session) -> Result<Ended, RunError> {
    let settings = &session.settings;
    let Some(loaded) = resources(session)? else { return Ok(Ended::Done) };
    let has_errors = !loaded.errors.is_empty();
    for error in &loaded.errors {
        tracing::error!("{error}");
    }
    let groups = Group::all(loaded.resources, &settings.confdir);
    let roots: Vec<KeyPath> = groups.iter().flat_map(Group::roots).collect::<BTreeSet<_>>().into_iter().collect();
    let told = Told { noop: settings.noop, sync_only: settings.sync_only, keep_stage: settings.keep_stage_file };
    let policy = if settings.onetime { Policy::once() } else { Policy::default() };
    let engine = Engine::new(groups, policy, told, session.journal.clone(), Arc::clone(&session.reloader));
    let mut signals = Signals::new()?;
    // A store that does not answer keeps nobody from ending this.
    let source = tokio::select! {
        source = Box::pin(Source::open(settings)) => source?,
        ended = signals.next() => return Ok(if settings.onetime { Ended::Failed } else { ended }),
    };
    if settings.onetime {
        return Box::pin(once(engine, &source, &roots, has_errors, signals)).await;
    }
    Box::pin(follow(session, engine, source, roots, loaded.errors, signals)).await
}

/// The resources; none if there is nowhere to look for them, which confd only warns of.
fn resources(session: &Session) -> Result<Option<Loaded>, RunError> {
    let settings = &session.settings;
    if !settings.confdir.exists() {
        tracing::warn!("Cannot load template resources: confdir '{}' does not exist", settings.confdir.display());
        return Ok(None);
    }
    let failed = |source| RunError::Resources { path: settings.confdir.join("conf.d"), source };
    let mut loaded = load(&settings.confdir, settings.prefix.as_deref()).map_err(failed)?;
    if loaded.resources.is_empty() && loaded.errors.is_empty() {
        tracing::warn!("Found no templates");
    }
    let outputs = loaded.resources.iter_mut().flat_map(|resource| &mut resource.outputs);
    if session.without_reloads {
        outputs.for_each(|output| output.reload = None);
    } else if session.restarts_child {
        for output in outputs {
            output.reload.get_or_insert(crate::resource::Reload::ChildRestart);
        }
    }
    Ok(Some(loaded))
}

async fn once(
    mut engine: Engine,
    source: &Source,
    roots: &[KeyPath],
    has_errors: bool,
    mut signals: Signals,
) -> Result<Ended, RunError> {
    let snapshot = tokio::select! {
        snapshot = source.read(roots) => snapshot?,
        _ = signals.next() => return Ok(Ended::Failed),
    };
    engine.set_snapshot(snapshot);
    engine.sweep();
    let owed = engine.owed();
    engine.handle(Event::Begin(owed));
    while !engine.is_idle() {
        tokio::select! {
            event = engine.next() => engine.handle(event),
            _ = signals.next() => engine.handle(Event::Stop),
        }
    }
    let failed = engine.health().any(|(_, health, _)| health != Health::Ok);
    Ok(if failed || has_errors { Ended::Failed } else { Ended::Done })
}

async fn follow(
    session: &Session,
    mut engine: Engine,
    source: Source,
    roots: Vec<KeyPath>,
    errors: Vec<FileError>,
    mut signals: Signals,
) -> Result<Ended, RunError> {
    let settings = &session.settings;
    let (sender, mut feeds) = mpsc::channel(MAX_FEEDS);
    let begin_to_read = || {
        let (source, roots, sender) = (source.clone(), roots.clone(), sender.clone());
        if settings.watch {
            tokio::spawn(source.follow(roots, sender))
        } else {
            tokio::spawn(async move { read_into(&source, &roots, &sender).await })
        }
    };
    let mut reader = begin_to_read();
    let mut ticks = interval_at(Instant::now() + settings.interval, settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut life = Life { has_keys: false, is_in_trouble: false };
    let mut teller = Teller::new(session.listener.as_ref().filter(|_| !settings.noop));
    let ended = loop {
        tokio::select! {
            // What follows is about something that happened.
            () = teller.due() => {
                teller.tell(&engine);
                continue;
            }
            Some(feed) = feeds.recv() => life.take(&mut engine, feed),
            event = engine.next() => engine.handle(event),
            _ = ticks.tick() => {
                if is_changed(session, &errors, &engine, &roots) {
                    break Ended::Again;
                }
                if !settings.watch && reader.is_finished() {
                    reader = begin_to_read();
                } else if settings.watch && life.has_keys {
                    engine.handle(Event::Everything);
                }
            }
            ended = signals.next() => break ended,
        }
        teller.wake();
    };
    reader.abort();
    // What runs is waited for; each command has its own limit.
    engine.handle(Event::Stop);
    while !engine.is_idle() {
        let event = engine.next().await;
        engine.handle(event);
    }
    Ok(ended)
}

struct Life {
    has_keys: bool,
    is_in_trouble: bool,
}

impl Life {
    fn take(&mut self, engine: &mut Engine, feed: Feed) {
        if self.is_in_trouble && !matches!(feed, Feed::Trouble(_)) {
            tracing::info!("the backend is back");
            self.is_in_trouble = false;
        }
        match feed {
            Feed::All(snapshot) => {
                engine.set_snapshot(snapshot);
                let event = if self.has_keys {
                    Event::Everything
                } else {
                    engine.sweep();
                    Event::Begin(engine.owed())
                };
                self.has_keys = true;
                engine.handle(event);
            }
            Feed::Some(revision, changes) => {
                let changed = engine.change(revision, changes);
                if !changed.is_empty() {
                    engine.handle(Event::Changed(changed));
                }
            }
            Feed::Trouble(error) => {
                if !self.is_in_trouble {
                    tracing::error!("files stay as they are until it is back: {}", chain(&error));
                }
                self.is_in_trouble = true;
            }
        }
    }
}

async fn read_into(source: &Source, roots: &[KeyPath], feeds: &mpsc::Sender<Feed>) {
    let feed = match source.read(roots).await {
        Ok(snapshot) => Feed::All(snapshot),
        Err(error) => Feed::Trouble(error),
    };
    // Whoever does not listen any more is about to end this, too.
    let _ = feeds.send(feed).await;
}

/// Whether resources are others than those that are worked with, or templates read keys that are not followed.
fn is_changed(session: &Session, errors: &[FileError], engine: &Engine, roots: &[KeyPath]) -> bool {
    let Ok(Some(now)) = resources(session) else { return false };
    let known = engine.groups().iter().map(|group| &group.resource);
    let others = !now.resources.iter().eq(known) || now.errors != errors;
    let followed = |root: &KeyPath| roots.iter().any(|known| known.covers(root.as_str()));
    others || !engine.groups().iter().flat_map(Group::roots).all(|root| followed(&root))
}

/// The signals that matter here.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Signals, RunError> {
        let listen = |kind| signal(kind).map_err(RunError::Signals);
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Told to end, or to begin anew.
    async fn next(&mut self) -> Ended {
        tokio::select! {
            _ = self.terminate.recv() => Ended::Stopped,
            _ = self.interrupt.recv() => Ended::Stopped,
            _ = self.hangup.recv() => Ended::Again,
        }
    }
}
