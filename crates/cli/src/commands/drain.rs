//! `drain`: move all units off machines, and wait until they are empty.

use flota_api::machines::{CordonMode, CordonRequest, MachineInfo};

use crate::{
    cli::DrainArgs,
    context::Context,
    departure::{Goal, watch},
    exit::Exit,
    failure::Failure,
    machines,
    run::interrupted,
};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &DrainArgs) -> Result<Exit, Failure> {
    let machines = machines::select(context, &arguments.machines.machines).await?;
    let print = arguments.machines.print;
    for machine in &machines {
        begin(context, machine, arguments.reason.clone()).await?;
        if arguments.wait.no_block {
            machines::tell(context, machine, "draining", print)?;
        }
    }
    if arguments.wait.no_block {
        return Ok(Exit::SUCCESS);
    }
    let hint = undo(context, &machines);
    let exit = tokio::select! {
        exit = watch(context, &machines, Goal::Empty, Some(print), arguments.wait.limit()) => exit?,
        () = interrupted() => Exit::INTERRUPTED,
    };
    if exit != Exit::SUCCESS {
        context.printer.say(&hint);
    }
    Ok(exit)
}

/// Asks for the drain of a machine.
pub async fn begin(
    context: &mut Context<'_, '_>,
    machine: &MachineInfo,
    reason: Option<String>,
) -> Result<(), Failure> {
    let request = CordonRequest { mode: CordonMode::Draining, reason };
    let asked = context.client.cordon(&machine.id, &request).await;
    asked.map_err(|error| Failure::request(&format!("Error draining machine {}", machines::name(machine)), &error))
}

/// How a drain that goes on without us is ended.
pub fn undo(context: &Context<'_, '_>, machines: &[MachineInfo]) -> String {
    let ids: Vec<&str> = machines.iter().map(|machine| machine.id.as_str()).collect();
    format!("hint: the drain goes on; end it with: {} uncordon {}", context.style.program(), ids.join(" "))
}
