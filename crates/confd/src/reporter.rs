//! Tells this machine's daemon how confd's files are, so that the whole cluster can see it. Without a daemon nothing is missed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flota_api::conf::{ConfGroup, ConfSource, ConfState};
use flota_api::{Client, ClientError, Endpoint};
use flota_conf::plan::Health;
use flota_conf::run::{GroupStatus, StatusSender};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The daemon's socket.
const SOCKET: &str = "/run/flota/api.sock";
/// First and longest wait before a daemon that does not answer is told again.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long the last word may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Longest error that is told, in bytes: what a template says of itself fits.
const MAX_ERROR_BYTES: usize = 512;

/// Tells in the background.
pub struct Reporter {
    /// Where news go in.
    pub news: StatusSender,
    client: Client,
    source: String,
    telling: JoinHandle<()>,
}

impl Reporter {
    /// Tells of the resources below `confdir`.
    pub fn start(confdir: &Path) -> Reporter {
        let client = Client::new(Endpoint::Unix(PathBuf::from(SOCKET)));
        let source = std::path::absolute(confdir).unwrap_or_else(|_| confdir.to_owned()).display().to_string();
        let (news, heard) = watch::channel(Vec::new());
        let telling = tokio::spawn(tell(client.clone(), source.clone(), heard));
        Reporter { news, client, source, telling }
    }

    /// Takes everything back: nobody keeps these files from now on.
    pub async fn end(self) {
        self.telling.abort();
        if self.news.borrow().is_empty() {
            return;
        }
        let last = ConfSource { source: self.source, resources: Vec::new() };
        // A daemon that does not hear it sees that this process is gone.
        let _ = tokio::time::timeout(FAREWELL, self.client.tell_conf(&last)).await;
    }
}

async fn tell(client: Client, source: String, mut heard: watch::Receiver<Vec<GroupStatus>>) {
    while heard.changed().await.is_ok() {
        let mut wait = RETRY_FIRST;
        loop {
            let resources = heard.borrow_and_update().iter().map(group).collect();
            match client.tell_conf(&ConfSource { source: source.clone(), resources }).await {
                Ok(()) => break,
                // It will not think better of it.
                Err(ClientError::Api { code: 400..=499, message }) => {
                    tracing::warn!("the cluster is not told how these files are: {message}");
                    break;
                }
                Err(error) => tracing::debug!("the daemon is not told how files are: {error}"),
            }
            // What happens meanwhile is told with it.
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}

fn group(status: &GroupStatus) -> ConfGroup {
    let state = match status.health {
        Health::Ok => ConfState::Ok,
        Health::Busy => ConfState::Pending,
        Health::Failed => ConfState::Failed,
        Health::ReloadFailed => ConfState::ReloadFailed,
    };
    ConfGroup {
        resource: status.resource.clone(),
        state,
        revision: status.revision,
        error: status.error.as_deref().filter(|_| state != ConfState::Ok).map(shortened),
        files: status.files.iter().map(|file| file.display().to_string()).collect(),
    }
}

fn shortened(text: &str) -> String {
    if text.len() <= MAX_ERROR_BYTES {
        return text.to_owned();
    }
    let end = (0..=MAX_ERROR_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_as_long_as_it_is_one_and_not_in_full_length() {
        let status = |health| GroupStatus {
            resource: "a.toml".to_owned(),
            health,
            revision: 7,
            error: Some("é".repeat(MAX_ERROR_BYTES)),
            files: vec![PathBuf::from("/etc/a")],
        };
        assert_eq!(group(&status(Health::Ok)).error, None);
        let told = group(&status(Health::Failed));
        assert_eq!(told.state, ConfState::Failed);
        assert!(told.error.is_some_and(|error| error.len() <= MAX_ERROR_BYTES + 3 && error.ends_with("é...")));
    }
}
