//! The one task that reads systemd's signals from the bus: job endings to [`Jobs`], hints to [`Queue`]. It never waits for anybody.

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::{StreamExt, stream};
use tokio::task::AbortHandle;
use zbus::{
    Connection, MatchRule, Message, MessageStream,
    fdo::{self, DBusProxy},
    message::Type,
    names::{MemberName, OwnedUniqueName},
};

use crate::{
    SystemdError,
    jobs::{JobOutcome, Jobs},
    proxy::{JobRemoved, Reloading},
    signals::{Queue, unit_of_path},
};

const BUS_NAME: &str = "org.freedesktop.systemd1";
pub(crate) const ROOT_PATH: &str = "/org/freedesktop/systemd1";

/// Messages that may wait for this task inside the bus library. The task drains without waiting, so this only evens out bursts;
/// when it is full the library stops reading the socket for a moment and nothing is lost.
const MAX_QUEUED_MESSAGES: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// Where the task puts what it reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sinks {
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) queue: Arc<Queue>,
}

impl Sinks {
    /// Ends all waiting: the connection is of no more use.
    pub(crate) fn close(&self) {
        self.jobs.close();
        self.queue.close();
    }
}

/// Registers with the bus and starts the task. When this returns, no later signal is missed.
pub(crate) async fn start(connection: &Connection, sinks: Sinks) -> Result<AbortHandle, SystemdError> {
    let fail = |error| SystemdError::from_bus("watch", "signals", error);
    let mut streams = Vec::new();
    let mut owner = None;
    if connection.is_bus() {
        // First the watch on the owner, then the question who it is: a change in between is seen.
        streams.push(owner_changes(connection).await.map_err(fail)?);
        owner = Some(systemd_owner(connection).await?);
    }
    streams.push(systemd_signals(connection, owner.as_ref()).await.map_err(fail)?);
    let mut messages = stream::select_all(streams.into_iter().map(|s| {
        // The end of either stream is the end of both.
        s.map(Some).chain(stream::iter([None]))
    }));
    let task = tokio::spawn(async move {
        while let Some(Some(Ok(message))) = messages.next().await {
            if let Err(error) = route(&message, &sinks) {
                tracing::debug!(%error, "giving up the connection to systemd");
                break;
            }
        }
        sinks.close();
    });
    Ok(task.abort_handle())
}

/// A watch on who owns systemd's name: `daemon-reexec` gives it to a new connection, which knows nothing of our jobs.
async fn owner_changes(connection: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .add_arg(BUS_NAME)
        .build()?;
    MessageStream::for_match_rule(rule, connection, None).await
}

async fn systemd_owner(connection: &Connection) -> Result<OwnedUniqueName, SystemdError> {
    let fail = |error| SystemdError::from_bus("find", BUS_NAME, error);
    let bus = DBusProxy::new(connection).await.map_err(fail)?;
    match bus.get_name_owner(BUS_NAME.try_into().map_err(fail)?).await {
        Ok(owner) => Ok(owner),
        // On its way back after daemon-reexec, or not yet on the bus early in the boot.
        Err(fdo::Error::NameHasNoOwner(_)) => Err(SystemdError::Disconnected),
        Err(error) => Err(fail(error.into())),
    }
}

/// One match rule for the manager and all units and jobs. The sender is part of it because the system bus lets
/// every user send signals that look like systemd's.
async fn systemd_signals(connection: &Connection, owner: Option<&OwnedUniqueName>) -> zbus::Result<MessageStream> {
    let mut rule = MatchRule::builder().msg_type(Type::Signal).path_namespace(ROOT_PATH);
    if let Some(owner) = owner {
        rule = rule.sender(owner.as_ref());
    }
    MessageStream::for_match_rule(rule.build()?, connection, Some(MAX_QUEUED_MESSAGES)).await
}

/// Sorts one message into its sink; an error ends the connection.
///
/// `UnitNew` and `UnitRemoved` are left out on purpose: reading the state of a unit that is not loaded loads and unloads it, so a
/// caller that reads after each hint would answer its own echo for ever. What a new unit does comes as `JobRemoved`.
fn route(message: &Message, sinks: &Sinks) -> Result<(), SystemdError> {
    let header = message.header();
    match header.member().map(MemberName::as_str) {
        Some("PropertiesChanged") => {
            if let Some(unit) = header.path().and_then(|p| unit_of_path(p.as_str())) {
                sinks.queue.unit_changed(unit);
            }
        }
        Some("JobRemoved") => {
            let Some(signal) = JobRemoved::from_message(message.clone()) else {
                return Ok(());
            };
            let args = signal.args().map_err(|e| SystemdError::from_bus("read", "JobRemoved", e))?;
            sinks.queue.unit_changed(args.unit.clone());
            sinks.jobs.ended(args.job.as_str(), JobOutcome::from(args.result.clone()))?;
        }
        Some("Reloading") => {
            let Some(signal) = Reloading::from_message(message.clone()) else {
                return Ok(());
            };
            let args = signal.args().map_err(|e| SystemdError::from_bus("read", "Reloading", e))?;
            if !args.active {
                sinks.queue.reloaded();
            }
        }
        Some("NameOwnerChanged") => return Err(SystemdError::Disconnected),
        _ => {}
    }
    Ok(())
}
