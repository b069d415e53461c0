//! `store check`: how fast the store commits, and whether that is good enough.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use flota_doctor::{Latency, too_slow};
use flota_etcd::{ClientConfig, EtcdError, StoreClient, chain, random_number};
use flota_registry::{Compare, Op, Txn};
use serde::Serialize;

use super::stores::{configured, store_at};
use crate::{
    cli::{Format, StoreCheckArgs},
    exit::Exit,
    failure::Failure,
    fsync::{MAX_SAMPLES, syncs},
    output::printer::Printer,
};

/// Bytes of a value: a schedule of a few units.
const VALUE_BYTES: usize = 1024;
/// Pause between two commits: what others do in the store is not crowded out.
const PAUSE: Duration = Duration::from_millis(1);

/// The result.
#[derive(Debug, Serialize)]
struct Verdict {
    store: Vec<String>,
    commit: Latency,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Latency>,
    good: bool,
    reasons: Vec<String>,
}

/// Runs the verb.
pub async fn run(printer: &mut Printer<'_>, arguments: &StoreCheckArgs) -> Result<Exit, Failure> {
    let config = store_at(&arguments.endpoints, &arguments.tls)?;
    let span = Duration::from_secs(arguments.seconds);
    let commit = commits(&config, span).await.map_err(|error| {
        let exit = if error.outcome_unknown() { Exit::UNAVAILABLE } else { Exit::FAILURE };
        Failure::new(exit, format!("cannot measure the store at {}: {}", config.endpoints.join(","), chain(&error)))
    })?;
    let disk = match directory(arguments, &config)? {
        Some(dir) => Some(syncs(&dir, span).map_err(|error| {
            Failure::new(Exit::FAILURE, format!("cannot measure the disk of {}: {error}", dir.display()))
        })?),
        None => None,
    };
    let reasons = too_slow(&commit, disk.as_ref());
    let verdict = Verdict { store: config.endpoints, commit, disk, good: reasons.is_empty(), reasons };
    match arguments.print.output {
        Format::Json => printer.json(&verdict)?,
        Format::Text => printer.data(&text(&verdict))?,
    }
    Ok(if verdict.good { Exit::SUCCESS } else { Exit::FAILURE })
}

/// The directory whose disk the store is on: the one that is named, or that of a store in this machine's daemon.
fn directory(arguments: &StoreCheckArgs, config: &ClientConfig) -> Result<Option<PathBuf>, Failure> {
    if arguments.data_dir.is_some() {
        return Ok(arguments.data_dir.clone());
    }
    let is_own = config.endpoints.iter().all(|endpoint| endpoint.starts_with("unix:"));
    let dir = if is_own { Some(configured()?.data_dir.join("store")) } else { None };
    Ok(dir.filter(|dir| dir.is_dir()))
}

/// Commits small transactions like those of the leader, one after the other.
async fn commits(config: &ClientConfig, span: Duration) -> Result<Latency, EtcdError> {
    let client = StoreClient::new(config).await?;
    let key = format!("/flota/check/{:016x}", random_number()?);
    // Gone by itself if this program is killed.
    let lease = client.grant(span * 2 + Duration::from_secs(60)).await?;
    let mut samples = Vec::new();
    let begun = Instant::now();
    let mut failed = None;
    while begun.elapsed() < span && samples.len() < MAX_SAMPLES {
        let put = Op::Put { key: key.clone(), value: vec![b'x'; VALUE_BYTES], lease: Some(lease) };
        let compares = vec![Compare::Absent(format!("{key}/none"))];
        let sent = Instant::now();
        match client.commit(&Txn { compares, ops: vec![put] }).await {
            Ok(_) => samples.push(sent.elapsed().as_secs_f64()),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    let removed = client.revoke(lease).await;
    match failed {
        Some(error) => Err(error),
        None => removed.map(|()| Latency::of(samples)),
    }
}

fn text(verdict: &Verdict) -> String {
    let line = |what: &str, of: &Latency| {
        format!(
            "{what:<10}p50 {} ms, p90 {} ms, p99 {} ms, max {} ms ({} measured)\n",
            of.p50_ms, of.p90_ms, of.p99_ms, of.max_ms, of.count
        )
    };
    let mut text = format!("{:<10}{}\n{}", "store", verdict.store.join(","), line("commit", &verdict.commit));
    if let Some(disk) = &verdict.disk {
        text += &line("disk", disk);
    }
    if verdict.good {
        text += "good enough\n";
    }
    for reason in &verdict.reasons {
        text.extend(["too slow: ", reason, "\n"]);
    }
    text
}
