//! What the agent's operations mean on this machine: files, links, one reload, jobs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flota_agent::{FileOp, FileResults, JobResult};
use flota_systemd::{JobOutcome, Systemd, SystemdError};
use flota_unit::UnitName;
use tokio::sync::watch;
use tracing::warn;

use crate::disk::AgentDir;

type SystemdWatch = watch::Receiver<Option<Systemd>>;

/// The connection to systemd, as soon as there is one; none when the daemon ends.
pub async fn connected(systemd: &mut SystemdWatch) -> Option<Systemd> {
    systemd.wait_for(Option::is_some).await.ok()?.clone()
}

/// Carries out file changes, then one daemon-reload.
pub async fn change_files(mut systemd: SystemdWatch, dir: AgentDir, ops: Vec<FileOp>) -> FileResults {
    let mut results = FileResults::default();
    let Some(systemd) = connected(&mut systemd).await else {
        return results; // The daemon ends.
    };
    let Some((ops, written)) = write_files(dir.clone(), ops, &mut results).await else {
        return results;
    };
    link(&systemd, &written.plain, &mut results).await;
    enable(&systemd, &dir, &written.with_install, &mut results).await;
    if let Err(error) = systemd.reload().await {
        for op in &ops {
            results.failed.entry(op.unit().clone()).or_insert_with(|| format!("{error:#}"));
        }
    }
    for op in &ops {
        if let FileOp::Remove { unit } = op {
            // Only a failed unit has something to forget; refusal changes nothing that matters.
            let _ = systemd.reset_failed(unit.as_str()).await;
        }
    }
    results
}

/// The files that are to be linked, those with an `[Install]` section apart.
#[derive(Default)]
struct Written {
    plain: Vec<Linked>,
    with_install: Vec<Linked>,
}

/// A unit and its file.
type Linked = (UnitName, PathBuf);

/// Takes old links away, writes and removes the files; returns the operations that came through. None when the
/// daemon ends.
async fn write_files(dir: AgentDir, ops: Vec<FileOp>, results: &mut FileResults) -> Option<(Vec<FileOp>, Written)> {
    let work = move || {
        let mut failed = BTreeMap::new();
        let changed = ops.iter().filter(|op| !matches!(op, FileOp::Link { .. })).map(FileOp::unit);
        let unlinked =
            dir.unlink(&changed.collect::<Vec<_>>()).map_err(|error| format!("cannot remove its links: {error}"));
        let mut done = Vec::with_capacity(ops.len());
        let mut written = Written::default();
        for op in ops {
            let file = (op.unit().clone(), dir.unit_path(op.unit()));
            match unlinked.clone().and_then(|()| write_file(&dir, &op)) {
                Ok(Kind::Gone) => {}
                Ok(Kind::Plain) => written.plain.push(file),
                Ok(Kind::WithInstall) => written.with_install.push(file),
                Err(why) => {
                    failed.insert(file.0, why);
                    continue;
                }
            }
            done.push(op);
        }
        (done, written, failed)
    };
    let (done, written, failed) = tokio::task::spawn_blocking(work).await.ok()?;
    results.failed.extend(failed);
    Some((done, written))
}

/// What is to be done about a file's links.
enum Kind {
    Gone,
    Plain,
    WithInstall,
}

fn write_file(dir: &AgentDir, op: &FileOp) -> Result<Kind, String> {
    let written = match op {
        FileOp::Install { unit, text } => dir.write_unit(unit, text),
        FileOp::Remove { unit } => dir.remove_unit(unit),
        FileOp::Link { .. } => Ok(()),
    };
    written.map_err(|error| format!("cannot write its unit file: {error}"))?;
    Ok(match op {
        FileOp::Remove { .. } => Kind::Gone,
        op if dir.has_install(op.unit()) => Kind::WithInstall,
        _ => Kind::Plain,
    })
}

