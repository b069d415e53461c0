//! confd's life: settings, what is kept or supervised, and the exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;

use flota_conf::apply::{Journal, Reloader, default_state_dir};
use flota_conf::run::{Ended, Session, exec, init, run as live};
use flota_conf::settings::{Layer, Settings, gather};

use crate::log::log;
use crate::reporter::Reporter;

/// Something failed.
const FAILED: u8 = 1;
/// Says that a process is not the first one of its container, although it may have been told to be.
const SUPERVISED: &str = "FLOTA_CONF_SUPERVISED";

/// What confd begins with.
#[derive(Debug)]
pub struct ConfStart {
    /// What the flags say.
    pub flags: Layer,
    /// What counts where nobody says anything.
    pub below: Layer,
    /// The configuration file that was named.
    pub config_file: Option<PathBuf>,
    /// The command to supervise; none: only files are kept.
    pub command: Vec<OsString>,
}

/// Lives as confd, until it is done or told to end.
#[expect(clippy::print_stderr, reason = "what is wrong before there is a log")]
pub fn run(start: ConfStart) -> ExitCode {
    let settings = match settings(&start) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("confd: {error:#}");
            return ExitCode::from(FAILED);
        }
    };
    log(settings.log_level);
    if !settings.unused.is_empty() {
        tracing::warn!("nothing here reads {}", settings.unused.join(", "));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the runtime: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let code = if start.command.is_empty() {
        runtime.block_on(keep(&start, settings))
    } else {
        runtime.block_on(supervise(&start, settings))
    };
    // A name that DNS does not answer for may still be waited for.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Keeps files until it is told to end; reads everything again as often as it is told to.
async fn keep(start: &ConfStart, settings: Settings) -> u8 {
    // Who is done at once has nothing to tell.
    let reporter = (!settings.onetime && !settings.noop).then(|| Reporter::start(&settings.confdir));
    let code = keep_told(start, settings, reporter.as_ref()).await;
    if let Some(reporter) = reporter {
        reporter.end().await;
    }
    code
}

async fn keep_told(start: &ConfStart, mut settings: Settings, reporter: Option<&Reporter>) -> u8 {
    loop {
        let session = Session {
            journal: journal(&settings),
            reloader: Arc::new(Reloader::default()),
            settings,
            restarts_child: false,
            without_reloads: false,
            listener: reporter.map(|reporter| reporter.news.clone()),
        };
        match live(&session).await {
            Ok(Ended::Done | Ended::Stopped) => return 0,
            Ok(Ended::Failed) => return FAILED,
            Ok(Ended::Again) => tracing::info!("reading the configuration again"),
            Err(error) => {
                tracing::error!("{:#}", anyhow::Error::new(error));
                return FAILED;
            }
        }
        settings = reread(start).unwrap_or(session.settings);
    }
}

/// What flags, file and environment say now.
fn settings(start: &ConfStart) -> anyhow::Result<Settings> {
    let variable = |name: &str| std::env::var(name).ok();
    Ok(gather(start.flags.clone(), start.config_file.as_deref(), variable, start.below.clone())?)
}

/// The same for a process that lives on if they are wrong.
fn reread(start: &ConfStart) -> Option<Settings> {
    let reread = settings(start).inspect_err(|error| tracing::error!("the settings stay as they are: {error:#}"));
    reread.ok()
}

/// Starts the command and is its parent; as the first process of a container behind one that takes in what others leave.
async fn supervise(start: &ConfStart, settings: Settings) -> u8 {
    if std::process::id() == 1 && std::env::var_os(SUPERVISED).is_none() {
        let own = std::env::current_exe().map(|program| {
            let mut command = Command::new(program);
            command.args(std::env::args_os().skip(1)).env(SUPERVISED, "1");
            command
        });
        let ended = match own {
            Ok(command) => init(command).await,
            Err(error) => Err(error),
        };
        return ended.map_or(FAILED, code);
    }
    let journal = journal(&settings);
    match exec(settings, journal, &start.command, || reread(start)).await {
        Ok(status) => code(status),
        Err(error) => {
            tracing::error!("{:#}", anyhow::Error::new(error));
            FAILED
        }
    }
}

fn journal(settings: &Settings) -> Option<Journal> {
    let variable = |name: &str| std::env::var(name).ok();
    settings.state_dir.clone().or_else(|| default_state_dir(variable)).map(Journal::new)
}

/// As a shell has it: 128 and the signal.
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED)
}
