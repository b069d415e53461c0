//! What `stop`, `unload` and `destroy` share: look the units up, change what they should be, wait.

use flota_api::v1::{DesiredState, Unit};
use flota_unit::UnitName;

use crate::{
    cli::WaitArgs,
    context::Context,
    exit::Exit,
    failure::Failure,
    judge::Goal,
    names::{Among, select},
    report, units,
    wait::{Told, wait},
};

/// One of the three verbs.
pub struct Withdraw {
    /// Its name.
    pub verb: &'static str,
    /// What it waits for.
    pub goal: Goal,
}

/// Runs the verb on all units that the cluster has, and returns those that changed. What it does not have is said,
/// and is a failure in the end.
pub async fn withdraw(
    context: &mut Context<'_, '_>,
    arguments: &WaitArgs,
    how: Withdraw,
) -> Result<(Exit, Vec<UnitName>), Failure> {
    let (mut exit, mut unknown, mut awaited, mut changed) = (Exit::SUCCESS, Vec::new(), Vec::new(), Vec::new());
    let among = if how.goal == Goal::Gone { Among::All } else { Among::Placed };
    for name in select(context, &arguments.units, among).await? {
        let Some(unit) = context.known_unit(&name).await? else {
            unknown.push(name.to_string());
            continue;
        };
        match step(how.goal, &unit) {
            Step::Change => change(context, &name, &how).await?,
            Step::Nothing => continue,
            Step::Refuse => {
                context.printer.say(&format!("Unable to {} unit {name} in state inactive", how.verb));
                exit = exit.or(Exit::FAILURE);
                continue;
            }
        }
        // A destroyed unit is told of as such, whatever kind it was.
        let global = units::is_global(&unit) && how.goal != Goal::Gone;
        if global || arguments.block.no_block {
            report::triggered(context, how.verb, &name, global, arguments.print)?;
            changed.push(name);
        } else {
            awaited.push(name);
        }
    }
    let waited = wait(context, how.goal, awaited, arguments.block, Told::Results(arguments.print)).await?;
    changed.extend(waited.reached);
    if !unknown.is_empty() {
        context.printer.say(&format!("Units not found in registry: {}", unknown.join(", ")));
        exit = exit.or(Exit::FAILURE);
    }
    Ok((exit.or(waited.exit), changed))
}

enum Step {
    Change,
    Nothing,
    Refuse,
}

fn step(goal: Goal, unit: &Unit) -> Step {
    let desired = unit.desired_state.unwrap_or(DesiredState::Inactive);
    match (goal, desired) {
        (Goal::Stopped, DesiredState::Inactive) => Step::Refuse,
        (Goal::Stopped, DesiredState::Loaded) | (Goal::Inactive, DesiredState::Inactive) => Step::Nothing,
        _ => Step::Change,
    }
}

async fn change(context: &mut Context<'_, '_>, name: &UnitName, how: &Withdraw) -> Result<(), Failure> {
    let result = match how.goal.desired() {
        Some(state) => context.client.set_desired(name.as_str(), state).await,
        None => context.client.destroy(name.as_str()).await,
    };
    let doing = match how.goal {
        Goal::Gone => "destroying",
        Goal::Inactive => "unloading",
        _ => "stopping",
    };
    result.map_err(|error| Failure::request(&format!("Error {doing} units: unit {name}"), &error))
}

/// The units as fleetctl lists them in its last line: `[a.service b.service]`.
pub fn bracketed(names: &[UnitName]) -> String {
    let names: Vec<&str> = names.iter().map(UnitName::as_str).collect();
    format!("[{}]", names.join(" "))
}
