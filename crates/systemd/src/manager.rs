//! The handle on the machine's systemd: link, reload, start, stop, read states.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use rustix::process::Signal;
use tokio::task::AbortHandle;
use zbus::{Connection, OwnedObjectPath, connection::Builder, proxy::CacheProperties};

use crate::{
    JobOutcome, Signals, SystemdError,
    proxy::{ManagerProxy, UnitProxy, UnitRow},
    pump::{self, Sinks},
};

/// Longest wait for the answer to one call. `daemon-reload` is the slow one: half a minute with tens of thousands of units.
const MAX_CALL_TIME: Duration = Duration::from_secs(120);

/// Property reads under way at the same time; more gain nothing, PID 1 answers one after the other.
const MAX_CONCURRENT_READS: usize = 64;

/// This directory exists when PID 1 is systemd, and only then.
const BOOTED: &str = "/run/systemd/system";

/// A running job of the same unit gives way to the new one.
const JOB_MODE: &str = "replace";

/// What systemd says about one unit, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    /// The name that was asked for.
    pub name: String,
    /// `loaded`, `not-found`, `masked`, `error`, ...
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, ...
    pub active: String,
    /// The state of the unit's kind: `running`, `dead`, `auto-restart`, ...
    pub sub: String,
    /// Last change of state, milliseconds since 1970; `None` when it never changed.
    pub since: Option<u64>,
}

impl UnitState {
    /// What stands for a name that systemd does not take.
    fn not_found(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            load: "not-found".to_owned(),
            active: "inactive".to_owned(),
            sub: "dead".to_owned(),
            since: None,
        }
    }
}

/// One unit's life: whether it is up, and since which start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitLife {
    /// The unit's main name, which may not be the alias that was asked for.
    pub name: String,
    /// `active`, `inactive`, `failed`, `activating`, ...
    pub active: String,
    /// The state of the unit's kind: `running`, `dead`, `auto-restart`, ...
    pub sub: String,
    /// The invocation id, as hexadecimal digits; empty for a unit that was never started.
    pub invocation: String,
}

/// A cheap-to-clone handle on systemd. The connection ends with the last one.
#[derive(Debug, Clone)]
pub struct Systemd(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) manager: ManagerProxy<'static>,
    pub(crate) sinks: Sinks,
    pump: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.pump.abort();
        self.sinks.close();
    }
}

impl Systemd {
    /// Connects over the system bus.
    pub async fn connect() -> Result<(Self, Signals), SystemdError> {
        if !Path::new(BOOTED).is_dir() {
            return Err(SystemdError::NotSystemd);
        }
        let connection = Builder::system().method_timeout(MAX_CALL_TIME).build().await.map_err(SystemdError::NoBus)?;
        Self::connect_to(connection).await
    }

    /// Uses a connection that stands already: another bus, or a socket with systemd at its other end.
    pub async fn connect_to(connection: Connection) -> Result<(Self, Signals), SystemdError> {
        let sinks = Sinks::default();
        let pump = pump::start(&connection, sinks.clone()).await?;
        let signals = sinks.queue.receiver();
        let fail = |error| SystemdError::from_bus("subscribe to", "systemd", error);
        let manager =
            ManagerProxy::builder(&connection).cache_properties(CacheProperties::No).build().await.map_err(fail)?;
        let systemd = Self(Arc::new(Inner { manager, sinks, pump }));
        // Without a subscriber systemd sends no signals to the bus.
        systemd.0.manager.subscribe().await.map_err(fail)?;
        Ok((systemd, signals))
    }

    /// systemd's version, as it writes it: `257.9-1~deb13u1`.
    pub async fn version(&self) -> Result<String, SystemdError> {
        let version = self.0.manager.version().await;
        version.map_err(|e| SystemdError::from_bus("read", "systemd's version", e))
    }

    /// How the machine as a whole is: `starting`, `running`, `degraded`, `stopping`, ...
    pub async fn system_state(&self) -> Result<String, SystemdError> {
        let state = self.0.manager.system_state().await;
        state.map_err(|e| SystemdError::from_bus("read", "the machine's state", e))
    }

