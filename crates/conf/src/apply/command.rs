//! Commands of people's own: `/bin/sh -c`, with a bound on time and on what they say.

use std::fmt::Write as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// What is kept of what a command says; the rest is read and forgotten.
const MAX_OUTPUT_BYTES: usize = 64 << 10;
/// How long what a command left running may hold its output open.
const OUTPUT_WITHIN: Duration = Duration::from_millis(200);

/// How a command ended.
#[derive(Debug)]
pub struct CommandOutcome {
    /// None: it could not be started, or took too long.
    pub status: Option<ExitStatus>,
    /// What it said on both outputs, or why it could not be started.
    pub output: String,
}

impl CommandOutcome {
    /// Whether it ended with 0.
    pub fn is_ok(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs a line of shell. After `limit` it is killed, with all processes that it started.
pub async fn run_shell(line: &str, limit: Duration) -> CommandOutcome {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.process_group(0).kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(error) => return CommandOutcome { status: None, output: format!("cannot start /bin/sh: {error}") },
    };
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let out = tokio::spawn(collect(child.stdout.take()));
    let err = tokio::spawn(collect(child.stderr.take()));
    let ended = timeout(limit, child.wait()).await;
    if ended.is_err() {
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait().await;
    }
    let mut output = Vec::new();
    for mut part in [out, err] {
        tokio::select! {
            text = &mut part => output.extend(text.unwrap_or_default()),
            () = sleep(OUTPUT_WITHIN) => part.abort(),
        }
    }
    let mut output = String::from_utf8_lossy(&output).trim_end().to_owned();
    let status = match ended {
        Ok(Ok(status)) => Some(status),
        Ok(Err(error)) => {
            output = format!("cannot wait for it: {error}");
            None
        }
        Err(_) => {
            let end = if output.is_empty() { "" } else { "\n" };
            let _ = write!(output, "{end}killed after {} s", limit.as_secs_f32());
            None
        }
    };
    CommandOutcome { status, output }
}

async fn collect(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_OUTPUT_BYTES - kept.len();
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn a_command_tells_how_it_ended_and_what_it_said() {
        let good = run_shell("echo out; echo err >&2", Duration::from_secs(10)).await;
        assert!(good.is_ok());
        assert_eq!(good.output, "out\nerr");
        let bad = run_shell("echo no; exit 3", Duration::from_secs(10)).await;
        assert_eq!((bad.status.and_then(|status| status.code()), bad.output.as_str()), (Some(3), "no"));
    }

    #[tokio::test]
    async fn one_that_takes_too_long_is_killed_with_what_it_started() {
        let begun = Instant::now();
        let late = run_shell("sleep 100 & sleep 100; echo never", Duration::from_millis(100)).await;
        assert!(!late.is_ok() && late.output.contains("killed after 0.1 s"), "{late:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn what_is_left_running_does_not_hold_it_up() {
        let begun = Instant::now();
        assert!(run_shell("sleep 30 & exit 0", Duration::from_secs(20)).await.is_ok());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_flood_of_words_is_cut() {
        let loud = run_shell("head -c 300000 /dev/zero | tr '\\0' x", Duration::from_secs(10)).await;
        assert_eq!(loud.output.len(), MAX_OUTPUT_BYTES);
        assert!(loud.is_ok());
    }
}
