//! One machine of the cluster, and what is typed on it.

use std::io::{Seek, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use flota_lab::{Lab, Machine};

use crate::ran::Ran;

/// Seconds after which a command counts as hung; `timeout` ends it then, with exit code 124.
const HUNG_AFTER: u32 = 60;

/// What does not change about a machine.
#[derive(Debug)]
pub(crate) struct Facts {
    name: String,
    id: String,
    address: Ipv4Addr,
}

impl Facts {
    /// Asks a machine that runs.
    pub(crate) fn of(lab: &Lab, machine: Machine) -> Facts {
        let id = lab.exec_captured(&machine.name, &["cat", "/etc/machine-id"]).unwrap();
        let id = String::from_utf8(id.stdout).unwrap().trim().to_owned();
        Facts { name: machine.name, id, address: machine.address }
    }

    /// The machine itself.
    pub(crate) fn node<'a>(&'a self, lab: &'a Lab) -> Node<'a> {
        Node { lab, name: &self.name, id: &self.id, address: self.address }
    }
}

/// One machine of the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    pub(crate) lab: &'a Lab,
    /// `m1`, `m2` or `m3`.
    pub name: &'a str,
    /// Its machine id, in full.
    pub id: &'a str,
    /// Its address on the lab's bridge.
    pub address: Ipv4Addr,
}

impl Node<'_> {
    /// Runs a line of shell as root in `/root`.
    #[track_caller]
    pub fn run(&self, line: &str) -> Ran {
        self.run_within(HUNG_AFTER, line)
    }

    /// The same for a line that may take longer: so many seconds.
    #[track_caller]
    pub fn run_within(&self, seconds: u32, line: &str) -> Ran {
        let began = Instant::now();
        let argv = ["timeout", "--kill-after=5", &seconds.to_string(), "sh", "-c", line];
        let output =
            self.lab.exec_captured(self.name, &argv).unwrap_or_else(|error| panic!("{}$ {line}: {error}", self.name));
        Ran {
            line: format!("{}$ {line}", self.name),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap_or(-1),
            took: began.elapsed(),
        }
    }

    /// What a line of shell prints, without the last newline; it must succeed.
    #[track_caller]
    pub fn ask(&self, line: &str) -> String {
        self.run(line).ok().stdout.trim_end().to_owned()
    }

    /// Writes a file into `/root`.
    #[track_caller]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_ref()).unwrap();
        file.rewind().unwrap();
        let output = self.lab.exec_with_input(self.name, &["tee", "--", name], file).unwrap();
        assert!(output.status.success(), "{}: cannot write {name}: {output:?}", self.name);
    }

    /// Its short id and address, as lists show it.
    pub fn legend(&self) -> String {
        format!("{}.../{}", self.short_id(), self.address)
    }

    /// The first eight characters of its id.
    pub fn short_id(&self) -> &str {
        &self.id[..8]
    }

    /// Ends the daemon, and keeps systemd from starting it when somebody connects. Units run on.
    #[track_caller]
    pub fn stop_daemon(&self) {
        self.run("systemctl stop flota.socket flota.service").ok();
    }

    /// Starts the daemon; returns when it is ready.
    #[track_caller]
    pub fn start_daemon(&self) {
        self.run("systemctl start flota.socket flota.service").ok();
    }

    /// The names of the containers that run on it, sorted.
    #[track_caller]
    pub fn containers(&self) -> Vec<String> {
        self.ask("docker ps --format '{{.Names}}' | sort").lines().map(str::to_owned).collect()
    }
}
