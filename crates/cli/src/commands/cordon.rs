//! `cordon`: keep new units off machines.

use flota_api::machines::{CordonMode, CordonRequest};

use crate::{cli::CordonArgs, context::Context, exit::Exit, failure::Failure, machines};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &CordonArgs) -> Result<Exit, Failure> {
    let request = CordonRequest { mode: CordonMode::Cordoned, reason: arguments.reason.clone() };
    for machine in machines::select(context, &arguments.machines.machines).await? {
        let asked = context.client.cordon(&machine.id, &request).await;
        asked.map_err(|error| {
            Failure::request(&format!("Error cordoning machine {}", machines::name(&machine)), &error)
        })?;
        machines::tell(context, &machine, "cordoned", arguments.machines.print)?;
    }
    Ok(Exit::SUCCESS)
}
