//! Log lines: for the journal without time and colour, for a terminal with both.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// Sets the process's log up; called once.
pub fn init(verbose: bool) {
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let terminal = std::io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(terminal);
    // The journal stamps the time itself. Libraries speak up from warnings on.
    let own = tracing_subscriber::filter::Targets::new().with_default(LevelFilter::WARN).with_targets(
        ["flota_daemon", "flota_store", "flota_etcd", "flota_systemd", "flota_mvcc"].map(|target| (target, level)),
    );
    let layer = if terminal { layer.boxed() } else { layer.without_time().boxed() };
    tracing_subscriber::registry().with(layer.with_filter(own)).init();
}
