//! `journal`: the log of a unit, from the machine that it is on.

use flota_unit::UnitName;
use tokio::task::JoinSet;

use crate::{
    cli::JournalArgs,
    context::{Context, unit_name},
    exit::Exit,
    failure::Failure,
    remote, units,
};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &JournalArgs) -> Result<Exit, Failure> {
    let name = unit_name(&arguments.unit)?;
    let Some(unit) = context.known_unit(&name).await? else {
        return Err(Failure::new(Exit::FAILURE, format!("Unit {name} does not exist.")));
    };
    let global = units::is_global(&unit);
    let machines = remote::machines_of(context, &unit, global).await?;
    if machines.is_empty() {
        return Err(Failure::new(Exit::FAILURE, format!("Unit {name} does not appear to be running.")));
    }
    let program = journalctl(&name, arguments);
    let mut exit = Exit::SUCCESS;
    let mut followed = JoinSet::new();
    for machine in machines {
        let line = remote::on_machine(context, &machine, arguments.ssh_port, &program).await?;
        if arguments.follow {
            // A journal that is followed has no end, so all machines are followed at once.
            followed.spawn(async move { line.run().await });
            continue;
        }
        if global {
            let legend = context.legend(&machine).await;
            context.printer.say(&format!("==> {legend} <=="));
        }
        exit = exit.or(line.run().await?);
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
            ssh_port: 22,
        };
        let name: UnitName = "a.service".parse().unwrap();
        let line = journalctl(&name, &arguments).join(" ");
        assert_eq!(line, "journalctl --unit a.service --no-pager -n 10 --output short");
        (arguments.sudo, arguments.follow) = (true, true);
        let line = journalctl(&name, &arguments).join(" ");
        assert_eq!(line, "sudo journalctl --unit a.service --no-pager -n 10 --output short -f");
    }
}
