//! The task: one loop around what is told.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use flota_agent::conf::{Files, Process, TooMuch};
use flota_registry::{ConfGroup, ConfReport, LeaseId, MachineId, publish_conf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::process;
use crate::disk::write_whole;
use crate::session::LinkWatch;

/// Most requests that wait for the task.
const MAX_QUEUED: usize = 64;
/// Least time between two writes to the store, and between two tries: what is told meanwhile is written together.
const PAUSE: Duration = Duration::from_secs(1);
/// Where it is while the daemon restarts: a file in `/run`, which no reboot survives.
const NAME: &str = "conf.json";

/// Why nobody took in what was told.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// It is too much.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// Nobody knows who tells.
    #[error("the process that tells has ended, or is not of this machine")]
    Nobody,
    /// The daemon has too much to do, or ends.
    #[error("the daemon is overloaded")]
    Busy,
}

struct Told {
    source: String,
    pid: u32,
    groups: Vec<ConfGroup>,
    reply: oneshot::Sender<Result<(), Unheard>>,
}

/// The API's end of the task.
#[derive(Clone)]
pub struct ConfHandle(mpsc::Sender<Told>);

/// The task's end of a [`ConfHandle`].
pub struct ConfRequests(mpsc::Receiver<Told>);

impl ConfHandle {
    /// A handle, and what the task reads.
    pub fn new() -> (ConfHandle, ConfRequests) {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        (ConfHandle(sender), ConfRequests(receiver))
    }

    /// Takes in what a process tells of a directory that it keeps.
    pub async fn tell(&self, source: String, pid: u32, groups: Vec<ConfGroup>) -> Result<(), Unheard> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Told { source, pid, groups, reply }).map_err(|_| Unheard::Busy)?;
        answer.await.unwrap_or(Err(Unheard::Busy))
    }
}

/// The task.
pub struct ConfTask {
    me: MachineId,
    link: LinkWatch,
    file: PathBuf,
    files: Files,
    /// One wait a process.
    ends: JoinSet<Process>,
    watched: Vec<Process>,
    /// What the store has, under which lease.
    published: Option<(LeaseId, ConfReport)>,
    next_write: Instant,
}

impl ConfTask {
    /// The task of machine `me`, whose daemon has its runtime files in `folder`.
    pub fn new(me: MachineId, link: LinkWatch, folder: &std::path::Path) -> ConfTask {
        let file = folder.join(NAME);
        let (ends, next_write) = (JoinSet::new(), Instant::now());
        ConfTask { me, link, file, files: Files::default(), ends, watched: Vec::new(), published: None, next_write }
    }

    /// Runs until `shutdown`. What was told is left to the next daemon.
    pub async fn run(mut self, mut requests: ConfRequests, shutdown: CancellationToken) {
        self.files = self.read();
        self.watch();
        loop {
            let is_due = self.is_due();
            tokio::select! {
                () = shutdown.cancelled() => return,
                told = requests.0.recv() => match told {
                    Some(told) => self.take(told).await,
                    None => return,
                },
                Some(Ok(process)) = self.ends.join_next() => {
                    self.watched.retain(|watched| *watched != process);
                    self.files.died(process);
                    self.persist().await;
                }
                changed = self.link.changed() => if changed.is_err() { return },
                () = sleep_until(self.next_write), if is_due => self.publish().await,
            }
        }
    }

    async fn take(&mut self, told: Told) {
        let Told { source, pid, groups, reply } = told;
        let taken = match process::find(pid) {
            Some(process) => self.files.tell(&source, process, groups).map_err(Unheard::from),
            None => Err(Unheard::Nobody),
        };
        // Also of what was refused: what had been told before may be gone.
        self.watch();
        self.persist().await;
        // Whoever told may have gone.
        let _ = reply.send(taken);
    }

    /// Waits for the end of each process that is not waited for yet.
    fn watch(&mut self) {
        for process in self.files.processes() {
            if !self.watched.contains(&process) {
                self.watched.push(process);
                self.ends.spawn(async move {
                    process::ended(process).await;
                    process
                });
            }
        }
    }

    /// Whether there is a store that does not have what is told.
    fn is_due(&self) -> bool {
        let Some(lease) = self.link.borrow().as_ref().map(|link| link.lease) else { return false };
        let report = self.files.report();
        match &self.published {
            Some((under, published)) => *under != lease || *published != report,
            None => !report.sources.is_empty(),
        }
    }

    async fn publish(&mut self) {
        let Some(link) = self.link.borrow().clone() else { return };
        let report = self.files.report();
        self.next_write = Instant::now() + PAUSE;
        match link.client.commit(&publish_conf(&self.me, &report, link.lease)).await {
            Ok(_) => self.published = Some((link.lease, report)),
            // The session tells what is wrong with the store.
            Err(error) => debug!("cannot tell how configuration files are: {error}"),
        }
    }

    /// What an earlier daemon left. What cannot be read is lost until it is told again.
    fn read(&self) -> Files {
        let read = match std::fs::read(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Files::default(),
            Err(error) => Err(error.to_string()),
            Ok(bytes) => Files::decode(&bytes).map_err(|error| error.to_string()),
        };
        read.unwrap_or_else(|why| {
            error!("{}: {why}; configuration files are told of when they change", self.file.display());
            Files::default()
        })
    }

    async fn persist(&self) {
        let (file, bytes) = (self.file.clone(), self.files.encode());
        let written = tokio::task::spawn_blocking(move || write_whole(&file, &bytes)).await;
        if let Ok(Err(why)) = written {
            error!("{}: {why}; a daemon that starts now would not know of configuration files", self.file.display());
        }
    }
}
