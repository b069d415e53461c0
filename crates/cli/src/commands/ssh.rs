//! `ssh`: a shell or a command on a machine, or on the machine that a unit is on.

use flota_api::v1::Unit;
use flota_unit::UnitName;

use crate::{
    cli::SshArgs,
    context::Context,
    exit::Exit,
    failure::Failure,
    machines::pick,
    names::unit_name,
    remote::{self, CommandLine},
    units,
};

/// The shell where there is no word of another.
const SHELL: &str = "/bin/sh";

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &SshArgs) -> Result<Exit, Failure> {
    let (machine, command) = target(context, arguments).await?;
    let line = if remote::is_here(context, &machine) {
        local(context.shell.as_deref().unwrap_or(SHELL), &command)
    } else {
        let more: &[&str] = if arguments.forward_agent { &["-A"] } else { &[] };
        let mut line = remote::ssh_line(context, &machine, arguments.ssh_port, more).await?;
        line.extend(command);
        line
    };
    CommandLine::new(context, line).run().await
}

/// The same as ssh would do: words with a space between for a shell, or a login shell.
fn local(shell: &str, command: &[String]) -> Vec<String> {
    if command.is_empty() {
        return vec![shell.to_owned(), "-l".to_owned()];
    }
    vec![shell.to_owned(), "-c".to_owned(), command.join(" ")]
}

/// The id of the machine that is meant, and the command.
async fn target(context: &mut Context<'_, '_>, arguments: &SshArgs) -> Result<(String, Vec<String>), Failure> {
    // With a flag every other word belongs to the command.
    let words = || arguments.target.iter().chain(&arguments.command).cloned().collect();
    match (&arguments.machine, &arguments.unit, &arguments.target) {
        (Some(_), Some(_), _) => {
            Err(Failure::new(Exit::USAGE, "Both machine and unit flags provided, please specify only one."))
        }
        (Some(machine), None, _) => Ok((known(by_machine(context, machine).await?)?, words())),
        (None, Some(unit), _) => Ok((known(by_unit(context, unit).await?)?, words())),
        (None, None, None) => Err(Failure::new(Exit::USAGE, "Provide one machine or unit.")),
        (None, None, Some(either)) => {
            let machine = match (by_machine(context, either).await, by_unit(context, either).await) {
                (Ok(Some(_)), Ok(Some(_)) | Err(Unreachable::Placeless(_))) => return Err(ambiguous(either)),
                (Ok(Some(machine)), Err(Unreachable::Failed(_)) | Ok(None)) => Some(machine),
                (Err(failed), Ok(None) | Err(_)) => return Err(failed.into()),
                (Err(_), Ok(Some(_))) => return Err(ambiguous(either)),
                (Ok(None), unit) => unit?,
            };
            Ok((known(machine)?, arguments.command.clone()))
        }
    }
}

/// Why a machine is not found, though its name is.
enum Unreachable {
    /// The unit is there, but on no machine, or on several.
    Placeless(Failure),
    /// It could not be found out, or the machine id is not unique.
    Failed(Failure),
}

impl From<Unreachable> for Failure {
    fn from(unreachable: Unreachable) -> Self {
        let (Unreachable::Placeless(failure) | Unreachable::Failed(failure)) = unreachable;
        failure
    }
}

fn unable(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::FAILURE, format!("Unable to proceed: {why}"))
}

fn known(machine: Option<String>) -> Result<String, Failure> {
    machine.ok_or_else(|| unable("could not find matching unit or machine"))
}

fn ambiguous(name: &str) -> Failure {
    unable(format!("ambiguous argument, both machine and unit found for \"{name}\""))
        .with_hint(format!("say which with --machine {name} or --unit {name}"))
}

/// The machine whose id is `id`, or the only one whose id begins like that.
async fn by_machine(context: &mut Context<'_, '_>, id: &str) -> Result<Option<String>, Unreachable> {
    let machines = context.client.machines().await;
    let failed = |error| Unreachable::Failed(Failure::request("Error retrieving list of active machines", &error));
    let ids: Vec<String> = machines.map_err(failed)?.into_iter().map(|machine| machine.id).collect();
    pick(&ids, id).map_err(|found| {
        let failure = unable("found more than one machine");
        Unreachable::Failed(failure.with_hint(format!("they are {}", found.join(", "))))
    })
}

/// The machine that the unit is on.
async fn by_unit(context: &mut Context<'_, '_>, argument: &str) -> Result<Option<String>, Unreachable> {
    // What cannot be a unit's name is none.
    let Ok(name) = unit_name(argument) else { return Ok(None) };
    match context.known_unit(&name).await.map_err(Unreachable::Failed)? {
        Some(unit) => place(context, &name, &unit).await.map(Some),
        None => Ok(None),
    }
}

async fn place(context: &mut Context<'_, '_>, name: &UnitName, unit: &Unit) -> Result<String, Unreachable> {
    let global = units::is_global(unit);
    let mut machines = remote::machines_of(context, unit, global).await.map_err(Unreachable::Failed)?;
    let program = context.style.program();
    match machines.len() {
        0 => Err(Unreachable::Placeless(unable(format!("unit {name} is on no machine")))),
        1 => Ok(machines.remove(0)),
        count => Err(Unreachable::Placeless(
            unable(format!("global unit {name} is on {count} machines"))
                .with_hint(format!("choose one with: {program} ssh --machine {}", machines[0])),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_it_is_the_same_as_over_ssh() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(local("/bin/sh", &words(&["echo", "$HOME", "a b"])), words(&["/bin/sh", "-c", "echo $HOME a b"]));
        assert_eq!(local("/bin/bash", &[]), words(&["/bin/bash", "-l"]));
    }
}
