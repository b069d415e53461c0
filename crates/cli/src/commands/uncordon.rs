//! `uncordon`: let machines take units again.

use crate::{cli::MachinesArgs, context::Context, exit::Exit, failure::Failure, machines};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &MachinesArgs) -> Result<Exit, Failure> {
    for machine in machines::select(context, &arguments.machines).await? {
        let asked = context.client.uncordon(&machine.id).await;
        asked.map_err(|error| {
            Failure::request(&format!("Error uncordoning machine {}", machines::name(&machine)), &error)
        })?;
        machines::tell(context, &machine, "uncordoned", arguments.print)?;
    }
    Ok(Exit::SUCCESS)
}
