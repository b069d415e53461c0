//! What the agent's operations mean on this machine: files, links, one reload, jobs.

use std::collections::BTreeMap;
use std::io;

use flota_agent::{FileOp, JobResult};
use flota_systemd::{JobOutcome, Systemd, SystemdError};
use flota_unit::UnitName;
use tokio::sync::watch;

use crate::disk::AgentDir;

type SystemdWatch = watch::Receiver<Option<Systemd>>;

/// The connection to systemd, as soon as there is one; none when the daemon ends.
pub async fn connected(systemd: &mut SystemdWatch) -> Option<Systemd> {
    systemd.wait_for(Option::is_some).await.ok()?.clone()
}

/// Carries out file changes, then one daemon-reload. The answer names the units that failed, and why.
pub async fn change_files(mut systemd: SystemdWatch, dir: AgentDir, ops: Vec<FileOp>) -> BTreeMap<UnitName, String> {
    let Some(systemd) = connected(&mut systemd).await else {
        return BTreeMap::new();
    };
    let mut failed = BTreeMap::new();
    let ops = write_files(dir.clone(), ops, &mut failed).await;
    link(&systemd, &dir, &ops, &mut failed).await;
    if let Err(error) = systemd.reload().await {
        for op in &ops {
            failed.entry(op.unit().clone()).or_insert_with(|| format!("{error:#}"));
        }
    }
    for op in &ops {
        if let FileOp::Remove { unit } = op {
            // Only a failed unit has something to forget; refusal changes nothing that matters.
            let _ = systemd.reset_failed(unit.as_str()).await;
        }
    }
    failed
}

/// Writes and removes the files; returns the operations that came through.
async fn write_files(dir: AgentDir, ops: Vec<FileOp>, failed: &mut BTreeMap<UnitName, String>) -> Vec<FileOp> {
    let work = move || {
        let mut done = Vec::with_capacity(ops.len());
        let mut failed = Vec::new();
        for op in ops {
            let written: io::Result<()> = match &op {
                FileOp::Install { unit, text } => dir.write_unit(unit, text),
                FileOp::Remove { unit } => dir.remove_unit(unit),
                FileOp::Link { .. } => Ok(()),
            };
            match written {
                Ok(()) => done.push(op),
                Err(error) => failed.push((op.unit().clone(), format!("cannot write its unit file: {error}"))),
            }
        }
        (done, failed)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok((done, errors)) => {
            failed.extend(errors);
            done
        }
        Err(_) => Vec::new(), // The daemon ends.
    }
}

/// Links all new files in one call; when systemd refuses that, one by one, to find the culprit.
async fn link(systemd: &Systemd, dir: &AgentDir, ops: &[FileOp], failed: &mut BTreeMap<UnitName, String>) {
    let wanted = ops.iter().filter(|op| !matches!(op, FileOp::Remove { .. }));
    let paths: Vec<_> = wanted.clone().map(|op| dir.unit_path(op.unit())).collect();
    if systemd.link(&paths).await.is_ok() {
        return;
    }
    for op in wanted {
        if let Err(error) = systemd.link(&[dir.unit_path(op.unit())]).await {
            failed.insert(op.unit().clone(), format!("{error:#}"));
        }
    }
}

/// Starts a unit and waits for its job.
pub async fn start(mut systemd: SystemdWatch, unit: &UnitName) -> JobResult {
    match connected(&mut systemd).await {
        Some(systemd) => job_result("start", systemd.start(unit.as_str()).await),
        None => JobResult::Lost,
    }
}

/// Stops a unit and waits for its job.
pub async fn stop(mut systemd: SystemdWatch, unit: &UnitName) -> JobResult {
    match connected(&mut systemd).await {
        Some(systemd) => job_result("stop", systemd.stop(unit.as_str()).await),
        None => JobResult::Lost,
    }
}

fn job_result(verb: &str, outcome: Result<JobOutcome, SystemdError>) -> JobResult {
    match outcome {
        Ok(JobOutcome::Done | JobOutcome::Skipped) => JobResult::Done,
        Ok(other) => JobResult::Failed(format!("systemd's {verb} job ended as `{}`", other.as_str())),
        Err(SystemdError::Disconnected) => JobResult::Lost,
        Err(error) => JobResult::Failed(format!("{error:#}")),
    }
}
