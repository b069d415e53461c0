//! `store accept`: take a store for the truth that machines do not believe.

use std::{
    io::{self, BufRead, IsTerminal},
    time::Duration,
};

use flota_api::trust::{Holding, StoreTrust};
use tokio::time::Instant;

use crate::{
    cli::AcceptArgs,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::legend::{legend, short_id},
};

/// How long the machines may take to believe the store: they put back what they hold, and wait for each other.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &AcceptArgs) -> Result<Exit, Failure> {
    let trust = ask(context).await?;
    if !trust.acceptable {
        let why = trust.frozen.unwrap_or_else(|| "every machine takes this store for the truth".to_owned());
        return Err(Failure::new(Exit::FAILURE, format!("there is nothing to accept: {why}")));
    }
    for line in consequences(&trust) {
        context.printer.say(&line);
    }
    if !arguments.yes && !confirmed(context)? {
        return Err(Failure::new(Exit::FAILURE, "nothing was changed"));
    }
    let accepted = context.client.accept_store().await;
    let accepted = accepted.map_err(|error| Failure::request("Error accepting the store", &error))?;
    context.printer.say(&format!("accepted: cluster {}, incarnation {}", accepted.cluster, accepted.incarnation));
    wait(context).await
}

async fn ask(context: &Context<'_, '_>) -> Result<StoreTrust, Failure> {
    let trust = context.client.store_trust().await;
    trust.map_err(|error| Failure::request("Error asking what is known of the store", &error))
}

/// What is at stake, machine by machine.
fn consequences(trust: &StoreTrust) -> Vec<String> {
    let why = trust.frozen.iter().map(|why| format!("This machine takes no orders: {why}."));
    let machines = trust.machines.iter().map(consequence);
    let lost = "Lost is what neither the store nor a machine has: units that were on no machine, and what was asked of \
                machines (metadata, cordons).";
    let late = "A machine that is not there now does the same when it comes.";
    why.chain(machines).chain([lost.to_owned(), late.to_owned()]).collect()
}

fn consequence(holding: &Holding) -> String {
    let name = match holding.address.as_str() {
        "" => short_id(&holding.machine, false),
        address => legend(&holding.machine, address, false),
    };
    let held = match (holding.holds_generation, holding.holds_units) {
        (Some(generation), Some(units)) => format!("holds generation {generation} with {}", counted(units)),
        _ => "holds nothing, or is not there".to_owned(),
    };
    match (holding.store_generation, holding.store_units) {
        (Some(generation), Some(units)) => {
            format!("{name} {held}; the store's word counts: generation {generation} with {}", counted(units))
        }
        _ => format!("{name} {held}; it is put back into the store, which has no schedule for it"),
    }
}

fn counted(units: usize) -> String {
    if units == 1 { "1 unit".to_owned() } else { format!("{units} units") }
}

/// Asks whoever sits there; nobody's silence is a yes.
fn confirmed(context: &mut Context<'_, '_>) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::USAGE, "this needs a yes").with_hint("say --yes if this is what you want"));
    }
    context.printer.say("Take this store for the truth? [y/N]");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::new(Exit::FAILURE, format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

/// Waits until every machine that is there takes orders again.
async fn wait(context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let frozen = match context.client.store_trust().await {
            Ok(trust) => trust.machines.iter().find_map(|it| Some((it.machine.clone(), it.frozen.clone()?))),
            Err(error) => Some((String::new(), error.to_string())),
        };
        match frozen {
            None => return Ok(Exit::SUCCESS),
            Some((machine, why)) if Instant::now() >= deadline => {
                let machine = short_id(&machine, false);
                return Err(Failure::new(Exit::FAILURE, format!("machine {machine} still takes no orders: {why}")));
            }
            Some(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_stake_is_told_machine_by_machine() {
        let holding = |machine: &str, store| Holding {
            machine: machine.repeat(32),
            address: String::new(),
            frozen: None,
            holds_generation: Some(9),
            holds_units: Some(1),
            store_generation: store,
            store_units: store.map(|_| 2),
        };
        let machines = vec![holding("a", None), holding("b", Some(4))];
        let lines = consequences(&StoreTrust { frozen: Some("it is empty".into()), acceptable: true, machines });
        assert_eq!(lines[0], "This machine takes no orders: it is empty.");
        assert!(lines[1].contains("holds generation 9 with 1 unit; it is put back"), "{lines:?}");
        assert!(lines[2].contains("the store's word counts: generation 4 with 2 units"), "{lines:?}");
        assert!(lines[3].starts_with("Lost is"), "{lines:?}");
    }
}
