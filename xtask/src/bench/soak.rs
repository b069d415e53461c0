//! `cargo xtask bench soak`: the embedded store under everything at once, with leases that come and go: flat memory, bounded disk.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::store::{Bench, Side};

/// History that is kept: short, so that compactions are many, and that each minute sees the log grow and be replaced by a snapshot.
const RETENTION: &str = "--auto-compaction-retention=15s";

/// The minute after which nothing may grow much, and how much.
const SETTLED: usize = 2;
const MAX_GROWTH: f64 = 1.3;

/// Samples of a minute; the largest counts: the log is longest just before a snapshot replaces it.
const SAMPLES: u32 = 12;

/// What the store took in one minute, MB.
struct Minute {
    memory: f64,
    disk: f64,
}

/// Loads the store and prints what it takes each minute.
pub fn measure(minutes: usize) -> Result<()> {
    if minutes <= SETTLED {
        bail!("the minutes after the first {SETTLED} are compared with those: there must be more than {SETTLED}");
    }
    let bench = Bench::build(&["store", "load", "soak"])?;
    bench.clear()?;
    let (server, _) = bench.start(Side::Ours, &[RETENTION])?;
    let mut load = bench.client("soak", &server.endpoint, &format!("--seconds {}", minutes * 60));
    let load = load.stdout(Stdio::piped()).spawn().context("can't run the load")?;
    let mut taken = Vec::new();
    for minute in 1..=minutes {
        let began = Instant::now();
        let (mut memory, mut disk) = (Vec::new(), Vec::new());
        for sample in 1..=SAMPLES {
            sleep((Duration::from_secs(60) * sample / SAMPLES).saturating_sub(began.elapsed()));
            memory.push(server.memory_bytes()? as f64 / 1e6);
            disk.push(bench.disk_bytes()? as f64 / 1e6);
        }
        let largest = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
        println!("minute_{minute} {:.1} MB of memory, {:.1} MB of disk at most", largest(&memory), largest(&disk));
        taken.push(Minute { memory: largest(&memory), disk: largest(&disk) });
    }
    let ended = load.wait_with_output()?;
    print!("{}", String::from_utf8_lossy(&ended.stdout));
    if !ended.status.success() {
        bail!("the load found something wrong, or could not go on");
    }
    bench.clear()?;
    judge(&taken)
}

/// Compares the last minute with the one when everything had begun.
fn judge(taken: &[Minute]) -> Result<()> {
    let (Some(settled), Some(last)) = (taken.get(SETTLED - 1), taken.last()) else { bail!("it was too short") };
    let (memory, disk) = (last.memory / settled.memory, last.disk / settled.disk);
    println!("# budget {MAX_GROWTH}");
    println!("memory_last_to_minute_{SETTLED} {memory:.2}");
    println!("disk_last_to_minute_{SETTLED} {disk:.2}");
    if memory > MAX_GROWTH || disk > MAX_GROWTH {
        bail!("the store grows");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_told() {
        let minute = |memory, disk| Minute { memory, disk };
        assert!(judge(&[minute(1.0, 1.0), minute(10.0, 100.0), minute(12.0, 129.0)]).is_ok());
        assert!(judge(&[minute(1.0, 1.0), minute(10.0, 100.0), minute(14.0, 100.0)]).is_err());
        assert!(judge(&[minute(1.0, 1.0), minute(10.0, 100.0), minute(10.0, 140.0)]).is_err());
        assert!(judge(&[minute(1.0, 1.0)]).is_err());
    }
}
