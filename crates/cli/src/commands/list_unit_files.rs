//! `list-unit-files`: all units, what they should be, what they are, and where.

use flota_api::v1::{DesiredState, Unit};

use crate::{
    cli::{Format, ListArgs},
    context::{Context, file_of},
    exit::Exit,
    failure::Failure,
    output::{
        legend::Machines,
        table::{Field, Layout, or_dash, render, short_hash},
    },
    units::is_global,
};

/// A unit with what its file says.
struct Row {
    unit: Unit,
    global: bool,
    hash: String,
    description: String,
    target: String,
}

const FIELDS: &[Field<Row>] = &[
    Field { name: "unit", cell: |row, _| row.unit.name.clone() },
    Field { name: "hash", cell: |row, full| short_hash(&row.hash, full) },
    Field { name: "dstate", cell: |row, _| word(row.unit.desired_state) },
    Field { name: "state", cell: |row, _| if row.global { "-".to_owned() } else { word(row.unit.current_state) } },
    Field { name: "target", cell: |row, _| row.target.clone() },
    Field { name: "tmachine", cell: |row, _| row.target.clone() },
    Field { name: "desc", cell: |row, _| or_dash(&row.description) },
    Field { name: "global", cell: |row, _| row.global.to_string() },
];
const DEFAULT: &str = "unit,hash,dstate,state,target";

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &ListArgs) -> Result<Exit, Failure> {
    let mut units = context
        .client
        .units()
        .await
        .map_err(|error| Failure::request("Error retrieving list of units from repository", &error))?;
    units.sort_by(|a, b| a.name.cmp(&b.name));
    if arguments.print.output == Format::Json {
        context.printer.json(&units)?;
        return Ok(Exit::SUCCESS);
    }
    let layout = Layout::of(arguments, DEFAULT);
    if layout.fields.split(',').any(|field| field == "tmachine") {
        context.printer.say("WARNING: the field \"tmachine\" is deprecated, use \"target\"");
    }
    let machines = Machines::fetch(&context.client).await;
    let rows: Vec<Row> = units.into_iter().map(|unit| Row::new(unit, &machines, arguments.full)).collect();
    let text = render(FIELDS, layout, &rows, context.style)?;
    context.printer.data(&text)?;
    Ok(Exit::SUCCESS)
}

impl Row {
    fn new(unit: Unit, machines: &Machines, full: bool) -> Self {
        let (file, global) = (file_of(&unit), is_global(&unit));
        let target = if global { "global".to_owned() } else { machines.legend(&unit.machine_id, full) };
        Self {
            global,
            hash: file.as_ref().map_or_else(String::new, |file| file.hash().to_string()),
            description: file
                .and_then(|file| file.get_last("Unit", "Description").map(str::to_owned))
                .unwrap_or_default(),
            unit,
            target,
        }
    }
}

fn word(state: Option<DesiredState>) -> String {
    state.map_or("-", DesiredState::as_str).to_owned()
}
