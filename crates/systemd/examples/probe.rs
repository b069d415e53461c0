//! Drives a real systemd through everything this crate does and prints what it saw. Run it as root on a machine that may be disturbed.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flota_systemd::{Signal, Signals, Systemd, SystemdError};

const MANY: usize = 100;

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let dir = PathBuf::from("/var/lib/flota-probe");
    fs::create_dir_all(&dir)?;
    let began = Instant::now();
    let (systemd, mut signals) = Systemd::connect().await?;
    println!("connected in {:?}: systemd {}", began.elapsed(), systemd.version().await?);

    one_unit(&systemd, &mut signals, &dir).await?;
    refusals(&systemd, &dir).await?;
    echoes(&systemd, &mut signals).await?;
    many_units(&systemd, &mut signals, &dir).await?;
    reexec(&systemd, &mut signals, &dir).await?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

fn write_unit(dir: &Path, name: &str, exec: &str) -> Result<PathBuf, std::io::Error> {
    let path = dir.join(name);
    fs::write(&path, format!("[Service]\n{exec}\n"))?;
    Ok(path)
}

/// Lets the last signals arrive, then prints and counts them.
async fn drain(signals: &mut Signals) -> usize {
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut count = 0;
    while let Some(signal) = signals.try_recv() {
        count += 1;
        if count <= 8 {
            println!("    signal {signal:?}");
        }
    }
    count
}

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let result = work.await;
    println!("  {what}: {:?}", began.elapsed());
    result
}

async fn one_unit(systemd: &Systemd, signals: &mut Signals, dir: &Path) -> Outcome {
    println!("one unit, instance of a template name:");
    let name = "flota-probe@1.service".to_owned();
    let path = write_unit(dir, &name, "ExecStart=/bin/sleep infinity")?;
    drain(signals).await;
    timed("link", systemd.link(std::slice::from_ref(&path))).await?;
    println!("  link is {}", fs::read_link(format!("/run/systemd/system/{name}"))?.display());
    timed("reload", systemd.reload()).await?;
    println!("  {:?}", timed("start", systemd.start(&name)).await?);
    println!("  {:?}", timed("states", systemd.states(std::slice::from_ref(&name))).await?);
    drain(signals).await;
    println!("  {:?}", timed("start again", systemd.start(&name)).await?);
    println!("  {:?}", timed("restart", systemd.restart(&name)).await?);
    println!("  {:?}", timed("stop", systemd.stop(&name)).await?);
    println!("  {:?}", timed("stop again", systemd.stop(&name)).await?);
    timed("reset_failed", systemd.reset_failed(&name)).await?;
    drain(signals).await;
    fs::remove_file(&path)?;
    timed("unlink, file already gone", systemd.unlink(std::slice::from_ref(&name))).await?;
    println!("  link is gone: {}", fs::symlink_metadata(format!("/run/systemd/system/{name}")).is_err());
    timed("reload", systemd.reload()).await?;
    println!("  {:?}", systemd.states(std::slice::from_ref(&name)).await?);
    println!("  unlink again: {:?}", systemd.unlink(std::slice::from_ref(&name)).await);
    Ok(())
}

async fn refusals(systemd: &Systemd, dir: &Path) -> Outcome {
    println!("refusals:");
    let bad = write_unit(dir, "flota-bad.service", "ExecStart=/nonexistent")?;
    let fails = write_unit(dir, "flota-fails.service", "Type=oneshot\nExecStart=/bin/false")?;
    let slow = write_unit(dir, "flota-slow.service", "Type=notify\nTimeoutStartSec=1\nExecStart=/bin/sleep 30")?;
    systemd.link(&[bad, fails, slow]).await?;
    systemd.reload().await?;
    let failing = ["flota-bad.service", "flota-fails.service", "flota-slow.service"].map(str::to_owned);
    for unit in failing.iter().map(String::as_str).chain(["flota-missing.service", "no/unit", "tmpl@.service"]) {
        println!("  start {unit}: {:?}", systemd.start(unit).await);
    }
    let mut names = failing.to_vec();
    names.extend(["no/unit", "", "tmpl@.service", "flota-missing.service", "dbus.service"].map(str::to_owned));
    for state in timed("states with bad names", systemd.states(&names)).await? {
        println!("    {state:?}");
    }
    println!("  reset missing: {:?}", systemd.reset_failed("flota-missing.service").await);
    println!("  link missing file: {:?}", systemd.link(&[dir.join("nothing.service")]).await);
    for unit in &failing {
        systemd.reset_failed(unit).await?;
    }
    systemd.unlink(&failing).await?;
    systemd.reload().await?;
    Ok(())
}

