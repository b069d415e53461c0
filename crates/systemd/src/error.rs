//! What can go wrong between Flota and PID 1.

use std::path::PathBuf;

use zbus::{DBusError, fdo};

/// An error of this crate. Each one names the object it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// The system bus does not answer.
    #[error("cannot reach the system bus (is dbus installed and running?)")]
    NoBus(#[source] zbus::Error),
    /// The machine was not booted with systemd (`man sd_booted`).
    #[error("systemd is not running as PID 1: there is no /run/systemd/system")]
    NotSystemd,
    /// systemd refused the request and said why.
    #[error("systemd refused to {operation} {object}: {message} ({name})")]
    Refused {
        /// What was asked, as a verb.
        operation: &'static str,
        /// The unit, or the list of units, that it was asked for.
        object: String,
        /// The D-Bus name of the error.
        name: String,
        /// systemd's own words.
        message: String,
    },
    /// systemd restarted, or the bus was lost. The caller connects again and reads everything anew.
    #[error("the connection to systemd was lost")]
    Disconnected,
    /// The bus did not carry the request, or the answer was not understood.
    #[error("cannot {operation} {object}")]
    Bus {
        /// What was asked, as a verb.
        operation: &'static str,
        /// The unit, or the list of units, that it was asked for.
        object: String,
        /// The cause.
        #[source]
        source: zbus::Error,
    },
    /// D-Bus carries only UTF-8.
    #[error("path {} is not UTF-8", .0.display())]
    PathNotUtf8(PathBuf),
    /// A socket handed over by the service manager is not a listening unix stream socket.
    #[error("socket number {index} handed over by the service manager is not usable")]
    Listener {
        /// Position among the handed-over sockets, from 0.
        index: usize,
        /// The cause, which names the file descriptor.
        #[source]
        source: std::io::Error,
    },
}

impl SystemdError {
    /// True when systemd says that it has no such unit loaded.
    pub fn is_no_such_unit(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "org.freedesktop.systemd1.NoSuchUnit")
    }

    /// True when systemd says that it has such a unit already.
    pub(crate) fn is_already_there(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "org.freedesktop.systemd1.UnitExists")
    }

    /// Sorts an error of the bus library: lost connection, systemd's refusal, or anything else.
    pub(crate) fn from_bus(operation: &'static str, object: &str, error: zbus::Error) -> Self {
        let refused = |name: &str, message: Option<&str>| Self::Refused {
            operation,
            object: object.to_owned(),
            name: name.to_owned(),
            message: message.unwrap_or("no reason given").to_owned(),
        };
        match error {
            zbus::Error::InputOutput(source) if source.kind() != std::io::ErrorKind::TimedOut => {
                tracing::debug!(operation, object, %source, "connection to systemd lost");
                Self::Disconnected
            }
            zbus::Error::MethodError(name, message, _) => refused(&name, message.as_deref()),
            zbus::Error::FDO(reply) => match *reply {
                fdo::Error::ZBus(source) => Self::from_bus(operation, object, source),
                // What the bus says when systemd left before or during the call.
                fdo::Error::NoReply(_)
                | fdo::Error::ServiceUnknown(_)
                | fdo::Error::NameHasNoOwner(_)
                | fdo::Error::Disconnected(_) => Self::Disconnected,
                reply => refused(&reply.name(), reply.description()),
            },
            source => Self::Bus { operation, object: object.to_owned(), source },
        }
    }
}
