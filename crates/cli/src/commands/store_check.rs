//! `store check`: how fast the store commits, and whether that is good enough.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flota_etcd::{ClientConfig, EtcdError, StoreClient, chain, random_number};
use flota_registry::{Compare, Op, Txn};
use serde::Serialize;

use super::stores::{configured, store_at};
use crate::{
    cli::{Format, StoreCheckArgs},
    exit::Exit,
    failure::Failure,
    output::printer::Printer,
};

/// Bytes of a value: a schedule of a few units.
const VALUE_BYTES: usize = 1024;
/// Bytes per write to the disk, as etcd's own guide measures it.
const BLOCK_BYTES: usize = 2300;
/// Most measurements of one kind.
const MAX_SAMPLES: usize = 20_000;
/// Pause between two commits: what others do in the store is not crowded out.
const PAUSE: Duration = Duration::from_millis(1);

/// etcd's guide asks for this of the 99th percentile of a disk's fdatasync.
const SYNC_P99: Duration = Duration::from_millis(10);
/// etcd's heartbeat interval: a store whose commits take longer is late with its heartbeats too.
const COMMIT_P99: Duration = Duration::from_millis(100);
/// etcd's election timeout. A lease of 5 s is renewed every 1.7 s, and must survive one renewal that fails.
const COMMIT_MAX: Duration = Duration::from_secs(1);

/// What was measured, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Latency {
    count: usize,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

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
    let reasons = judge(&commit, disk.as_ref());
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
            Ok(_) => samples.push(sent.elapsed()),
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
        None => removed.map(|()| latency(samples)),
    }
}

/// Appends small blocks to a file, each made durable before the next, as the store's log is.
fn syncs(dir: &Path, span: Duration) -> std::io::Result<Latency> {
    let path = dir.join(format!(".check-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let measured = sync_blocks(file, span);
    std::fs::remove_file(&path)?;
    measured
}

fn sync_blocks(mut file: File, span: Duration) -> std::io::Result<Latency> {
    let mut samples = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < span && samples.len() < MAX_SAMPLES {
        let sent = Instant::now();
        file.write_all(&[b'x'; BLOCK_BYTES])?;
        file.sync_data()?;
        samples.push(sent.elapsed());
    }
    Ok(latency(samples))
}

fn latency(mut samples: Vec<Duration>) -> Latency {
    samples.sort_unstable();
    let at = |percent: usize| {
        let last = samples.len().saturating_sub(1);
        let sample = samples.get((samples.len() * percent / 100).min(last)).copied().unwrap_or_default();
        (sample.as_secs_f64() * 1e6).round() / 1e3
    };
    Latency { count: samples.len(), p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms: at(100) }
}

/// What is not good enough, and why it matters.
fn judge(commit: &Latency, disk: Option<&Latency>) -> Vec<String> {
    let over = |ms: f64, limit: Duration| ms > limit.as_secs_f64() * 1e3;
    let mut reasons = Vec::new();
    if commit.count == 0 {
        reasons.push("nothing was committed".to_owned());
    }
    if over(commit.p99_ms, COMMIT_P99) {
        reasons.push(format!(
            "one commit of a hundred takes {} ms or longer: more than the {} ms between two heartbeats of an etcd",
            commit.p99_ms,
            COMMIT_P99.as_millis()
        ));
    }
    if over(commit.max_ms, COMMIT_MAX) {
        reasons.push(format!(
            "a commit took {} ms: an etcd elects a new leader after {} ms without a word, and a lease of 5 s must \
             survive a renewal that fails",
            commit.max_ms,
            COMMIT_MAX.as_millis()
        ));
    }
    if let Some(disk) = disk.filter(|disk| over(disk.p99_ms, SYNC_P99)) {
        reasons.push(format!(
            "one fdatasync of a hundred takes {} ms or longer: etcd's guide asks for less than {} ms",
            disk.p99_ms,
            SYNC_P99.as_millis()
        ));
    }
    reasons
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ms: &[u64]) -> Latency {
        latency(ms.iter().map(|ms| Duration::from_millis(*ms)).collect())
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let hundred = of(&(1..=100).collect::<Vec<_>>());
        assert_eq!((hundred.count, hundred.p50_ms, hundred.max_ms), (100, 51.0, 100.0));
        assert_eq!((hundred.p90_ms, hundred.p99_ms), (91.0, 100.0));
    }

    #[test]
    fn what_is_too_slow_is_named_with_its_reason() {
        let fast = of(&[1; 100]);
        assert_eq!(judge(&fast, Some(&fast)), [""; 0]);
        assert!(judge(&of(&[120; 10]), None)[0].contains("heartbeats"));
        let mut once = vec![1; 999];
        once.push(1500);
        let slow = judge(&of(&once), None);
        assert!(matches!(slow.as_slice(), [reason] if reason.contains("1500 ms")), "{slow:?}");
        assert!(judge(&fast, Some(&of(&[11; 10])))[0].contains("fdatasync"));
        assert_eq!(judge(&of(&[]), None), ["nothing was committed"]);
    }
}