/// Reading must not cause hints, or a caller that reads after each hint never rests.
async fn echoes(systemd: &Systemd, signals: &mut Signals) -> Outcome {
    println!("echoes of reading:");
    drain(signals).await;
    let names = ["flota-missing.service", "dbus.service", "systemd-machine-id-commit.service", "rescue.service"]
        .map(str::to_owned);
    for _ in 0..3 {
        systemd.states(&names).await?;
    }
    println!("  {} hints after 3 readings of {} units", drain(signals).await, names.len());
    Ok(())
}

async fn many_units(systemd: &Systemd, signals: &mut Signals, dir: &Path) -> Outcome {
    println!("{MANY} units:");
    let names: Vec<String> = (0..MANY).map(|n| format!("flota-many@{n}.service")).collect();
    let paths = names
        .iter()
        .map(|name| write_unit(dir, name, "ExecStart=/bin/sleep infinity"))
        .collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    timed("link", systemd.link(&paths)).await?;
    timed("reload", systemd.reload()).await?;
    timed("start all at once", each(systemd, &names, |s, n| async move { s.start(&n).await })).await?;
    println!("  link + reload + start: {:?}", began.elapsed());
    let states = timed("states", systemd.states(&names)).await?;
    println!("  active: {}", states.iter().filter(|s| s.active == "active").count());
    println!("  {} hints", drain(signals).await);
    timed("reload with them", systemd.reload()).await?;
    timed("stop all at once", each(systemd, &names, |s, n| async move { s.stop(&n).await })).await?;
    timed("unlink", systemd.unlink(&names)).await?;
    timed("reload", systemd.reload()).await?;
    Ok(())
}

async fn each<F>(systemd: &Systemd, names: &[String], job: impl Fn(Systemd, String) -> F) -> Result<(), SystemdError>
where
    F: Future<Output = Result<flota_systemd::JobOutcome, SystemdError>>,
{
    let jobs = names.iter().map(|name| job(systemd.clone(), name.clone()));
    let outcomes = futures_util::future::try_join_all(jobs).await?;
    let done = outcomes.iter().filter(|o| **o == flota_systemd::JobOutcome::Done).count();
    println!("  {done} jobs done");
    Ok(())
}

/// systemd starts anew while a job waits: the wait and the signals end with an error, and a new connection works.
async fn reexec(systemd: &Systemd, signals: &mut Signals, dir: &Path) -> Outcome {
    println!("daemon-reexec while a job waits:");
    let name = "flota-slow.service".to_owned();
    let path = write_unit(dir, &name, "Type=notify\nTimeoutStartSec=20\nExecStart=/bin/sleep 30")?;
    systemd.link(&[path]).await?;
    systemd.reload().await?;
    drain(signals).await;
    let waiting = tokio::spawn({
        let (systemd, name) = (systemd.clone(), name.clone());
        async move { systemd.start(&name).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = tokio::process::Command::new("systemctl").arg("daemon-reexec").status().await?;
    println!("  systemctl: {status}; the waiting job: {:?}", waiting.await?);
    while let Some(signal) = signals.recv().await {
        if signal == Signal::Lagged {
            println!("  lagged");
        }
    }
    println!("  signals ended");
    let (systemd, _signals) = timed("connect again", Systemd::connect()).await?;
    println!("  {:?}", systemd.states(std::slice::from_ref(&name)).await?);
    println!("  stop: {:?}", systemd.stop(&name).await?);
    systemd.unlink(std::slice::from_ref(&name)).await?;
    systemd.reload().await?;
    Ok(())
}
