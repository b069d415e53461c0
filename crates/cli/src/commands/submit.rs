//! `submit`: store unit files in the cluster.

use flota_api::v1::DesiredState;

use crate::{
    analyze,
    cli::SubmitArgs,
    context::Context,
    exit::Exit,
    failure::Failure,
    names::unit_names,
    report,
    units::{self, Action},
};

/// Replacing the file of a unit that runs is for `start --replace`.
const REPLACEABLE: &[DesiredState] = &[DesiredState::Inactive];

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &SubmitArgs) -> Result<Exit, Failure> {
    let names = unit_names(&arguments.units)?;
    let replace = arguments.replace.then_some(REPLACEABLE);
    let planned = units::plan(context, &arguments.units, &names, replace).await?;
    let analysis = if arguments.check.no_verify { None } else { analyze::begin(context, &planned) };
    units::submit(context, &planned, DesiredState::Inactive).await?;
    for unit in planned.iter().filter(|unit| unit.action != Action::Keep) {
        report::line(context, &unit.name, "inactive", None, &format!("Unit {} inactive", unit.name), arguments.print)?;
    }
    if let Some(analysis) = analysis {
        analysis.tell(context.printer).await;
    }
    Ok(Exit::SUCCESS)
}