    /// Links unit files into `/run/systemd/system`, in place of links of the same name.
    ///
    /// systemd reads the file of a unit that it does not hold in memory when the unit is asked for; only a unit that runs or failed
    /// keeps its old file until [`Systemd::reload`].
    pub async fn link(&self, paths: &[PathBuf]) -> Result<(), SystemdError> {
        if paths.is_empty() {
            return Ok(());
        }
        let files = paths.iter().map(|path| utf8(path)).collect::<Result<Vec<_>, _>>()?;
        let linked = self.0.manager.link_unit_files(&files, true, true).await;
        linked.map_err(|e| SystemdError::from_bus("link", &files.join(" "), e))?;
        Ok(())
    }

    /// Links unit files into `/run/systemd/system` together with the links that their `[Install]` sections ask for
    /// (`WantedBy=`, `RequiredBy=`, `Alias=`, `Also=`). A link of the same name that leads elsewhere is left alone, and is an
    /// error; so is an `[Install]` that systemd refuses. What was linked before the error stays.
    pub async fn enable(&self, paths: &[PathBuf]) -> Result<(), SystemdError> {
        if paths.is_empty() {
            return Ok(());
        }
        let files = paths.iter().map(|path| utf8(path)).collect::<Result<Vec<_>, _>>()?;
        let enabled = self.0.manager.enable_unit_files(&files, true, false).await;
        enabled.map_err(|e| SystemdError::from_bus("enable", &files.join(" "), e))?;
        Ok(())
    }

    /// Makes the links in `/etc/systemd/system` that the `[Install]` sections of these units ask for; they outlive a
    /// reboot. The units' files must be where systemd finds them by name.
    pub async fn enable_for_good(&self, names: &[String]) -> Result<(), SystemdError> {
        if names.is_empty() {
            return Ok(());
        }
        let files: Vec<&str> = names.iter().map(String::as_str).collect();
        let enabled = self.0.manager.enable_unit_files(&files, false, false).await;
        enabled.map_err(|e| SystemdError::from_bus("enable", &files.join(" "), e))?;
        Ok(())
    }

