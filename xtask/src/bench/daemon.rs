//! One machine's daemon, reached from the host through the machine's root directory in `/proc`: no other program's
//! start is in what is measured.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::lab::Lab;
use crate::shell::capture;

/// How long anything here may take before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks at a unit's state; it limits how exact the figures are.
const LOOK_EVERY: Duration = Duration::from_millis(2);

const SOCKET: &str = "run/flota/api.sock";

/// The daemon of one machine.
#[derive(Debug)]
pub struct Daemon<'a> {
    lab: &'a Lab,
    pub machine: &'static str,
    socket: PathBuf,
}

impl<'a> Daemon<'a> {
    /// Finds the machine's PID 1 among the host's processes.
    pub fn find(lab: &'a Lab, machine: &'static str) -> Result<Self> {
        let wanted = capture(&mut lab.exec(machine, &["cat", "/etc/machine-id"]))?;
        for entry in std::fs::read_dir("/proc")? {
            let process = entry?.path();
            // Most entries are no processes, and some end while we look.
            let is_first = std::fs::read_to_string(process.join("status")).is_ok_and(|status| is_first(&status));
            let root = process.join("root");
            if is_first && std::fs::read_to_string(root.join("etc/machine-id")).is_ok_and(|id| id == wanted) {
                return Ok(Self { lab, machine, socket: root.join(SOCKET) });
            }
        }
        bail!("PID 1 of {machine} is not visible from this host")
    }

    /// Restarts it.
    pub fn restart(&self) -> Result<()> {
        self.systemctl(&["restart", "flota.service"]).map(drop)
    }

    /// Waits until the path answers with success.
    pub fn wait_for(&self, path: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            match self.request("GET", path, None) {
                Ok(Answer { status: 200, .. }) => return Ok(()),
                Ok(answer) if began.elapsed() > PATIENCE => bail!("GET {path}: {} {}", answer.status, answer.body),
                Err(error) if began.elapsed() > PATIENCE => return Err(error),
                Ok(_) | Err(_) => sleep(LOOK_EVERY),
            }
        }
    }

    /// Stops the daemon, has systemd start it by a connection to its socket, and tells the time from its exec to the
    /// path's first success.
    pub fn start_until(&self, path: &str) -> Result<Duration> {
        self.systemctl(&["stop", "flota.service"])?;
        self.wait_for(path)?;
        let answered = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let shown = self.busctl("ExecMainStartTimestamp")?;
        let micros: u64 = shown.trim().strip_prefix("t ").and_then(|text| text.parse().ok()).context("no timestamp")?;
        answered.checked_sub(Duration::from_micros(micros)).context("the daemon started after its answer")
    }

    /// Memory that is the daemon's alone, with its share of what it has in common with others.
    pub fn pss_bytes(&self) -> Result<u64> {
        let pid = self.systemctl(&["show", "--property=MainPID", "--value", "flota.service"])?;
        let rollup =
            capture(&mut self.lab.exec(self.machine, &["cat", &format!("/proc/{}/smaps_rollup", pid.trim())]))?;
        parse_pss(&rollup).context("no Pss in smaps_rollup")
    }

    /// Loads a unit that only sleeps, and waits until a machine has it.
    pub fn load(&self, unit: &str) -> Result<()> {
        let options = json!([
            {"section": "Unit", "name": "Description", "value": "Flota's bench"},
            {"section": "Service", "name": "ExecStart", "value": "/bin/sleep infinity"},
        ]);
        self.put(unit, &json!({"name": unit, "desiredState": "loaded", "options": options}))?;
        self.wait_state(unit, |state| state["systemdLoadState"] == "loaded")
    }

    /// Stores a unit that is not to run.
    pub fn submit(&self, unit: &str) -> Result<()> {
        let options = json!([{"section": "Service", "name": "ExecStart", "value": "/bin/sleep 100"}]);
        self.put(unit, &json!({"name": unit, "desiredState": "inactive", "options": options}))
    }

    /// Starts a loaded unit; the time until its systemd has it active, as the API tells.
    pub fn start(&self, unit: &str) -> Result<Duration> {
        let began = Instant::now();
        self.put(unit, &json!({"desiredState": "launched"}))?;
        self.wait_state(unit, |state| state["systemdActiveState"] == "active")?;
        Ok(began.elapsed())
    }

    /// Takes the unit away.
    pub fn destroy(&self, unit: &str) -> Result<()> {
        expect("DELETE", unit, &self.request("DELETE", &format!("/fleet/v1/units/{unit}"), None)?)
    }

    fn put(&self, unit: &str, body: &Value) -> Result<()> {
        let answer = self.request("PUT", &format!("/fleet/v1/units/{unit}"), Some(&body.to_string()))?;
        expect("PUT", unit, &answer)
    }

    fn wait_state(&self, unit: &str, is_there: impl Fn(&Value) -> bool) -> Result<()> {
        let path = format!("/fleet/v1/state?unitName={unit}");
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let answer = self.request("GET", &path, None)?;
            expect("GET state of", unit, &answer)?;
            let page: Value = serde_json::from_str(&answer.body).context("a state that is not JSON")?;
            if page["states"].as_array().is_some_and(|states| states.iter().any(&is_there)) {
                return Ok(());
            }
            sleep(LOOK_EVERY);
        }
        bail!("{unit} did not get there within {} s", PATIENCE.as_secs())
    }

    fn request(&self, method: &str, path: &str, json: Option<&str>) -> Result<Answer> {
        let stream = UnixStream::connect(&self.socket).context("can't connect to the daemon")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        http::exchange(stream, method, path, json)
    }

    fn systemctl(&self, args: &[&str]) -> Result<String> {
        capture(&mut self.lab.exec(self.machine, &[&["systemctl"], args].concat()))
    }

    fn busctl(&self, property: &str) -> Result<String> {
        let path = "/org/freedesktop/systemd1/unit/flota_2eservice";
        let interface = "org.freedesktop.systemd1.Service";
        let argv = ["busctl", "get-property", "org.freedesktop.systemd1", path, interface, property];
        capture(&mut self.lab.exec(self.machine, &argv))
    }
}

fn expect(method: &str, unit: &str, answer: &Answer) -> Result<()> {
    if answer.status / 100 != 2 {
        bail!("{method} {unit}: {} {}", answer.status, answer.body);
    }
    Ok(())
}

/// Whether a process's status is that of PID 1 in a namespace of its own.
fn is_first(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let pids: Vec<&str> = line.split_whitespace().collect();
    pids.len() > 1 && pids.last() == Some(&"1")
}

fn parse_pss(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pss_is_read_from_the_rollup() {
        let rollup =
            "55d0-7ffe ---p 00000000 00:00 0   [rollup]\nRss:  9000 kB\nPss:                8123 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(parse_pss(rollup), Some(8123 * 1024));
        assert_eq!(parse_pss("Rss: 1 kB\n"), None);
    }

    #[test]
    fn the_first_process_is_known_by_its_inner_id() {
        assert!(is_first("Name:\tsystemd\nNSpid:\t4242\t1\n"));
        assert!(!is_first("Name:\tbash\nNSpid:\t4242\t31\n"));
        assert!(!is_first("Name:\tinit\nNSpid:\t1\n"));
        assert!(!is_first(""));
    }

    #[test]
    fn refusals_are_told() {
        let refused = Answer { status: 409, body: "no".to_owned() };
        assert_eq!(expect("PUT", "a.service", &refused).unwrap_err().to_string(), "PUT a.service: 409 no");
        expect("PUT", "a.service", &Answer { status: 204, body: String::new() }).unwrap();
    }
}
