//! `list-machines`: the machines of the cluster.

use flota_api::v1::Machine;

use crate::{
    cli::{Format, ListArgs},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{
        legend::short_id,
        table::{Field, Layout, or_dash, render},
    },
};

const FIELDS: &[Field<Machine>] = &[
    Field { name: "machine", cell: |machine, full| short_id(&machine.id, full) },
    Field { name: "ip", cell: |machine, _| or_dash(&machine.primary_ip) },
    Field { name: "metadata", cell: |machine, _| or_dash(&metadata(machine)) },
];
const DEFAULT: &str = "machine,ip,metadata";

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &ListArgs) -> Result<Exit, Failure> {
    let mut machines = context
        .client
        .machines()
        .await
        .map_err(|error| Failure::request("Error retrieving list of active machines", &error))?;
    machines.sort_by(|a, b| a.id.cmp(&b.id));
    if arguments.print.output == Format::Json {
        context.printer.json(&machines)?;
        return Ok(Exit::SUCCESS);
    }
    let text = render(FIELDS, Layout::of(arguments, DEFAULT), &machines, context.style)?;
    context.printer.data(&text)?;
    Ok(Exit::SUCCESS)
}

fn metadata(machine: &Machine) -> String {
    let pairs: Vec<String> = machine.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}
