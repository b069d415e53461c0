//! confd: its settings, its log, its life, its exit code.

use std::fmt;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;

use flota_cli::ConfStart;
use flota_conf::apply::{Journal, Reloader, default_state_dir};
use flota_conf::run::{Ended, Session, exec, init, run as live};
use flota_conf::settings::{LogLevel, Settings, gather};
use flota_conf::timestamp;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use crate::reporter::Reporter;

/// Something failed.
const FAILED: u8 = 1;
/// Says that a process is not the first one of its container, although it may have been told to be.
const SUPERVISED: &str = "FLOTA_CONF_SUPERVISED";

/// Lives as confd.
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
        settings = self::settings(start).unwrap_or_else(|error| {
            tracing::error!("the settings stay as they are: {error:#}");
            session.settings
        });
    }
}

/// What flags, file and environment say now.
fn settings(start: &ConfStart) -> anyhow::Result<Settings> {
    let variable = |name: &str| std::env::var(name).ok();
    Ok(gather(start.flags.clone(), start.config_file.as_deref(), variable, start.below.clone())?)
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
    match exec(settings, journal, &start.command).await {
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

fn log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let own = ["flota", "flota_conf", "flota_etcd", "flota_systemd"].map(|target| (target, level));
    let filter = Targets::new().with_default(LevelFilter::WARN.min(level)).with_targets(own);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).event_format(Line);
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

/// confd's lines: `2026-01-01T00:00:00Z host confd[1]: INFO message`.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (level, pid) = (event.metadata().level(), std::process::id());
        write!(to, "{} {} confd[{pid}]: {level} ", timestamp(), flota_conf::hostname())?;
        context.format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}
