//! A lab as the demo and the bench use it: through the `flota` program alone, like everyone else.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell::{capture, cargo, command, run, target_dir};

/// The machine with the store, which the others join.
pub const FIRST: &str = "m1";

/// One lab, by its name.
#[derive(Debug)]
pub struct Lab {
    programs: PathBuf,
    name: &'static str,
}

/// What systemd says of a unit, on the lab machine that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    pub unit: String,
    pub machine: String,
    pub active: String,
}

impl Lab {
    /// Builds the release programs and gives the lab of that name; cargo shows how it goes.
    pub fn build(name: &'static str) -> Result<Self> {
        run(&mut cargo([
            "build",
            "--release",
            "-p",
            "flota",
            "-p",
            "flota-lab",
            "--bin",
            "flota",
            "--example",
            "lab",
        ]))?;
        Ok(Self { programs: target_dir()?.join("release"), name })
    }

    /// The `flota` program.
    pub fn program(&self) -> PathBuf {
        self.programs.join("flota")
    }

    /// `flota lab VERB --name LAB ARGS`.
    pub fn verb<S: AsRef<OsStr>>(&self, verb: &str, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = command(self.program(), ["lab", verb, "--name", self.name]);
        command.args(args);
        command
    }

    /// A command in a machine.
    pub fn exec(&self, machine: &str, argv: &[&str]) -> Command {
        self.verb("exec", [&[machine, "--"], argv].concat())
    }

    /// Builds the images of a folder, with these programs (`NAME=FILE`) in them, and serves them to the machines.
    pub fn serve_images(&self, folder: &str, prefix: &str, programs: &[String]) -> Result<()> {
        let mut serve = command(self.programs.join("examples/lab"), ["--name", self.name, "images", folder, prefix]);
        run(serve.args(programs))
    }

    /// The addresses of all machines that run, by name.
    pub fn running(&self) -> Result<BTreeMap<String, Ipv4Addr>> {
        running(&json(&mut self.verb("list", ["--output", "json"]))?)
    }

    /// The machines that live: names by machine id. A machine that lost its power is among them until its lease has
    /// ended.
    fn members(&self, asked: &str) -> Result<BTreeMap<String, String>> {
        members(&json(&mut self.exec(asked, &["flota", "list-machines", "--output", "json"]))?)
    }

    /// What the cluster knows of all units that are on a machine, as one of its machines tells.
    pub fn states(&self, asked: &str) -> Result<Vec<UnitState>> {
        let answer = json(&mut self.exec(asked, &["flota", "list-units", "--output", "json"]))?;
        states(&answer, &self.members(asked)?)
    }
}

fn json(command: &mut Command) -> Result<Value> {
    serde_json::from_str(&capture(command)?).context("flota wrote no JSON")
}

fn array(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().context("not a list")
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("`{key}` is missing in {value}"))
}

fn running(list: &Value) -> Result<BTreeMap<String, Ipv4Addr>> {
    let mut running = BTreeMap::new();
    for machine in array(list)?.iter().filter(|machine| machine["state"] == "running") {
        running.insert(text(machine, "name")?, text(machine, "address")?.parse().context("no IPv4 address")?);
    }
    Ok(running)
}

/// The lab puts each machine's name into its metadata.
fn members(list: &Value) -> Result<BTreeMap<String, String>> {
    let living = array(list)?.iter().filter(|machine| machine["alive"] == true);
    living.map(|machine| Ok((text(machine, "id")?, text(&machine["metadata"], "machine")?))).collect()
}

fn states(list: &Value, members: &BTreeMap<String, String>) -> Result<Vec<UnitState>> {
    let mut states = Vec::new();
    for state in array(list)? {
        let machine = members.get(&text(state, "machineID")?).cloned().unwrap_or_else(|| "?".to_owned());
        states.push(UnitState { unit: text(state, "name")?, machine, active: text(state, "systemdActiveState")? });
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_running_machines_have_an_address() {
        let list = json!([
            {"name": "m1", "address": "10.78.0.11", "state": "running"},
            {"name": "m2", "address": "10.78.0.12", "state": "stopped"},
        ]);
        assert_eq!(running(&list).unwrap(), BTreeMap::from([("m1".to_owned(), Ipv4Addr::new(10, 78, 0, 11))]));
        assert!(running(&json!({})).is_err());
    }

    #[test]
    fn states_are_told_by_machine_name() {
        let machines = json!([
            {"id": "ab", "alive": true, "metadata": {"machine": "m1", "rack": "r1"}},
            {"id": "cd", "alive": false, "metadata": {}},
        ]);
        let members = members(&machines).unwrap();
        let list = json!([
            {"name": "a.service", "machineID": "ab", "systemdActiveState": "active"},
            {"name": "b.service", "machineID": "gone", "systemdActiveState": "failed"},
        ]);
        let states = states(&list, &members).unwrap();
        let short: Vec<_> = states.iter().map(|s| (s.unit.as_str(), s.machine.as_str(), s.active.as_str())).collect();
        assert_eq!(short, [("a.service", "m1", "active"), ("b.service", "?", "failed")]);
    }
}
