//! confd's log: its lines, and how much of them.

use std::fmt;

use flota_conf::settings::LogLevel;
use flota_conf::timestamp;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// Has everything from this level on written to standard error.
pub fn log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let own = ["flota_confd", "flota_conf", "flota_etcd", "flota_systemd"].map(|target| (target, level));
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
