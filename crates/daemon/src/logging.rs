//! Log lines: for the journal without time and colour, for a terminal with both.

use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

/// Sets the process's log up; called once.
pub fn init(verbose: bool) {
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    // The journal stamps the time itself.
    let terminal = std::io::stderr().is_terminal();
    set(BoxMakeWriter::new(std::io::stderr), level, terminal, terminal);
}

/// The same where etcd's `--log-outputs` says; called once. Always with the time: nobody knows who reads it.
pub fn to(output: &str, level: LevelFilter) -> anyhow::Result<()> {
    match output {
        "default" | "stderr" => set(BoxMakeWriter::new(std::io::stderr), level, true, std::io::stderr().is_terminal()),
        "stdout" => set(BoxMakeWriter::new(std::io::stdout), level, true, std::io::stdout().is_terminal()),
        path => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot log to {path}"))?;
            set(BoxMakeWriter::new(Mutex::new(file)), level, true, false);
        }
    }
    Ok(())
}

fn set(writer: BoxMakeWriter, level: LevelFilter, time: bool, colour: bool) {
    let layer = fmt::layer().with_writer(writer).with_target(false).with_ansi(colour);
    // Libraries speak up from warnings on.
    let own = Targets::new().with_default(LevelFilter::WARN.min(level)).with_targets(
        ["flota_daemon", "flota_store", "flota_etcd", "flota_systemd", "flota_mvcc"].map(|target| (target, level)),
    );
    let layer = if time { layer.boxed() } else { layer.without_time().boxed() };
    tracing_subscriber::registry().with(layer.with_filter(own)).init();
}
