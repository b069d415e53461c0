//! `remove-machine`: take machines out of the cluster that are gone for good.

use flota_api::ClientError;

use crate::{
    cli::RemoveArgs,
    context::Context,
    departure::{Goal, watch},
    exit::Exit,
    failure::Failure,
    machines,
};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &RemoveArgs) -> Result<Exit, Failure> {
    let machines = machines::select(context, &arguments.machines.machines).await?;
    let print = arguments.machines.print;
    for machine in &machines {
        let id = &machine.id;
        context.client.remove_machine(id, arguments.force).await.map_err(|error| {
            let failure = Failure::request(&format!("Error removing machine {}", machines::name(machine)), &error);
            match error {
                ClientError::Api { code: 409, .. } if machine.alive && !arguments.force => failure.with_hint(format!(
                    "empty it with `flota drain {id}`, or run `flota leave` on it; --force takes it out as it is"
                )),
                _ => failure,
            }
        })?;
        if arguments.wait.no_block {
            machines::tell(context, machine, "is being removed", print)?;
        }
    }
    if arguments.wait.no_block {
        return Ok(Exit::SUCCESS);
    }
    watch(context, &machines, Goal::Gone, Some(print), arguments.wait.limit()).await
}
