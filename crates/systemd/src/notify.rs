//! Telling the service manager how the daemon is (`man sd_notify`).

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// The service manager reads at once or is in deep trouble; the daemon does not hang with it.
const MAX_SEND_TIME: Duration = Duration::from_secs(1);

/// Sends states to the service manager; does nothing when there is none.
///
/// Messages are advice: one that cannot be sent is logged and never fails the caller.
#[derive(Debug)]
pub struct Notifier(Option<Target>);

#[derive(Debug)]
struct Target {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// Takes the socket from `NOTIFY_SOCKET`. The variable stays set: remove it from the environment of programs that are run.
    pub fn from_env() -> Self {
        Self::for_socket(std::env::var_os("NOTIFY_SOCKET"))
    }

    /// Uses this address: a path, or `@` and a name in the abstract namespace. `None` makes a notifier that does nothing.
    pub fn for_socket(address: Option<OsString>) -> Self {
        let Some(address) = address.filter(|a| !a.is_empty()) else {
            return Self(None);
        };
        match Target::open(&address) {
            Ok(target) => Self(Some(target)),
            Err(error) => {
                tracing::warn!(?address, %error, "cannot use NOTIFY_SOCKET");
                Self(None)
            }
        }
    }

    /// The daemon serves now.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        // A line end would begin another assignment.
        self.send(&format!("STATUS={}", line.replace(['\n', '\r'], " ")));
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The daemon reads its configuration again; [`Notifier::ready`] follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    fn send(&self, message: &str) {
        let Some(target) = &self.0 else { return };
        if let Err(error) = target.socket.send_to_addr(message.as_bytes(), &target.address) {
            tracing::warn!(message, %error, "cannot tell the service manager");
        }
    }
}

impl Target {
    fn open(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name"));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(MAX_SEND_TIME))?;
        Ok(Self { socket, address })
    }
}
