//! `cat`: print the unit file that the cluster has.

use flota_unit::UnitName;

use crate::{
    cli::UnitArg,
    context::{Context, file_of},
    exit::Exit,
    failure::Failure,
    names::{Among, select},
};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &UnitArg) -> Result<Exit, Failure> {
    let [argument] = arguments.units.as_slice() else {
        return Err(Failure::new(Exit::USAGE, "One unit file must be provided"));
    };
    let names = select(context, std::slice::from_ref(argument), Among::All).await?;
    for (index, name) in names.iter().enumerate() {
        if names.len() > 1 {
            let separator = if index == 0 { "" } else { "\n" };
            context.printer.line(&format!("{separator}# {name}"))?;
        }
        let text = text(context, name).await?;
        context.printer.data(&text)?;
    }
    Ok(Exit::SUCCESS)
}

async fn text(context: &Context<'_, '_>, name: &UnitName) -> Result<String, Failure> {
    let Some(unit) = context.known_unit(name).await? else {
        return Err(Failure::new(Exit::FAILURE, format!("Unit {name} not found")));
    };
    match file_of(&unit) {
        Some(file) => Ok(file.canonical()),
        None => Err(Failure::new(Exit::FAILURE, format!("Unit {name} has a file that is not a unit file"))),
    }
}
