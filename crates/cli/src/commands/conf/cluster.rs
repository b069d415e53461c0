//! `conf status` of all machines: what the processes that keep files have told.

use flota_api::conf::{ConfGroup, ConfMachine, ConfState};

use crate::{
    cli::{ConfStatusArgs, Format},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{
        legend::short_id,
        table::{Field, Layout, or_dash, render},
    },
};

/// A file, or what is wrong with what a machine tells.
struct Row {
    machine: String,
    file: String,
    state: String,
    revision: i64,
    error: String,
}

const FIELDS: &[Field<Row>] = &[
    Field { name: "machine", cell: |row, full| short_id(&row.machine, full) },
    Field { name: "file", cell: |row, _| or_dash(&row.file) },
    Field { name: "state", cell: |row, _| row.state.clone() },
    Field {
        name: "revision",
        cell: |row, _| or_dash(&if row.revision == 0 { String::new() } else { row.revision.to_string() }),
    },
    Field { name: "error", cell: |row, _| or_dash(&row.error) },
];
const DEFAULT: &str = "machine,file,state,revision,error";

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &ConfStatusArgs) -> Result<Exit, Failure> {
    let what = "Error retrieving configuration files";
    let machines = context.client.conf().await.map_err(|error| Failure::request(what, &error))?;
    let rows: Vec<Row> = machines.iter().flat_map(rows).collect();
    let all_well = machines.iter().all(is_well);
    if arguments.print.output == Format::Json {
        context.printer.json(&machines)?;
    } else {
        let layout = Layout { fields: DEFAULT, full: arguments.full, no_legend: arguments.no_legend };
        let text = render(FIELDS, layout, &rows, context.style)?;
        context.printer.data(&text)?;
    }
    if rows.is_empty() {
        context.printer.say("no machine has a confd (or flota conf run) that tells of its files");
    }
    Ok(if all_well { Exit::SUCCESS } else { Exit::FAILURE })
}

fn is_well(machine: &ConfMachine) -> bool {
    let mut groups = machine.sources.iter().flat_map(|source| &source.resources);
    machine.problem.is_none() && groups.all(|group| group.state == ConfState::Ok)
}

fn rows(machine: &ConfMachine) -> Vec<Row> {
    let id = &machine.machine;
    let groups = machine.sources.iter().flat_map(|source| &source.resources);
    let mut rows: Vec<Row> = groups.flat_map(|group| files(id, group)).collect();
    rows.extend(machine.problem.iter().map(|problem| Row {
        machine: id.clone(),
        file: String::new(),
        state: "unreadable".to_owned(),
        revision: 0,
        error: problem.clone(),
    }));
    rows
}

fn files(id: &str, group: &ConfGroup) -> Vec<Row> {
    let row = |file: &String| Row {
        machine: id.to_owned(),
        file: file.clone(),
        state: group.state.to_string(),
        revision: group.revision,
        error: group.error.clone().unwrap_or_default(),
    };
    group.files.iter().map(row).collect()
}
