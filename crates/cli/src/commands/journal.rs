//! `journal`: the log of a unit, from the machine that it is on.

use flota_unit::UnitName;
use tokio::task::JoinSet;

use crate::{
    cli::JournalArgs,
    context::Context,
    exit::Exit,
    failure::Failure,
    names::{Among, is_pattern, select},
    remote::{self, CommandLine},
    units,
};

/// A journal to show: what it is called, and how to get it.
struct Source {
    title: String,
    line: CommandLine,
}

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &JournalArgs) -> Result<Exit, Failure> {
    let names = select(context, std::slice::from_ref(&arguments.unit), Among::Placed).await?;
    let (mut sources, mut several) = (Vec::new(), is_pattern(&arguments.unit));
    for name in &names {
        let (found, global) = sources_of(context, name, arguments).await?;
        sources.extend(found);
        several |= global;
    }
    if arguments.follow { follow(sources).await } else { show(context, sources, several).await }
}

/// The journals of a unit on its machines, and whether it is global.
async fn sources_of(
    context: &mut Context<'_, '_>,
    name: &UnitName,
    arguments: &JournalArgs,
) -> Result<(Vec<Source>, bool), Failure> {
    let Some(unit) = context.known_unit(name).await? else {
        return Err(Failure::new(Exit::FAILURE, format!("Unit {name} does not exist.")));
    };
    let global = units::is_global(&unit);
    let machines = remote::machines_of(context, &unit, global).await?;
    if machines.is_empty() {
        return Err(Failure::new(Exit::FAILURE, format!("Unit {name} does not appear to be running.")));
    }
    let (program, mut sources) = (journalctl(name, arguments), Vec::new());
    for machine in machines {
        let title = format!("==> {name} on {} <==", context.legend(&machine).await);
        let line = remote::on_machine(context, &machine, arguments.ssh_port, &program).await?;
        sources.push(Source { title, line });
    }
    Ok((sources, global))
}

async fn show(context: &mut Context<'_, '_>, sources: Vec<Source>, titled: bool) -> Result<Exit, Failure> {
    let mut exit = Exit::SUCCESS;
    for source in sources {
        if titled {
            context.printer.say(&source.title);
        }
        exit = exit.or(source.line.run().await?);
    }
    Ok(exit)
}

/// A journal that is followed has no end, so all are followed at once.
async fn follow(sources: Vec<Source>) -> Result<Exit, Failure> {
    let (mut exit, mut followed) = (Exit::SUCCESS, JoinSet::new());
    for source in sources {
        followed.spawn(async move { source.line.run().await });
    }
    for result in followed.join_all().await {
        exit = exit.or(result?);
    }
    Ok(exit)
}

fn journalctl(name: &UnitName, arguments: &JournalArgs) -> Vec<String> {
    let mut program = Vec::new();
    if arguments.sudo {
        program.push("sudo".to_owned());
    }
    let lines = arguments.lines.to_string();
    let rest = ["journalctl", "--unit", name.as_str(), "--no-pager", "-n", &lines, "--output", &arguments.output];
    program.extend(rest.map(str::to_owned));
    if arguments.follow {
        program.push("-f".to_owned());
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleets_command_line() {
        let mut arguments = JournalArgs {
            unit: "a".into(),
            lines: 10,
            follow: false,
            output: "short".into(),
            sudo: false,
            ssh_port: None,
        };
        let name: UnitName = "a.service".parse().unwrap();
        let line = journalctl(&name, &arguments).join(" ");
        assert_eq!(line, "journalctl --unit a.service --no-pager -n 10 --output short");
        (arguments.sudo, arguments.follow) = (true, true);
        let line = journalctl(&name, &arguments).join(" ");
        assert_eq!(line, "sudo journalctl --unit a.service --no-pager -n 10 --output short -f");
    }
}
