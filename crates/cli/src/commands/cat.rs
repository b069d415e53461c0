//! `cat`: print the unit file that the cluster has.

use crate::{
    cli::UnitArg,
    context::{Context, file_of, unit_name},
    exit::Exit,
    failure::Failure,
};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &UnitArg) -> Result<Exit, Failure> {
    let [argument] = arguments.units.as_slice() else {
        return Err(Failure::new(Exit::USAGE, "One unit file must be provided"));
    };
    let name = unit_name(argument)?;
    let Some(unit) = context.known_unit(&name).await? else {
        return Err(Failure::new(Exit::FAILURE, format!("Unit {name} not found")));
    };
    let Some(file) = file_of(&unit) else {
        return Err(Failure::new(Exit::FAILURE, format!("Unit {name} has a file that is not a unit file")));
    };
    context.printer.data(&file.canonical())?;
    Ok(Exit::SUCCESS)
}
