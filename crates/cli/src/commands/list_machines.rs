//! `list-machines`: the machines of the cluster, and how they are.

use std::collections::BTreeMap;

use flota_api::{ClientError, machines::MachineInfo, v1::Machine};
use flota_etcd::chain;

use crate::{
    cli::{Format, ListArgs},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{
        legend::short_id,
        table::{Field, Layout, or_dash, render},
    },
    style::Style,
};

const FIELDS: &[Field<MachineInfo>] = &[
    Field { name: "machine", cell: |machine, full| short_id(&machine.id, full) },
    Field { name: "ip", cell: |machine, _| or_dash(&machine.address) },
    Field { name: "state", cell: |machine, _| machine.state_text() },
    Field { name: "metadata", cell: |machine, _| or_dash(&metadata(&machine.metadata)) },
    Field { name: "units", cell: |machine, _| machine.units.to_string() },
    Field { name: "version", cell: |machine, _| or_dash(machine.version.as_deref().unwrap_or_default()) },
];
const DEFAULT: &str = "machine,ip,state,metadata";

/// The fields that fleetctl had.
const FLEETS_FIELDS: &[Field<Machine>] = &[
    Field { name: "machine", cell: |machine, full| short_id(&machine.id, full) },
    Field { name: "ip", cell: |machine, _| or_dash(&machine.primary_ip) },
    Field { name: "metadata", cell: |machine, _| or_dash(&metadata(&machine.metadata)) },
];
const FLEETS_DEFAULT: &str = "machine,ip,metadata";

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &ListArgs) -> Result<Exit, Failure> {
    match context.style {
        Style::Flota => all(context, arguments).await,
        Style::Fleetctl => living(context, arguments).await,
    }
}

/// Every machine that belongs to the cluster.
async fn all(context: &mut Context<'_, '_>, arguments: &ListArgs) -> Result<Exit, Failure> {
    let machines = context.client.all_machines().await.map_err(|error| failure(&error, context.style))?;
    if arguments.print.output == Format::Json {
        context.printer.json(&machines)?;
        return Ok(Exit::SUCCESS);
    }
    let text = render(FIELDS, Layout::of(arguments, DEFAULT), &machines, context.style)?;
    context.printer.data(&text)?;
    Ok(Exit::SUCCESS)
}

/// The machines that live: fleet knew no others.
async fn living(context: &mut Context<'_, '_>, arguments: &ListArgs) -> Result<Exit, Failure> {
    let mut machines = context.client.machines().await.map_err(|error| failure(&error, context.style))?;
    machines.sort_by(|a, b| a.id.cmp(&b.id));
    if arguments.print.output == Format::Json {
        context.printer.json(&machines)?;
        return Ok(Exit::SUCCESS);
    }
    let text = render(FLEETS_FIELDS, Layout::of(arguments, FLEETS_DEFAULT), &machines, context.style)?;
    context.printer.data(&text)?;
    Ok(Exit::SUCCESS)
}

/// fleetctl named two reasons that there may be.
fn failure(error: &ClientError, style: Style) -> Failure {
    let failure = Failure::request("Error retrieving list of active machines", error);
    match style {
        Style::Flota => failure,
        Style::Fleetctl => {
            let why = chain(error);
            let issues =
                "Possible issues:\n\t* no daemon answers at the endpoint\n\t* the daemon cannot reach its store";
            let message = format!("Error retrieving list of active machines from fleet API ({why})\n{issues}");
            Failure { message, ..failure }
        }
    }
}

fn metadata(metadata: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}
