//! A supervised command: as the entry point of a container it is started when its files are there, told of new ones, and waited for.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::session::{Ended, RunError, Session, run};
use crate::apply::{Journal, Reloader};
use crate::resource::Reload;
use crate::settings::Settings;

/// What is asked of the command and not done yet.
const MAX_ASKED: usize = 16;
/// How long a command that is restarted has to end by itself.
const END_WITHIN: Duration = Duration::from_secs(10);
/// The wait before files are rendered again for a first start.
const RENDER_AGAIN: Duration = Duration::from_secs(1);
/// The wait between two lives.
const LIVE_AGAIN: Duration = Duration::from_millis(100);

/// Why the command could not be supervised.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its files could not be followed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Renders until all files are there, starts the command, and follows the keys until it ends. Signals go to the command; `SIGHUP`
/// has the configuration read again, and the settings with it: `reread` tells them, unless they are to stay as they are. The
/// command's own end is the end.
pub async fn exec(
    settings: Settings,
    journal: Option<Journal>,
    command: &[OsString],
    reread: impl Fn() -> Option<Settings>,
) -> Result<ExitStatus, ExecError> {
    let (asks, asked) = mpsc::channel(MAX_ASKED);
    let mut signals = Passed::new()?;
    let mut settings = settings;
    let mut first = Session {
        listener: None,
        settings: once(&settings),
        reloader: Arc::new(Reloader::default()),
        journal: None,
        restarts_child: false,
        // There is no command yet that could be told.
        without_reloads: true,
    };
    while Box::pin(run(&first)).await.inspect_err(|error| tracing::error!("{}", flota_etcd::chain(error))).ok()
        != Some(Ended::Done)
    {
        tokio::select! {
            () = tokio::time::sleep(RENDER_AGAIN) => {}
            signal = signals.next() => if ends(signal) {
                return Ok(status_of_signal(signal));
            },
        }
        // They may be what is wrong.
        settings = reread().unwrap_or(settings);
        first.settings = once(&settings);
    }
    let session = Session {
        listener: None,
        settings: for_good(settings),
        reloader: Arc::new(Reloader::with_child(asks)),
        journal,
        restarts_child: true,
        without_reloads: false,
    };
    tokio::select! {
        ended = supervise(command, asked, &mut signals) => ended,
        never = follow(session, reread) => match never {},
    }
}

/// Follows the keys for good. One life ends only for the next: to begin anew, or because a signal for the command came to it, too.
async fn follow(mut session: Session, reread: impl Fn() -> Option<Settings>) -> Infallible {
    loop {
        match Box::pin(run(&session)).await {
            Ok(Ended::Again) => {
                if let Some(settings) = reread() {
                    session.settings = for_good(settings);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::error!("{}", flota_etcd::chain(&error)),
        }
        tokio::time::sleep(LIVE_AGAIN).await;
    }
}

fn once(settings: &Settings) -> Settings {
    Settings { onetime: true, ..settings.clone() }
}

fn for_good(settings: Settings) -> Settings {
    Settings { onetime: false, watch: true, ..settings }
}

async fn supervise(
    command: &[OsString],
    mut asked: mpsc::Receiver<Reload>,
    signals: &mut Passed,
) -> Result<ExitStatus, ExecError> {
    let mut child = start(command)?;
    // When one that is restarted is killed, if it does not end by itself.
    let mut restart: Option<Instant> = None;
    let mut is_told_to_end = false;
    loop {
        tokio::select! {
            ended = child.wait() => {
                let status = ended.map_err(|source| failed(command, source))?;
                // Whoever wants an end gets it, also in the middle of a restart.
                if is_told_to_end || restart.take().is_none() {
                    return Ok(status);
                }
                child = start(command)?;
            }
            signal = signals.next() => {
                is_told_to_end |= ends(signal);
                send(&child, signal);
            }
            Some(reload) = asked.recv() => match reload {
                Reload::ChildSignal { signal } => send(&child, signal),
                _ if is_told_to_end || restart.is_some() => {}
                _ => {
                    restart = Some(Instant::now() + END_WITHIN);
                    send(&child, Signal::TERM.as_raw());
                }
            },
            () = sleep_until(restart.unwrap_or_else(Instant::now)), if restart.is_some() => {
                tracing::warn!("the command does not end: it is killed");
                let _ = child.start_kill();
                restart = Some(Instant::now() + END_WITHIN);
            }
        }
    }
}

fn start(command: &[OsString]) -> Result<Child, ExecError> {
    let (program, arguments) = command.split_first().ok_or_else(|| failed(command, io::ErrorKind::NotFound.into()))?;
    let mut process = Command::new(program);
    process.args(arguments).spawn().map_err(|source| failed(command, source))
}

fn failed(command: &[OsString], source: io::Error) -> ExecError {
    let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    ExecError::Start { program, source }
}

fn send(child: &Child, signal: i32) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
        // It may have ended this very moment.
        let _ = kill_process(pid, signal);
    }
}

fn ends(signal: i32) -> bool {
    [Signal::TERM, Signal::INT, Signal::QUIT].iter().any(|end| end.as_raw() == signal)
}

fn status_of_signal(signal: i32) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt as _;
    ExitStatus::from_raw(signal)
}

/// The signals that are passed on.
struct Passed(Vec<(i32, Listener)>);

impl Passed {
    fn new() -> Result<Passed, ExecError> {
        let kinds = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::WINCH];
        let listeners = kinds.map(|kind| {
            let number = kind.as_raw();
            signal(SignalKind::from_raw(number)).map(|listener| (number, listener)).map_err(RunError::Signals)
        });
        Ok(Passed(listeners.into_iter().collect::<Result<_, _>>()?))
    }

    async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, listener) in &mut self.0 {
                if let std::task::Poll::Ready(Some(())) = listener.poll_recv(context) {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
