//! `flota fence-guard` as a process: it reads the daemon's file, and a `systemctl` of the test's own says what it asks for.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const FLOTA: &str = env!("CARGO_BIN_EXE_flota");
/// Writes down when it was called and with what; one unit is up.
const SYSTEMCTL: &str = "#!/bin/sh\nread now _ </proc/uptime\necho \"$now $*\" >>\"$CALLS\"\n\
    case $1 in list-units) echo 'lone.service loaded active running' ;; esac\n";
const PATIENCE: Duration = Duration::from_secs(20);

struct Guard {
    dir: TempDir,
    process: Child,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Milliseconds since boot, to a hundredth of a second, by a clock that goes on while the machine is suspended.
fn boot_time() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap();
    (text.split(' ').next().unwrap().parse::<f64>().unwrap() * 1_000.0) as u64
}

impl Guard {
    /// A guard of a unit that is to be stopped and killed so many milliseconds from now.
    fn start(stop_in: u64, kill_in: u64) -> Guard {
        let dir = tempfile::tempdir().unwrap();
        let systemctl = dir.path().join("systemctl");
        fs::write(&systemctl, SYSTEMCTL).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        write(&dir, stop_in, kill_in);
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(FLOTA);
        command.arg("fence-guard").arg(dir.path().join("fence")).stdin(Stdio::null()).stderr(Stdio::null());
        let process = command.env("PATH", path).env("CALLS", dir.path().join("calls")).spawn().unwrap();
        Guard { dir, process }
    }

    /// When systemctl was first called with these words, in milliseconds since boot.
    fn called(&self, words: &str) -> Option<u64> {
        let calls = fs::read_to_string(self.calls()).unwrap_or_default();
        let (time, _) = calls.lines().filter_map(|line| line.split_once(' ')).find(|(_, call)| *call == words)?;
        Some((time.parse::<f64>().ok()? * 1_000.0) as u64)
    }

    fn calls(&self) -> PathBuf {
        self.dir.path().join("calls")
    }
}

/// Replaces the file, as the daemon does.
fn write(dir: &TempDir, stop_in: u64, kill_in: u64) {
    let now = boot_time();
    let term = format!(r#"{{"sent":{now},"stop_at":{},"kill_at":{}}}"#, now + stop_in, now + kill_in);
    let new = dir.path().join("new");
    fs::write(&new, format!(r#"{{"v":1,"term":{term},"units":["lone.service"]}}"#)).unwrap();
    fs::rename(new, dir.path().join("fence")).unwrap();
}

#[track_caller]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_guard_that_is_told_nothing_new_stops_and_then_kills() {
    let began = boot_time();
    let guard = Guard::start(1_000, 2_500);
    let stopped = eventually("stop", || guard.called("stop --no-block -- lone.service"));
    assert!(stopped >= began + 1_200, "a little after the daemon would: {} ms", stopped - began);
    let killed = eventually("kill", || guard.called("kill --signal=SIGKILL -- lone.service"));
    assert!(killed >= began + 2_490 && killed > stopped, "{} ms", killed - began);
}

#[test]
fn a_guard_that_is_told_of_renewals_does_nothing() {
    let guard = Guard::start(1_000, 2_500);
    for _ in 0..8 {
        sleep(Duration::from_millis(400));
        write(&guard.dir, 1_000, 2_500);
    }
    assert!(!guard.calls().exists(), "{}", fs::read_to_string(guard.calls()).unwrap());
}

#[test]
fn a_guard_ends_when_its_file_is_gone() {
    let mut guard = Guard::start(500, 60_000);
    sleep(Duration::from_millis(100));
    fs::remove_file(guard.dir.path().join("fence")).unwrap();
    let ended = eventually("it ends", || guard.process.try_wait().unwrap());
    assert!(ended.success());
    assert!(!guard.calls().exists());
}

#[test]
fn a_guard_without_a_readable_file_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("fence"), "{torn").unwrap();
    let output = Command::new(FLOTA).arg("fence-guard").arg(dir.path().join("fence")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("flota fence-guard: cannot read") && error.contains("damaged"), "{error}");
}
