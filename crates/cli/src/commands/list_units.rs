//! `list-units`: what systemd says of the units that machines have loaded.

use flota_api::v1::UnitState;

use crate::{
    cli::{Format, ListArgs},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{
        legend::Machines,
        table::{Field, Layout, or_dash, render, short_hash},
    },
};

/// A state, and the name of its machine.
type Row = (UnitState, String);

const FIELDS: &[Field<Row>] = &[
    Field { name: "unit", cell: |(state, _), _| or_dash(&state.name) },
    Field { name: "machine", cell: |(_, machine), _| machine.clone() },
    Field { name: "active", cell: |(state, _), _| or_dash(&state.systemd_active_state) },
    Field { name: "sub", cell: |(state, _), _| or_dash(&state.systemd_sub_state) },
    Field { name: "load", cell: |(state, _), _| or_dash(&state.systemd_load_state) },
    Field { name: "hash", cell: |(state, _), full| short_hash(&state.hash, full) },
];
const DEFAULT: &str = "unit,machine,active,sub";

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &ListArgs) -> Result<Exit, Failure> {
    let mut states = context
        .client
        .states(None, None)
        .await
        .map_err(|error| Failure::request("Error retrieving list of units from repository", &error))?;
    states.sort_by(|a, b| (&a.name, &a.machine_id).cmp(&(&b.name, &b.machine_id)));
    if arguments.print.output == Format::Json {
        context.printer.json(&states)?;
        return Ok(Exit::SUCCESS);
    }
    let machines = Machines::fetch(&context.client).await;
    let rows: Vec<Row> = states
        .into_iter()
        .map(|state| {
            let machine = machines.legend(&state.machine_id, arguments.full);
            (state, machine)
        })
        .collect();
    let text = render(FIELDS, Layout::of(arguments, DEFAULT), &rows, context.style)?;
    context.printer.data(&text)?;
    Ok(Exit::SUCCESS)
}
