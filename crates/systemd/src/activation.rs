//! Sockets that the service manager opened for the daemon (`man sd_listen_fds`).

use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use crate::SystemdError;

/// The unix stream sockets handed over in `LISTEN_FDS`; none when the daemon was started in another way.
///
/// Call it once, first thing in `main`: it takes `LISTEN_PID` and `LISTEN_FDS` out of the environment, so no thread may run yet and
/// no child inherits them. The descriptors are closed on exec. Any other kind of socket is an error that names the descriptor.
pub fn inherited_listeners() -> Result<Vec<UnixListener>, SystemdError> {
    let mut handed_over = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(handed_over.len());
    for index in 0..handed_over.len() {
        let taken = handed_over.take_unix_listener(index);
        listeners.extend(taken.map_err(|source| SystemdError::Listener { index, source })?);
    }
    Ok(listeners)
}
