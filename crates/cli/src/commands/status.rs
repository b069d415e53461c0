//! `status`: systemctl's view of units, from the machines that they are on.

use flota_unit::UnitName;

use crate::{
    cli::StatusArgs,
    context::Context,
    exit::Exit,
    failure::Failure,
    machines,
    names::{Among, select},
    remote,
    style::Style,
    units,
};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &StatusArgs) -> Result<Exit, Failure> {
    let mut exit = Exit::SUCCESS;
    for (index, name) in select(context, &arguments.units, Among::Placed).await?.iter().enumerate() {
        if index > 0 {
            context.printer.line("")?;
        }
        exit = exit.or(status(context, name, arguments.ssh_port).await?);
    }
    Ok(exit)
}

async fn status(context: &mut Context<'_, '_>, name: &UnitName, port: Option<u16>) -> Result<Exit, Failure> {
    let Some(unit) = context.known_unit(name).await? else {
        context.printer.say(&format!("Unit {name} does not exist."));
        return Ok(Exit::FAILURE);
    };
    let global = units::is_global(&unit);
    let machines = remote::machines_of(context, &unit, global).await?;
    if machines.is_empty() {
        context.printer.say(&format!("Unit {name} does not appear to be loaded."));
        return Ok(Exit::FAILURE);
    }
    let program = ["systemctl", "status", "-l", name.as_str()].map(str::to_owned);
    let mut exit = Exit::SUCCESS;
    for machine in machines {
        if global {
            let legend = context.legend(&machine).await;
            context.printer.say(&format!("==> {name} on {legend} <=="));
        }
        if context.style == Style::Flota
            && let Some(note) = machines::note(context, &machine).await
        {
            context.printer.say(&note);
        }
        exit = exit.or(remote::on_machine(context, &machine, port, &program).await?.run().await?);
    }
    Ok(exit)
}
