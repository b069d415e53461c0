//! What `load` and `start` share: submit what is new, set the desired state, wait.

use flota_api::{Client, v1::DesiredState};

use crate::{
    analyze,
    cli::{ActArgs, Format},
    context::Context,
    exit::Exit,
    failure::Failure,
    judge::Goal,
    names::unit_names,
    report,
    style::Style,
    units::{self, Action, Planned},
    wait::{Told, wait},
};

/// One of the two verbs.
pub struct Place {
    /// Its name.
    pub verb: &'static str,
    /// What it waits for.
    pub goal: Goal,
    /// What the units shall be.
    pub state: DesiredState,
    /// The desired states in which it may replace a unit's file.
    pub replaceable: &'static [DesiredState],
}

/// Runs the verb.
pub async fn place(context: &mut Context<'_, '_>, arguments: &ActArgs, place: Place) -> Result<Exit, Failure> {
    let names = unit_names(&arguments.units)?;
    if let Some(template) = names.iter().find(|name| name.is_template()) {
        let example = template.instantiate("1").map_or_else(|_| String::new(), |instance| instance.to_string());
        return Err(Failure::new(Exit::FAILURE, format!("cannot activate template \"{template}\""))
            .with_hint(format!("{} an instance of it, such as {example}", place.verb)));
    }
    let replace = arguments.replace.then_some(place.replaceable);
    let planned = units::plan(context, &arguments.units, &names, replace).await?;
    let analysis = if arguments.check.no_verify { None } else { analyze::begin(context, &planned) };
    units::submit(context, &planned, place.state).await?;
    let mut awaited = Vec::new();
    let tells_of_submit = context.style == Style::Fleetctl && arguments.print.output == Format::Text;
    // One after the other: where units exclude each other, the one that was named first is placed first.
    for unit in planned {
        // fleetctl tells of the submit before it goes on.
        if tells_of_submit && matches!(unit.action, Action::Create(_)) {
            context.printer.line(&format!("Unit {} inactive", unit.name))?;
        }
        set_desired(&context.client, &unit, &place).await?;
        if unit.global || arguments.block.no_block {
            report::triggered(context, place.verb, &unit.name, unit.global, arguments.print)?;
        } else {
            awaited.push(unit.name);
        }
    }
    if let Some(analysis) = analysis {
        analysis.tell(context.printer).await;
    }
    Ok(wait(context, place.goal, awaited, arguments.block, Told::Results(arguments.print)).await?.exit)
}

async fn set_desired(client: &Client, unit: &Planned, place: &Place) -> Result<(), Failure> {
    match unit.action {
        // Its desired state came with the file.
        Action::Replace(_) => return Ok(()),
        Action::Keep if unit.desired == Some(place.state) => return Ok(()),
        Action::Create(_) | Action::Keep => {}
    }
    let what = format!("Error {}ing units: unit {}", place.verb, unit.name);
    client.set_desired(unit.name.as_str(), place.state).await.map_err(|error| Failure::request(&what, &error))
}
