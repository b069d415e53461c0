//! `doctor`: looks at this machine, has it judged, and tells.

mod cluster;
mod disk;
mod files;
mod host;
mod look;
mod names;
mod ports;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flota_api::Client;
use flota_daemon::{Config, Options};
use flota_doctor::{Blind, Facts, Finding, Level, Look, examine, worst};
use flota_etcd::chain;
use serde::Serialize;

use crate::{
    cli::{DoctorArgs, Format},
    exit::Exit,
    failure::Failure,
    output::printer::Printer,
    settings::Settings,
};

/// Columns of a level, and of the name of a check.
const WIDTHS: (usize, usize) = (5, 14);

/// What programs get.
#[derive(Serialize)]
struct Report<'a> {
    worst: Level,
    findings: &'a [Finding],
}

/// Runs the verb.
pub async fn run(printer: &mut Printer<'_>, settings: Settings, arguments: &DoctorArgs) -> Result<Exit, Failure> {
    if settings.tunnel.is_some() {
        return Err(Failure::new(Exit::USAGE, "doctor examines the machine that it is typed on")
            .with_hint("flota ssh MACHINE flota doctor"));
    }
    let options = Options { config: arguments.config.clone(), ..Options::default() };
    let findings = examine(&Box::pin(gather(&Client::new(settings.endpoint), &options)).await);
    let worst = worst(&findings);
    match arguments.print.output {
        Format::Json => printer.json(&Report { worst, findings: &findings })?,
        Format::Text => {
            let lines: Vec<String> = findings.iter().map(line).collect();
            printer.data(&lines.concat())?;
        }
    }
    Ok(if worst == Level::Fail { Exit::FAILURE } else { Exit::SUCCESS })
}

/// A finding for people; what to do about it on a line of its own.
fn line(finding: &Finding) -> String {
    let (level, check) = WIDTHS;
    // What others said may be of several lines.
    let what = finding.what.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = format!("{:<level$} {:<check$} {what}\n", finding.level.as_str(), finding.check);
    match &finding.mend {
        Some(mend) => format!("{told}{:<level$} {:<check$} {mend}\n", "", "  mend:"),
        None => told,
    }
}

/// Looks at everything at once.
async fn gather(client: &Client, options: &Options) -> Facts {
    let loaded = configuration(options);
    let config = loaded.as_ref().ok().and_then(|loaded| loaded.as_ref().ok());
    let container = host::container();
    let here = async {
        tokio::join!(
            host::systemd(),
            host::clock(),
            host::engines(),
            names::names(),
            files::spaces(config),
            disk::latency(config),
            names::store(config),
        )
    };
    let (here, cluster) = tokio::join!(here, cluster::look(client));
    let (systemd, clock, engines, names, spaces, disk, store) = here;
    let cluster::Cluster { service, daemon, announced, peers } = cluster;
    Facts {
        now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64),
        container,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: Ok(host::kernel()),
        cgroups: host::cgroups(),
        systemd,
        clock,
        engines,
        security: Ok(host::security()),
        configuration: loaded
            .as_ref()
            .map(|loaded| loaded.as_ref().map(drop).map_err(Clone::clone))
            .map_err(Clone::clone),
        service,
        daemon,
        identity: names::identity(config, announced),
        ports: ports::ports(config),
        disk,
        spaces,
        names,
        certificates: files::certificates(config),
        store,
        peers,
    }
}

/// The daemon's configuration; otherwise what is wrong with it.
fn configuration(options: &Options) -> Look<Result<Config, String>> {
    match Config::load(options) {
        Ok(config) => Ok(Ok(config)),
        Err(error) if look::is_denied(&error) => {
            Err(Blind::NotAllowed("read what the daemon is configured for".into()))
        }
        Err(error) => Ok(Err(chain(&error))),
    }
}

/// What there is to say of something that the configuration names, where that cannot be read.
fn known(config: Option<&Config>) -> Look<&Config> {
    config.ok_or_else(|| Blind::Because("the configuration cannot be read".to_owned()))
}

/// Whether there is such a file or folder.
fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
