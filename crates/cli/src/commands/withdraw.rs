//! What `stop`, `unload` and `destroy` share: look the units up, change what they should be, wait.

use flota_api::Client;
use flota_api::v1::DesiredState;
use flota_unit::UnitName;
use futures_util::{StreamExt, stream};

use crate::{
    cli::WaitArgs,
    context::{Context, MAX_AT_ONCE, retrieving},
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
    let names = select(context, &arguments.units, among).await?;
    let client = context.client.clone();
    let mut asked = stream::iter(names.into_iter().map(|name| ask(&client, name, how.goal))).buffered(MAX_AT_ONCE);
    while let Some(asked) = asked.next().await {
        let (name, found) = asked?;
        let global = match found {
            Found::Changed { global } => global,
            Found::Nothing => continue,
            Found::Unknown => {
                unknown.push(name.to_string());
                continue;
            }
            Found::Inactive => {
                context.printer.say(&format!("Unable to {} unit {name} in state inactive", how.verb));
                exit = exit.or(Exit::FAILURE);
                continue;
            }
        };
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

/// What became of the request for one unit.
enum Found {
    /// It was changed.
    Changed {
        /// It is on every machine that fits, and told of as such.
        global: bool,
    },
    /// It is already what it shall be.
    Nothing,
    /// There is no such unit.
    Unknown,
    /// It is nowhere that it could be taken from.
    Inactive,
}

/// Looks one unit up and changes what it should be.
async fn ask(client: &Client, name: UnitName, goal: Goal) -> Result<(UnitName, Found), Failure> {
    let unit = client.unit(name.as_str()).await.map_err(|error| retrieving(&name, &error))?;
    let Some(unit) = unit else { return Ok((name, Found::Unknown)) };
    match (goal, unit.desired_state.unwrap_or(DesiredState::Inactive)) {
        (Goal::Stopped, DesiredState::Inactive) => return Ok((name, Found::Inactive)),
        (Goal::Stopped, DesiredState::Loaded) | (Goal::Inactive, DesiredState::Inactive) => {
            return Ok((name, Found::Nothing));
        }
        _ => change(client, &name, goal).await?,
    }
    // A destroyed unit is told of as such, whatever kind it was.
    let global = units::is_global(&unit) && goal != Goal::Gone;
    Ok((name, Found::Changed { global }))
}

async fn change(client: &Client, name: &UnitName, goal: Goal) -> Result<(), Failure> {
    let result = match goal.desired() {
        Some(state) => client.set_desired(name.as_str(), state).await,
        None => client.destroy(name.as_str()).await,
    };
    let doing = match goal {
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
