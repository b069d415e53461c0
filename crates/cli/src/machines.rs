//! From arguments to machines: ids, beginnings of ids, addresses and host names; and what is told of them.

use std::net::IpAddr;

use flota_api::machines::{MachineInfo, MachineState};
use serde::Serialize;

use crate::{
    cli::{Format, OutputArg},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::legend::legend,
};

/// One result on a line of its own, as `--output json` prints it.
#[derive(Debug, Serialize)]
struct MachineResult<'a> {
    #[serde(rename = "machineID")]
    machine_id: &'a str,
    result: &'a str,
}

/// The machines that arguments mean, each once; fails on the first that is none.
pub async fn select(context: &mut Context<'_, '_>, arguments: &[String]) -> Result<Vec<MachineInfo>, Failure> {
    if arguments.is_empty() {
        return Err(Failure::new(Exit::USAGE, "No machines given"));
    }
    let machines = all(context).await?;
    let mut selected: Vec<MachineInfo> = Vec::new();
    for argument in arguments {
        let machine = match find(&machines, argument, &[])? {
            Some(machine) => Some(machine),
            None => find(&machines, argument, &addresses(argument).await)?,
        };
        let machine = machine.ok_or_else(|| unknown(context, argument))?;
        if !selected.iter().any(|other| other.id == machine.id) {
            selected.push(machine.clone());
        }
    }
    Ok(selected)
}

/// All machines of the cluster.
pub async fn all(context: &Context<'_, '_>) -> Result<Vec<MachineInfo>, Failure> {
    let machines = context.client.all_machines().await;
    machines.map_err(|error| Failure::request("Error retrieving list of machines", &error))
}

/// The name of a machine in output.
pub fn name(machine: &MachineInfo) -> String {
    legend(&machine.id, &machine.address, false)
}

/// What is to be said of the machine with that id where something on it is looked at; nothing of one that is ready, or
/// that nobody tells about.
pub async fn note(context: &Context<'_, '_>, id: &str) -> Option<String> {
    let machine = context.client.machine(id).await.ok()??.machine;
    (machine.state != MachineState::Ready).then(|| format!("machine {} is {}", name(&machine), machine.state_text()))
}

/// Prints what became of a machine.
pub fn tell(
    context: &mut Context<'_, '_>,
    machine: &MachineInfo,
    result: &str,
    print: OutputArg,
) -> Result<(), Failure> {
    match print.output {
        Format::Text => context.printer.line(&format!("Machine {} {result}", name(machine)))?,
        Format::Json => context.printer.json_line(&MachineResult { machine_id: &machine.id, result })?,
    }
    Ok(())
}

/// The one with the id, or the only one that begins with it; the candidates if there are several.
pub fn pick(ids: &[String], id: &str) -> Result<Option<String>, Vec<String>> {
    if id.is_empty() {
        return Ok(None);
    }
    if ids.iter().any(|known| known == id) {
        return Ok(Some(id.to_owned()));
    }
    let mut found: Vec<String> = ids.iter().filter(|known| known.starts_with(id)).cloned().collect();
    if found.len() > 1 { Err(found) } else { Ok(found.pop()) }
}

/// The machine that an argument means by its id, or by its address: its own text, or one of `addresses`.
fn find<'a>(
    machines: &'a [MachineInfo],
    argument: &str,
    addresses: &[IpAddr],
) -> Result<Option<&'a MachineInfo>, Failure> {
    let ids: Vec<String> = machines.iter().map(|machine| machine.id.clone()).collect();
    let by_id = pick(&ids, argument).map_err(|found| several(argument, &found))?;
    if let Some(id) = by_id {
        return Ok(machines.iter().find(|machine| machine.id == id));
    }
    let has = |machine: &&MachineInfo| {
        let parsed = machine.address.parse::<IpAddr>();
        !machine.address.is_empty()
            && (machine.address == argument || parsed.is_ok_and(|address| addresses.contains(&address)))
    };
    let found: Vec<&MachineInfo> = machines.iter().filter(has).collect();
    match found.as_slice() {
        [] => Ok(None),
        [machine] => Ok(Some(machine)),
        found => Err(several(argument, &found.iter().map(|machine| machine.id.clone()).collect::<Vec<_>>())),
    }
}

/// The addresses of a host name; none if it is not one.
async fn addresses(name: &str) -> Vec<IpAddr> {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(_) => Vec::new(),
    }
}

fn several(argument: &str, found: &[String]) -> Failure {
    Failure::new(Exit::FAILURE, format!("\"{argument}\" means more than one machine"))
        .with_hint(format!("they are {}", found.join(", ")))
}

fn unknown(context: &Context<'_, '_>, argument: &str) -> Failure {
    Failure::new(Exit::FAILURE, format!("No machine of the cluster is \"{argument}\""))
        .with_hint(format!("they are told by: {} list-machines", context.style.program()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str, address: &str) -> MachineInfo {
        MachineInfo {
            id: id.into(),
            address: address.into(),
            metadata: [].into(),
            peer: None,
            state: MachineState::Ready,
            reason: None,
            alive: true,
            cordon: None,
            down_unix_ms: None,
            version: None,
            cpus: None,
            memory_bytes: None,
            units: 0,
        }
    }

    #[test]
    fn machines_by_the_beginning_of_their_ids() {
        let ids = ["f1ee0100aa", "f1ee0200aa", "f1ee"].map(str::to_owned);
        let pick = |id: &str| pick(&ids, id);
        assert_eq!(pick("f1ee01"), Ok(Some("f1ee0100aa".into())));
        assert_eq!(pick("f1ee"), Ok(Some("f1ee".into())), "a whole id is not the beginning of others");
        assert_eq!(pick("f1"), Err(ids.to_vec()));
        assert_eq!(pick("x"), Ok(None));
        assert_eq!(pick(""), Ok(None));
    }

    #[test]
    fn machines_by_what_people_call_them() {
        let machines = [machine("f1ee0100aa", "10.1.1.1"), machine("f1ee0200aa", "10.1.1.2"), machine("0000", "")];
        let id = |argument: &str, addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            find(&machines, argument, &addresses).map(|found| found.map(|machine| machine.id.as_str()))
        };
        assert_eq!(id("f1ee01", &[]).unwrap(), Some("f1ee0100aa"));
        assert_eq!(id("10.1.1.2", &[]).unwrap(), Some("f1ee0200aa"));
        assert_eq!(id("m2", &["127.0.1.1", "10.1.1.2"]).unwrap(), Some("f1ee0200aa"));
        assert_eq!(id("m9", &["10.1.1.9"]).unwrap(), None);
        assert_eq!(id("", &[]).unwrap(), None, "no address is not an address");
        for (argument, addresses) in [("f1ee", &[][..]), ("both", &["10.1.1.1", "10.1.1.2"])] {
            let failure = id(argument, addresses).unwrap_err();
            assert_eq!(failure.hint.as_deref(), Some("they are f1ee0100aa, f1ee0200aa"));
        }
    }
}
