//! `conf status`: how the files of this machine are.

use flota_conf::apply::{Journal, default_state_dir};
use flota_conf::plan::GroupId;
use flota_conf::run::{Mode, render_all};
use flota_etcd::chain;
use serde::Serialize;

use super::Work;
use crate::cli::{ConfStatusArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;

/// One resource.
#[derive(Serialize)]
struct Row {
    resource: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    files: Vec<String>,
    pending_reloads: Vec<String>,
}

pub async fn run(
    printer: &mut Printer<'_>,
    arguments: &ConfStatusArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    let work = Work::load(printer, &arguments.source, &variable)?;
    let state_dir = work.settings.state_dir.clone().or_else(|| default_state_dir(&variable));
    let journal = state_dir.map(Journal::new);
    let snapshot = work.snapshot().await?;
    let ids: Vec<GroupId> = (0..work.groups.len()).map(GroupId).collect();
    let mut rows = Vec::new();
    for rendered in render_all(&work.groups, &ids, &snapshot, Mode::Tell) {
        let group = &work.groups[rendered.id.0];
        let owed = journal.as_ref().and_then(|journal| journal.read(&group.resource.file).ok().flatten());
        let pending: Vec<String> = owed.iter().flat_map(|owed| &owed.reloads).map(ToString::to_string).collect();
        let (state, error) = match &rendered.result {
            Err(error) => ("failed", Some(chain(error))),
            Ok(differing) if !differing.told.is_empty() => ("differs", None),
            Ok(_) if !pending.is_empty() => ("reload-pending", None),
            Ok(_) => ("ok", None),
        };
        let files = group.resource.outputs.iter().map(|output| output.dest.display().to_string()).collect();
        rows.push(Row { resource: group.name(), state, error, files, pending_reloads: pending });
    }
    let all_well = rows.iter().all(|row| row.state == "ok");
    if arguments.print.output == Format::Json {
        printer.json(&rows)?;
    } else {
        for row in &rows {
            let why = row.error.as_ref().map_or_else(String::new, |why| format!("  {why}"));
            printer.line(&format!("{:<14} {}{why}", row.state, row.files.join(" ")))?;
            for reload in &row.pending_reloads {
                printer.line(&format!("{:<14} pending: {reload}", ""))?;
            }
        }
    }
    Ok(work.exit(if all_well { Exit::SUCCESS } else { Exit::FAILURE }))
}
