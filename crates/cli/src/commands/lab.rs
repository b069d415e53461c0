//! `lab`: a cluster of Debian machines on this host. Blocking: the lab's work is mounts, processes and files.

mod fault;
mod forward;

use std::{
    thread,
    time::{Duration, Instant},
};

use flota_etcd::chain;
use flota_lab::{Lab, LabConfig, LabError, Machine, MachineState, Suite};
use serde::Serialize;

use crate::{
    cli::{Format, LabExecArgs, LabListArgs, LabUpArgs, LabVerb},
    exit::Exit,
    failure::Failure,
    output::{
        printer::Printer,
        table::{Field, Layout, render},
    },
    style::Style,
};

/// How long the machines of a new cluster may take to find each other.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at the cluster.
const CLUSTER_POLL: Duration = Duration::from_millis(250);
/// The machine that the lab asks for the cluster's state; it also has the store.
const FIRST: &str = "m1";
/// The lab that `--name` means when it is not given.
const DEFAULT_LAB: &str = "flota";

/// Runs the verb.
pub fn run(printer: &mut Printer<'_>, verb: LabVerb) -> Result<Exit, Failure> {
    match verb {
        LabVerb::Up(arguments) => up(printer, &arguments),
        LabVerb::List(arguments) => list(printer, &arguments),
        LabVerb::Exec(arguments) => exec(&arguments),
        LabVerb::Kill(arguments) => {
            open(&arguments.name.lab)?.kill(&arguments.machine).map_err(failure)?;
            let (machine, lab) = (&arguments.machine, name_flag(&arguments.name.lab));
            printer.say(&format!("{machine} has no power; give it back with: flota lab start{lab} {machine}"));
            Ok(Exit::SUCCESS)
        }
        LabVerb::Start(arguments) => {
            open(&arguments.name.lab)?.start(&arguments.machine, printer).map_err(failure)?;
            Ok(Exit::SUCCESS)
        }
        LabVerb::Forward(arguments) => forward::run(printer, &arguments),
        LabVerb::Fault(fault) => fault::run(printer, fault),
        LabVerb::Down(name) => {
            open(&name.lab)?.down(printer).map_err(failure)?;
            Ok(Exit::SUCCESS)
        }
    }
}

fn open(name: &str) -> Result<Lab, Failure> {
    let name = name.parse().map_err(failure)?;
    Lab::open(LabConfig { name, ..LabConfig::default() }).map_err(failure)
}

fn failure(error: LabError) -> Failure {
    let exit = if matches!(error, LabError::Config { .. }) { Exit::USAGE } else { Exit::FAILURE };
    Failure::new(exit, chain(&error))
}

fn up(printer: &mut Printer<'_>, arguments: &LabUpArgs) -> Result<Exit, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::FAILURE, format!("cannot find this program for the machines: {error}")))?;
    let config = LabConfig {
        name: arguments.name.lab.parse().map_err(failure)?,
        subnet: arguments.subnet.parse().map_err(failure)?,
        suite: arguments.suite.parse::<Suite>().map_err(LabError::from).map_err(failure)?,
        machines: arguments.machines,
        image: arguments.image.clone(),
        store: arguments.store.parse().map_err(failure)?,
        binary: Some(own),
        ..LabConfig::default()
    };
    let lab = Lab::open(config).map_err(failure)?;
    let machines = lab.up(printer).map_err(failure)?;
    let running = machines.iter().filter(|machine| machine.state == MachineState::Running).count();
    printer.say(&format!("wait until the cluster has {running} machines"));
    wait_for_cluster(&lab, &arguments.name.lab, running)?;
    printer.data(&table(&machines)?)?;
    printer.say(&try_next(&arguments.name.lab));
    Ok(Exit::SUCCESS)
}

/// What has to stand in a command line for it to mean this lab.
fn name_flag(lab: &str) -> String {
    if lab == DEFAULT_LAB { String::new() } else { format!(" --name {lab}") }
}

fn try_next(lab: &str) -> String {
    let lab = name_flag(lab);
    format!(
        "try next:\n  \
         flota lab exec{lab} {FIRST}                           a shell on {FIRST}\n  \
         flota lab exec{lab} {FIRST} -- flota list-machines    the cluster as {FIRST} sees it\n  \
         flota lab kill{lab} m2                           a power cut\n  \
         flota lab down{lab}                              take it all away"
    )
}

/// Waits until the first machine's daemon knows as many machines as run.
fn wait_for_cluster(lab: &Lab, name: &str, running: usize) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let output = lab.exec_captured(FIRST, &["flota", "list-machines", "--output", "json"]).map_err(failure)?;
        let known = serde_json::from_slice::<Vec<flota_api::machines::MachineInfo>>(&output.stdout);
        let known = known.map_or(0, |known| known.iter().filter(|machine| machine.alive).count());
        if known >= running {
            return Ok(());
        }
        if started.elapsed() >= CLUSTER_PATIENCE {
            let said = String::from_utf8_lossy(&output.stderr);
            let text = format!(
                "the machines run, but the cluster has {known} of {running} after {} s{}",
                CLUSTER_PATIENCE.as_secs(),
                if said.is_empty() { String::new() } else { format!(": {}", said.trim_end()) }
            );
            let hint = format!("see why with: flota lab exec{} {FIRST} -- journalctl -u flota", name_flag(name));
            return Err(Failure::new(Exit::FAILURE, text).with_hint(hint));
        }
        thread::sleep(CLUSTER_POLL);
    }
}

fn exec(arguments: &LabExecArgs) -> Result<Exit, Failure> {
    let status = open(&arguments.name.lab)?.exec(&arguments.machine, &arguments.command).map_err(failure)?;
    Ok(Exit::of_program(status))
}

/// A machine of the lab, as `--output json` prints it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    name: &'a str,
    address: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
}

fn list(printer: &mut Printer<'_>, arguments: &LabListArgs) -> Result<Exit, Failure> {
    let machines = open(&arguments.name.lab)?.list().map_err(failure)?;
    match arguments.print.output {
        Format::Text => printer.data(&table(&machines)?)?,
        Format::Json => {
            let listed: Vec<Listed<'_>> = machines
                .iter()
                .map(|machine| Listed {
                    name: &machine.name,
                    address: machine.address.to_string(),
                    state: machine.state.as_str(),
                    memory_bytes: machine.memory,
                })
                .collect();
            printer.json(&listed)?;
        }
    }
    Ok(Exit::SUCCESS)
}

const FIELDS: &[Field<Machine>] = &[
    Field { name: "machine", cell: |machine, _| machine.name.clone() },
    Field { name: "ip", cell: |machine, _| machine.address.to_string() },
    Field { name: "state", cell: |machine, _| machine.state.as_str().to_owned() },
    Field {
        name: "memory",
        cell: |machine, _| machine.memory.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
    },
];

fn table(machines: &[Machine]) -> Result<String, Failure> {
    let layout = Layout { fields: "machine,ip,state,memory", full: false, no_legend: false };
    render(FIELDS, layout, machines, Style::Flota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list() {
        let machines = [Machine {
            name: "m1".into(),
            address: "10.78.0.11".parse().unwrap(),
            leader: None,
            state: MachineState::Stopped,
            memory: None,
        }];
        assert_eq!(
            table(&machines).unwrap(),
            "MACHINE  IP          STATE    MEMORY\nm1       10.78.0.11  stopped  -\n"
        );
    }
}