    /// Removes the links of these units from `/run/systemd/system`. A name without a link is no error.
    pub async fn unlink(&self, names: &[String]) -> Result<(), SystemdError> {
        match self.unlink_together(names).await {
            // One unknown name fails the whole call, and it is not said which one.
            Err(error) if error.is_no_such_unit() => {}
            other => return other,
        }
        for name in names {
            match self.unlink_together(std::slice::from_ref(name)).await {
                Err(error) if !error.is_no_such_unit() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    async fn unlink_together(&self, names: &[String]) -> Result<(), SystemdError> {
        if names.is_empty() {
            return Ok(());
        }
        let files: Vec<&str> = names.iter().map(String::as_str).collect();
        let unlinked = self.0.manager.disable_unit_files(&files, true).await;
        unlinked.map_err(|e| SystemdError::from_bus("unlink", &files.join(" "), e))?;
        Ok(())
    }

    /// Makes systemd read all unit files again; returns when it has.
    pub async fn reload(&self) -> Result<(), SystemdError> {
        let reloaded = self.0.manager.reload().await;
        reloaded.map_err(|e| SystemdError::from_bus("reload", "unit files", e))
    }

    /// Starts a unit and waits for the end of the job, however long the unit takes. Dropping the future gives up the wait, not the job.
    pub async fn start(&self, unit: &str) -> Result<JobOutcome, SystemdError> {
        let ticket = self.0.sinks.jobs.ticket();
        let job = self.0.manager.start_unit(unit, JOB_MODE).await;
        let job = job.map_err(|e| SystemdError::from_bus("start", unit, e))?;
        ticket.outcome(job.as_str()).await
    }

    /// Stops a unit and waits for the end of the job. A unit that is not loaded is stopped already.
    pub async fn stop(&self, unit: &str) -> Result<JobOutcome, SystemdError> {
        let ticket = self.0.sinks.jobs.ticket();
        let job = self.0.manager.stop_unit(unit, JOB_MODE).await;
        match job.map_err(|e| SystemdError::from_bus("stop", unit, e)) {
            Ok(job) => ticket.outcome(job.as_str()).await,
            Err(error) if error.is_no_such_unit() => Ok(JobOutcome::Done),
            Err(error) => Err(error),
        }
    }

    /// Sends SIGKILL to all processes of a unit. One that has none, or is not loaded, is as dead as it can be.
    pub async fn kill(&self, unit: &str) -> Result<(), SystemdError> {
        let killed = self.0.manager.kill_unit(unit, "all", Signal::KILL.as_raw()).await;
        match killed.map_err(|e| SystemdError::from_bus("kill", unit, e)) {
            Err(error) if !error.is_no_such_unit() => Err(error),
            _ => Ok(()),
        }
    }

    /// Stops and starts a unit, or starts it when it is stopped, and waits for the end of the job.
    pub async fn restart(&self, unit: &str) -> Result<JobOutcome, SystemdError> {
        let ticket = self.0.sinks.jobs.ticket();
        let job = self.0.manager.restart_unit(unit, JOB_MODE).await;
        let job = job.map_err(|e| SystemdError::from_bus("restart", unit, e))?;
        ticket.outcome(job.as_str()).await
    }

    /// Has a unit read its configuration again (`ExecReload=`), and waits for the end of the job. One that does not run, or has no way
    /// to do so, refuses.
    pub async fn reload_unit(&self, unit: &str) -> Result<JobOutcome, SystemdError> {
        let ticket = self.0.sinks.jobs.ticket();
        let job = self.0.manager.reload_unit(unit, JOB_MODE).await;
        let job = job.map_err(|e| SystemdError::from_bus("reload", unit, e))?;
        ticket.outcome(job.as_str()).await
    }

    /// Stops and starts a unit if it runs, and waits for the end of the job.
    pub async fn try_restart(&self, unit: &str) -> Result<JobOutcome, SystemdError> {
        let ticket = self.0.sinks.jobs.ticket();
        let job = self.0.manager.try_restart_unit(unit, JOB_MODE).await;
        let job = job.map_err(|e| SystemdError::from_bus("restart", unit, e))?;
        ticket.outcome(job.as_str()).await
    }

    /// Sends a signal to the main process of a unit. A unit without one refuses.
    pub async fn signal_main(&self, unit: &str, signal: i32) -> Result<(), SystemdError> {
        let killed = self.0.manager.kill_unit(unit, "main", signal).await;
        killed.map_err(|e| SystemdError::from_bus("signal", unit, e))
    }

    /// Forgets that a unit failed. A unit that is not loaded has nothing to forget.
    pub async fn reset_failed(&self, unit: &str) -> Result<(), SystemdError> {
        let reset = self.0.manager.reset_failed_unit(unit).await;
        match reset.map_err(|e| SystemdError::from_bus("reset", unit, e)) {
            Err(error) if !error.is_no_such_unit() => Err(error),
            _ => Ok(()),
        }
    }

    /// The states of these units, one per name and in the same order. A name that systemd does not know, or does not take,
    /// is `not-found`.
    pub async fn states(&self, units: &[String]) -> Result<Vec<UnitState>, SystemdError> {
        let rows = match self.rows(units).await {
            Ok(rows) => rows,
            Err(SystemdError::Refused { .. }) => self.rows_one_by_one(units).await?,
            Err(error) => return Err(error),
        };
        stream::iter(units.iter().cloned().zip(rows))
            .map(|(name, row)| self.clone().state(name, row))
            .buffered(MAX_CONCURRENT_READS)
            .try_collect()
            .await
    }

    /// The lives of these units, one per name and in the same order. A name that systemd does not know, or does not take, is inactive.
    pub async fn lives(&self, units: &[String]) -> Result<Vec<UnitLife>, SystemdError> {
        let rows = match self.rows(units).await {
            Ok(rows) => rows,
            Err(SystemdError::Refused { .. }) => self.rows_one_by_one(units).await?,
            Err(error) => return Err(error),
        };
        stream::iter(units.iter().cloned().zip(rows))
            .map(|(name, row)| self.clone().life(name, row))
            .buffered(MAX_CONCURRENT_READS)
            .try_collect()
            .await
    }

    /// One row per name. systemd refuses them all when one is no valid unit name.
    async fn rows(&self, units: &[String]) -> Result<Vec<Option<UnitRow>>, SystemdError> {
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let refused = |message: &str| SystemdError::Refused {
            operation: "list",
            object: units.join(" "),
            name: "org.freedesktop.DBus.Error.InvalidArgs".to_owned(),
            message: message.to_owned(),
        };
        // To systemd an empty name means the unit of whoever asks.
        if units.iter().any(String::is_empty) {
            return Err(refused("empty unit name"));
        }
        let names: Vec<&str> = units.iter().map(String::as_str).collect();
        let rows = self.0.manager.list_units_by_names(&names).await;
        let rows = rows.map_err(|e| SystemdError::from_bus("list", &names.join(" "), e))?;
        // Rows carry the main name, not the alias that was asked for: they are told apart by position only.
        if rows.len() != names.len() {
            return Err(refused("the answer has another number of units"));
        }
        Ok(rows.into_iter().map(Some).collect())
    }

    async fn rows_one_by_one(&self, units: &[String]) -> Result<Vec<Option<UnitRow>>, SystemdError> {
        let mut rows = Vec::with_capacity(units.len());
        for unit in units {
            match self.rows(std::slice::from_ref(unit)).await {
                Ok(row) => rows.extend(row),
                Err(SystemdError::Refused { message, .. }) => {
                    tracing::debug!(unit, message, "systemd does not take this name");
                    rows.push(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    /// Takes its arguments by value, so that a caller's task may move between threads while many of these are under way.
    async fn state(self, name: String, row: Option<UnitRow>) -> Result<UnitState, SystemdError> {
        let Some((_, _, load, active, sub, _, path, ..)) = row else {
            return Ok(UnitState::not_found(&name));
        };
        let mut since = None;
        // A unit that was never found has no history worth a round trip.
        if load != "not-found" {
            let fail = |error| SystemdError::from_bus("read the state of", &name, error);
            let unit = self.unit(path).await.map_err(fail)?;
            since = match unit.state_change_timestamp().await.map_err(fail) {
                Ok(micros) => (micros > 0).then_some(micros / 1000),
                // Unloaded since the list was made.
                Err(SystemdError::Refused { .. }) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(UnitState { name, load, active, sub, since })
    }

    /// The state is read before the invocation: what changes in between is announced by a signal that comes later.
    async fn life(self, name: String, row: Option<UnitRow>) -> Result<UnitLife, SystemdError> {
        let Some((main, _, _, active, sub, _, path, ..)) = row else {
            return Ok(UnitLife {
                name,
                active: "inactive".to_owned(),
                sub: "dead".to_owned(),
                invocation: String::new(),
            });
        };
        let mut invocation = String::new();
        if active != "inactive" {
            let fail = |error| SystemdError::from_bus("read the invocation of", &name, error);
            let unit = self.unit(path).await.map_err(fail)?;
            invocation = match unit.invocation_id().await.map_err(fail) {
                Ok(bytes) => hexadecimal(&bytes),
                // Unloaded since the list was made.
                Err(SystemdError::Refused { .. }) => String::new(),
                Err(error) => return Err(error),
            };
        }
        Ok(UnitLife { name: main, active, sub, invocation })
    }

    async fn unit(&self, path: OwnedObjectPath) -> zbus::Result<UnitProxy<'static>> {
        let connection = self.0.manager.inner().connection();
        UnitProxy::builder(connection).path(path).cache_properties(CacheProperties::No).build().await
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn utf8(path: &Path) -> Result<&str, SystemdError> {
    path.to_str().ok_or_else(|| SystemdError::PathNotUtf8(path.to_owned()))
}
