//! Processes that tell: which one it is, and when it ends. The daemon does not see others in `/proc`, but it may wait for them.

use std::io;
use std::os::fd::OwnedFd;

use flota_agent::conf::Process;
use rustix::fs::fstat;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::unix::pipe::Receiver;

/// The process with that id; none if there is none.
pub fn find(pid: u32) -> Option<Process> {
    handle(pid).ok().map(|(process, _)| process)
}

/// Waits until a process has ended; one that is not there has.
pub async fn ended(process: Process) {
    let Ok((found, handle)) = handle(process.pid) else { return };
    if found != process {
        return;
    }
    // To epoll its end is like something to be read from a pipe.
    if let Ok(handle) = Receiver::from_owned_fd_unchecked(handle) {
        // What cannot be waited for is taken for ended: it tells again when something changes.
        let _ = handle.readable().await;
    }
}

fn handle(pid: u32) -> io::Result<(Process, OwnedFd)> {
    let none = || io::Error::from(io::ErrorKind::NotFound);
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(none)?;
    let handle = pidfd_open(id, PidfdFlags::empty())?;
    let number = fstat(&handle)?.st_ino;
    Ok((Process { pid, number }, handle))
}
