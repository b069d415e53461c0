//! The first process of a container: it passes signals on to one child, and takes in what others left behind.
//!
//! It is a process of its own, because whoever takes in all children would take those away that somebody else waits for.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

/// What is passed on.
const PASSED: [Signal; 7] =
    [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH];

/// Runs a child as this process would run alone, until it ends.
pub async fn init(mut child: Command) -> io::Result<ExitStatus> {
    let mut ended = signal(SignalKind::child())?;
    let (sender, mut signals) = tokio::sync::mpsc::channel(PASSED.len());
    for passed in PASSED {
        let mut listener = signal(SignalKind::from_raw(passed.as_raw()))?;
        let sender = sender.clone();
        tokio::spawn(async move { while listener.recv().await.is_some() && sender.send(passed).await.is_ok() {} });
    }
    let child = child.spawn()?.id();
    let child = Pid::from_raw(child.cast_signed()).ok_or(io::ErrorKind::NotFound)?;
    loop {
        // Several ends may come as one signal.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
        }
        tokio::select! {
            _ = ended.recv() => {}
            Some(passed) = signals.recv() => {
                let _ = kill_process(child, passed);
            }
        }
    }
}
