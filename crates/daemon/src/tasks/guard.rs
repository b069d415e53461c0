//! Keeps the guard told and running, for as long as there are exclusive units.

use std::path::PathBuf;
use std::time::Duration;

use flota_agent::fence::Guarded;
use flota_systemd::{Systemd, SystemdError, Transient};
use tokio::sync::watch;
use tracing::error;

use super::machine::connected;
use crate::guard::GuardFile;

/// The guard's unit.
const UNIT: &str = "flota-fence.service";
const DESCRIPTION: &str = "Flota: ends exclusive units in time should the daemon be unable to";
/// How often it is looked at whether the guard still runs; systemd starts it again by itself unless somebody stopped it.
const LOOK: Duration = Duration::from_secs(10);
/// First wait after a guard could not be started.
const RETRY: Duration = Duration::from_millis(200);

/// How the guard is reached.
#[derive(Debug, Clone)]
pub struct Guard {
    file: GuardFile,
    program: PathBuf,
}

impl Guard {
    /// With the file that it reads, and the program that it is: this one.
    pub fn new(file: GuardFile, program: PathBuf) -> Guard {
        Guard { file, program }
    }

    /// Writes the guard's file before anything else happens.
    pub async fn tell(&self, guarded: Option<Guarded>) {
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.write(guarded.as_ref())).await;
        if let Ok(Err(why)) = written {
            error!("cannot tell the guard of exclusive units ({}): {why}", self.file.path().display());
        }
    }

    fn command(&self) -> Vec<String> {
        let words = [self.program.as_os_str(), "fence-guard".as_ref(), self.file.path().as_os_str()];
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }
}

/// Has a guard run while one is wanted; it ends by itself when its file is gone.
pub async fn keep_guard(
    guard: Guard,
    mut systemd: watch::Receiver<Option<Systemd>>,
    mut wanted: watch::Receiver<bool>,
) {
    let command = guard.command();
    let mut retry = RETRY;
    while wanted.wait_for(|wanted| *wanted).await.is_ok() {
        let Some(handle) = connected(&mut systemd).await else { return };
        let wait = match ensure(&handle, &command).await {
            Ok(true) => {
                retry = RETRY;
                LOOK
            }
            // It is on its way out, or was asked for a moment ago.
            Ok(false) => RETRY,
            Err(error) => {
                error!("exclusive units run without a guard: {error:#}");
                retry = (retry * 2).min(LOOK);
                retry
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Whether the guard runs; if not, it is asked for.
async fn ensure(systemd: &Systemd, command: &[String]) -> Result<bool, SystemdError> {
    let states = systemd.states(&[UNIT.to_owned()]).await?;
    if states.iter().any(|state| state.active == "active") {
        return Ok(true);
    }
    systemd.keep_running(Transient { unit: UNIT, description: DESCRIPTION, command }).await?;
    Ok(false)
}