/// Links all new files in one call; when systemd refuses that, one by one, to find the culprit.
async fn link(systemd: &Systemd, units: &[Linked], results: &mut FileResults) {
    let paths: Vec<PathBuf> = units.iter().map(|(_, path)| path.clone()).collect();
    if systemd.link(&paths).await.is_ok() {
        return;
    }
    for (unit, path) in units {
        if let Err(error) = systemd.link(std::slice::from_ref(path)).await {
            results.failed.insert(unit.clone(), format!("{error:#}"));
        }
    }
}

/// Links units as their `[Install]` sections ask. One that systemd refuses is linked without it, and holds no other
/// unit up.
async fn enable(systemd: &Systemd, dir: &AgentDir, units: &[Linked], results: &mut FileResults) {
    let paths: Vec<PathBuf> = units.iter().map(|(_, path)| path.clone()).collect();
    if systemd.enable(&paths).await.is_ok() {
        return;
    }
    for (unit, path) in units {
        let Err(error) = systemd.enable(std::slice::from_ref(path)).await else { continue };
        let (half, name) = (dir.clone(), unit.clone());
        // All of it or none: what systemd linked before it found the fault goes again.
        let cleaned = tokio::task::spawn_blocking(move || half.unlink(&[&name])).await;
        if let Ok(Err(error)) = cleaned {
            results.failed.insert(unit.clone(), format!("cannot remove its links: {error}"));
            continue;
        }
        let refused = format!("its [Install] is not applied: {error:#}");
        let told = match systemd.link(std::slice::from_ref(path)).await {
            Ok(()) => results.not_enabled.insert(unit.clone(), refused),
            Err(error) => results.failed.insert(unit.clone(), format!("{error:#}")),
        };
        debug_assert!(told.is_none(), "each unit is told of once");
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

/// Kills a unit; whether that worked shows in its state.
pub async fn kill(mut systemd: SystemdWatch, unit: &UnitName) {
    let Some(systemd) = connected(&mut systemd).await else { return };
    if let Err(error) = systemd.kill(unit.as_str()).await {
        warn!("{error:#}");
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

#[cfg(test)]
mod tests {
    use flota_systemd::fake::FakeSystemd;

    use super::*;
    use crate::disk::DataDir;

    const PLAIN: &str = "[Service]\nExecStart=/bin/true\n";
    const ENABLED: &str = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=x.target\n";

    fn install(unit: &str, text: &str) -> FileOp {
        FileOp::Install { unit: unit.parse().unwrap(), text: text.to_owned() }
    }

    #[tokio::test]
    async fn one_unit_that_fails_to_load_spoils_no_other_of_its_batch() {
        let folder = tempfile::tempdir().unwrap();
        let _data = DataDir::open(folder.path()).unwrap();
        let dir = AgentDir::new(folder.path(), &folder.path().join("run"));
        let fake = FakeSystemd::default();
        let (systemd, _signals) = Systemd::connect_to(fake.connect().await.unwrap()).await.unwrap();
        let (_out, systemd) = watch::channel(Some(systemd));
        fake.refuse_install("bad-install.service");
        // Its file cannot be written: a folder has its name.
        std::fs::create_dir(dir.unit_path(&"no-file.service".parse().unwrap())).unwrap();

        let mut ops: Vec<FileOp> =
            ["a.service", "no-file.service", "z.service"].map(|unit| install(unit, PLAIN)).into();
        ops.extend(["bad-install.service", "enabled.service"].map(|unit| install(unit, ENABLED)));
        let results = change_files(systemd, dir, ops).await;

        let names = |map: &BTreeMap<UnitName, String>| map.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&results.failed), ["no-file.service"]);
        assert_eq!(names(&results.not_enabled), ["bad-install.service"]);
        assert!(
            results.not_enabled.values().all(|why| why.starts_with("its [Install] is not applied: systemd refused"))
        );
        let links: Vec<String> = fake.links().into_keys().collect();
        assert_eq!(links, ["a.service", "bad-install.service", "enabled.service", "z.service"]);
        let calls = fake.calls();
        assert!(calls.contains(&"enable enabled.service".to_owned()));
        assert_eq!(calls.iter().filter(|call| *call == "reload").count(), 1);
    }
}
