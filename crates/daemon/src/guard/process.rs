//! The guard's own process: sleeps, reads the file, and asks systemd for what is due. Blocking, and without a runtime: it
//! lies in memory for as long as there are exclusive units.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use flota_agent::fence::{Duty, Guarded};
use flota_registry::Millis;
use flota_unit::UnitName;

use super::GuardFile;
use crate::clock::{boot_time, sleep_until};

/// How long the question for states may take; without an answer every unit counts as up.
const MAX_LOOK: Millis = Millis(1_000);
/// How often a running call is looked at.
const POLL: Duration = Duration::from_millis(10);
/// A unit in one of these states has processes, or is about to.
const UP: &str = "--state=active,activating,reloading,deactivating";

/// Guards what the file names, until there is no file any more.
pub fn run(path: PathBuf) -> anyhow::Result<()> {
    let file = GuardFile::new(path);
    let mut last = None;
    loop {
        let lock = file.lock(None).with_context(|| format!("cannot lock {}", file.path().display()))?;
        match file.read() {
            Ok(Some(guarded)) => last = Some(guarded),
            Ok(None) => return Ok(()),
            Err(error) if last.is_none() => {
                return Err(error).with_context(|| format!("cannot read {}", file.path().display()));
            }
            // What was known until now is the safer assumption.
            Err(error) => say(&format!("{}: {error}", file.path().display())),
        }
        let Some(guarded) = &last else { return Ok(()) };
        let next = act(guarded);
        drop(lock);
        sleep_until(next);
    }
}

/// Does what is due; returns when to look again.
fn act(guarded: &Guarded) -> Millis {
    let now = boot_time();
    match guarded.duty(now) {
        Duty::Wait(until) => until,
        Duty::Stop(until) => {
            say(&format!("the lease was not renewed for {} ms: stopping {}", age(guarded, now), list(guarded)));
            call(&["stop", "--no-block", "--"], &guarded.units, until);
            until
        }
        Duty::Kill(soon, later) => {
            let up = up(guarded, now.plus(MAX_LOOK));
            if up.as_ref().is_some_and(|up| up.trim().is_empty()) {
                return later;
            }
            say(&format!("the lease was not renewed for {} ms: killing {}", age(guarded, now), list(guarded)));
            // The stop goes first, so that no `Restart=` answers the kill.
            call(&["stop", "--no-block", "--"], &guarded.units, soon);
            call(&["kill", "--signal=SIGKILL", "--"], &guarded.units, soon);
            soon
        }
    }
}

fn age(guarded: &Guarded, now: Millis) -> u64 {
    now.since(guarded.term.sent).0
}

fn list(guarded: &Guarded) -> String {
    guarded.units.iter().map(UnitName::as_str).collect::<Vec<_>>().join(" ")
}

/// The units that are up, in systemd's words; none: it does not say.
fn up(guarded: &Guarded, until: Millis) -> Option<String> {
    let words = ["list-units", "--plain", "--no-legend", UP, "--"];
    let mut child = spawn(&words, guarded.units.iter(), Stdio::piped())
        .map_err(|error| say(&format!("cannot run systemctl: {error}")))
        .ok()?;
    // An answer longer than what a pipe holds never ends, and counts as none.
    wait(&mut child, until).filter(|well| *well)?;
    let mut answer = String::new();
    io::Read::read_to_string(&mut child.stdout.take()?, &mut answer).ok()?;
    Some(answer)
}

/// Asks systemd by way of `systemctl`, which speaks to PID 1 without the system bus.
fn call<'a>(words: &[&str], units: impl IntoIterator<Item = &'a UnitName>, until: Millis) {
    match spawn(words, units, Stdio::null()).map(|mut child| wait(&mut child, until)) {
        Ok(Some(_)) => {}
        Ok(None) => say(&format!("systemctl {}: no answer", words[0])),
        Err(error) => say(&format!("cannot run systemctl: {error}")),
    }
}

fn spawn<'a>(words: &[&str], units: impl IntoIterator<Item = &'a UnitName>, out: Stdio) -> io::Result<Child> {
    let units = units.into_iter().map(UnitName::as_str);
    Command::new("systemctl").args(words).args(units).stdin(Stdio::null()).stdout(out).spawn()
}

/// Waits for the end of a call and says whether it went well; one that takes too long is killed.
fn wait(child: &mut Child, until: Millis) -> Option<bool> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if boot_time() < until => std::thread::sleep(POLL),
            _ => {
                // It may just have ended.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

#[expect(clippy::print_stderr, reason = "the journal's way in, for a process that has no log of its own")]
fn say(what: &str) {
    eprintln!("{what}");
}
