//! How all files are, told to whoever wants to know: a moment after something happened, and only if it is news.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::engine::Engine;
use crate::plan::Health;

/// What happens within this time is told together.
const TOLD_TOGETHER: Duration = Duration::from_secs(1);

/// How a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// The resource's name.
    pub resource: String,
    /// How its files are.
    pub health: Health,
    /// The revision of the keys that the files in place were made of; 0 where keys have none.
    pub revision: i64,
    /// The last error, while it is not mended.
    pub error: Option<String>,
    /// The files.
    pub files: Vec<PathBuf>,
}

/// The listener's end is the other one of this.
pub type StatusSender = watch::Sender<Vec<GroupStatus>>;

/// Tells one listener, or nobody.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    listener: Option<&'a StatusSender>,
    /// When it is to be told; none while there is nothing new.
    due: Option<Instant>,
}

impl<'a> Teller<'a> {
    pub fn new(listener: Option<&'a StatusSender>) -> Teller<'a> {
        Teller { listener, due: None }
    }

    /// Something happened.
    pub fn wake(&mut self) {
        if self.listener.is_some() && self.due.is_none() {
            self.due = Some(Instant::now() + TOLD_TOGETHER);
        }
    }

    /// Waits until it is to be told.
    pub async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Tells, if it is news.
    pub fn tell(&mut self, engine: &Engine) {
        self.due = None;
        let Some(listener) = self.listener else { return };
        let status: Vec<GroupStatus> = engine.status().collect();
        listener.send_if_modified(|known| {
            let is_news = *known != status;
            *known = status;
            is_news
        });
    }
}
