//! `restart`: stop units, wait until systemd has stopped them, start them again.
//!
//! fleet's agent was told to stop and to start in one breath, and mostly saw neither.

use flota_api::v1::DesiredState;
use flota_unit::UnitName;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    cli::{BlockArgs, RestartArgs},
    context::{Context, MAX_AT_ONCE},
    exit::Exit,
    failure::Failure,
    judge::Goal,
    names::{Among, select},
    report, units,
    wait::{Told, wait},
};

/// The units of one restart.
struct Units {
    /// Those that are to be stopped and started.
    named: Vec<UnitName>,
    /// Those of them that run on every machine.
    global: Vec<UnitName>,
    /// What keeps others from it.
    exit: Exit,
}

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &RestartArgs) -> Result<Exit, Failure> {
    let names = select(context, &arguments.units, Among::Placed).await?;
    let units = look_up(context, names).await?;
    let block = BlockArgs { no_block: false, block_attempts: arguments.block_attempts };
    let (asked, refused) = stop(context, units.named).await;
    let stopped = tokio::select! {
        result = wait(context, Goal::Stopped, asked.clone(), block, Told::Nothing) => Some(result),
        _ = tokio::signal::ctrl_c() => None,
    };
    // Whatever became of the stop, the units were running and shall run.
    stream::iter(asked.iter().map(|name| start(context, name))).buffered(MAX_AT_ONCE).try_collect::<()>().await?;
    let Some(stopped) = stopped else { return Ok(Exit::INTERRUPTED) };
    let stopped = stopped?;
    let (global, single): (Vec<_>, Vec<_>) = stopped.reached.into_iter().partition(|name| units.global.contains(name));
    for name in &global {
        report::triggered(context, "restart", name, true, arguments.print)?;
    }
    let started = tokio::select! {
        result = wait(context, Goal::Launched, single, block, Told::Results(arguments.print)) => result?,
        _ = tokio::signal::ctrl_c() => return Ok(Exit::INTERRUPTED),
    };
    match refused {
        Some(failure) => Err(failure),
        None => Ok(units.exit.or(stopped.exit).or(started.exit)),
    }
}

/// Asks for the stop of each. Returns those that will be stopped, and the first refusal.
async fn stop(context: &Context<'_, '_>, names: Vec<UnitName>) -> (Vec<UnitName>, Option<Failure>) {
    let mut asked = Vec::new();
    let requests = names.into_iter().map(async |name| (set(context, &name, DesiredState::Loaded).await, name));
    let mut requests = stream::iter(requests).buffered(MAX_AT_ONCE);
    let mut refused = None;
    while let Some((result, name)) = requests.next().await {
        match result {
            Ok(()) => asked.push(name),
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    (asked, refused)
}

/// Starts a unit again that nobody else gave another state meanwhile.
async fn start(context: &Context<'_, '_>, name: &UnitName) -> Result<(), Failure> {
    match context.known_unit(name).await? {
        Some(unit) if unit.desired_state == Some(DesiredState::Loaded) => {
            set(context, name, DesiredState::Launched).await
        }
        _ => Ok(()),
    }
}

/// Finds the units, and says of each that cannot be restarted why.
async fn look_up(context: &mut Context<'_, '_>, names: Vec<UnitName>) -> Result<Units, Failure> {
    let (mut units, mut unknown) = (Units { named: Vec::new(), global: Vec::new(), exit: Exit::SUCCESS }, Vec::new());
    for name in names {
        let Some(unit) = context.known_unit(&name).await? else {
            unknown.push(name.to_string());
            continue;
        };
        if matches!(unit.desired_state, None | Some(DesiredState::Inactive)) {
            context.printer.say(&format!("Unable to restart unit {name} in state inactive"));
            units.exit = Exit::FAILURE;
            continue;
        }
        if units::is_global(&unit) {
            units.global.push(name.clone());
        }
        units.named.push(name);
    }
    if !unknown.is_empty() {
        context.printer.say(&format!("Units not found in registry: {}", unknown.join(", ")));
        units.exit = Exit::FAILURE;
    }
    Ok(units)
}

async fn set(context: &Context<'_, '_>, name: &UnitName, state: DesiredState) -> Result<(), Failure> {
    let failed = |error| Failure::request(&format!("Error restarting units: unit {name}"), &error);
    context.client.set_desired(name.as_str(), state).await.map_err(failed)
}
