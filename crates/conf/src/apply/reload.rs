//! Carrying out reloads: by the shell, by systemd, by a signal.

use std::time::Duration;

use flota_systemd::{JobOutcome, Systemd, SystemdError};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::command::run_shell;
use crate::resource::{Reload, UnitAction};

/// Why a reload failed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The command did not end with 0.
    #[error("{line:?} failed: {output}")]
    Command {
        /// The line.
        line: String,
        /// What it said.
        output: String,
    },
    /// systemd refused, or is not there.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// systemd tried, and failed.
    #[error("systemd could not {action} {unit}: {outcome}")]
    Job {
        /// What was to be done.
        action: &'static str,
        /// With which unit.
        unit: String,
        /// systemd's word.
        outcome: String,
    },
    /// It took too long.
    #[error("not done within {} s", .0.as_secs_f32())]
    Late(Duration),
    /// There is no command that is supervised.
    #[error("there is no supervised command: that is for flota conf exec")]
    NoChild,
}

/// Who carries out reloads. The connection to systemd is made when it is needed.
#[derive(Debug, Default)]
pub struct Reloader {
    systemd: Mutex<Option<Systemd>>,
    /// Where restarts of the supervised command are asked for.
    child: Option<mpsc::Sender<Reload>>,
}

impl Reloader {
    /// For a process that supervises a command: what concerns it is sent there.
    pub fn with_child(child: mpsc::Sender<Reload>) -> Reloader {
        Reloader { child: Some(child), ..Reloader::default() }
    }

    /// For a systemd that is connected already.
    pub fn with_systemd(systemd: Systemd) -> Reloader {
        Reloader { systemd: Mutex::new(Some(systemd)), child: None }
    }

    /// Carries out one, within a time.
    pub async fn run(&self, reload: &Reload, limit: Duration) -> Result<(), ReloadError> {
        match reload {
            Reload::Command(line) => {
                let ended = run_shell(line, limit).await;
                if ended.is_ok() {
                    tracing::debug!("{line:?}: {}", ended.output);
                    return Ok(());
                }
                let status = ended.status.map_or_else(String::new, |status| format!("{status}: "));
                Err(ReloadError::Command { line: line.clone(), output: format!("{status}{}", ended.output) })
            }
            Reload::Unit { .. } | Reload::UnitSignal { .. } => match timeout(limit, self.by_systemd(reload)).await {
                Ok(done) => done,
                Err(_) => Err(ReloadError::Late(limit)),
            },
            Reload::ChildSignal { .. } | Reload::ChildRestart => match &self.child {
                Some(child) => child.send(reload.clone()).await.map_err(|_| ReloadError::NoChild),
                None => Err(ReloadError::NoChild),
            },
        }
    }

    async fn by_systemd(&self, reload: &Reload) -> Result<(), ReloadError> {
        let systemd = {
            let mut connection = self.systemd.lock().await;
            match connection.as_ref() {
                Some(systemd) => systemd.clone(),
                None => connection.insert(Systemd::connect().await?.0).clone(),
            }
        };
        let done = match reload {
            Reload::Unit { name, action } => act(&systemd, name, *action).await,
            Reload::UnitSignal { name, signal } => Ok(systemd.signal_main(name, *signal).await?),
            _ => Ok(()),
        };
        if matches!(done, Err(ReloadError::Systemd(SystemdError::Disconnected))) {
            // The next one connects anew.
            *self.systemd.lock().await = None;
        }
        done
    }
}

async fn act(systemd: &Systemd, unit: &str, action: UnitAction) -> Result<(), ReloadError> {
    let outcome = match action {
        UnitAction::Reload => systemd.reload_unit(unit).await?,
        UnitAction::Restart => systemd.restart(unit).await?,
        UnitAction::TryRestart => systemd.try_restart(unit).await?,
    };
    match outcome {
        JobOutcome::Done => Ok(()),
        other => {
            Err(ReloadError::Job { action: action.as_str(), unit: unit.to_owned(), outcome: other.as_str().to_owned() })
        }
    }
}
