//! Runs a program on a machine of the cluster: here if it is this machine, else through the system's ssh.

use std::ffi::OsString;

use flota_api::v1::Unit;

use crate::{
    context::{Context, command},
    exit::Exit,
    failure::Failure,
};

/// A program with its arguments, as it will be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    words: Vec<String>,
    path: Option<OsString>,
}

impl CommandLine {
    /// A program that is looked for where the context says; told of if it wants to know.
    pub fn new(context: &mut Context<'_, '_>, words: Vec<String>) -> Self {
        if context.debug {
            context.printer.say(&format!("DEBUG run {}", words.join(" ")));
        }
        Self { words, path: context.path.clone() }
    }

    /// Starts it on the terminal of this process and waits for its end.
    pub async fn run(&self) -> Result<Exit, Failure> {
        let status = command(&self.words, self.path.as_ref()).status().await;
        let program = self.words.first().map_or("", String::as_str);
        let status = status.map_err(|error| Failure::new(Exit::FAILURE, format!("cannot run {program}: {error}")))?;
        Ok(Exit::of_program(status))
    }
}

/// The command line that runs `program` on the machine with that id. The shell there sees each argument as it is here.
pub async fn on_machine(
    context: &mut Context<'_, '_>,
    machine_id: &str,
    port: Option<u16>,
    program: &[String],
) -> Result<CommandLine, Failure> {
    if is_here(context, machine_id) {
        return Ok(CommandLine::new(context, program.to_vec()));
    }
    let mut line = ssh_line(context, machine_id, port, &[]).await?;
    line.push(quoted(program)?);
    Ok(CommandLine::new(context, line))
}

/// Whether the machine with that id is the one that this runs on.
pub fn is_here(context: &Context<'_, '_>, machine_id: &str) -> bool {
    context.local_machine.as_deref() == Some(machine_id)
}

/// ssh to the machine with that id, up to the point where the remote command follows.
pub async fn ssh_line(
    context: &mut Context<'_, '_>,
    machine_id: &str,
    port: Option<u16>,
    more: &[&str],
) -> Result<Vec<String>, Failure> {
    let ssh = context.ssh.clone();
    match context.machines().await.address(machine_id) {
        Some(address) => Ok(ssh.line(address, port, more)),
        None => Err(Failure::new(Exit::FAILURE, "Could not determine address of machine.")
            .with_hint(format!("machine {machine_id} is not in the cluster at present"))),
    }
}

/// A program with its arguments as one word for a shell.
fn quoted(program: &[String]) -> Result<String, Failure> {
    shlex::try_join(program.iter().map(String::as_str))
        .map_err(|error| Failure::new(Exit::USAGE, format!("cannot pass arguments to ssh: {error}")))
}

/// The ids of the machines that have a unit: the one it is scheduled to, or all that run a global unit.
pub async fn machines_of(context: &mut Context<'_, '_>, unit: &Unit, global: bool) -> Result<Vec<String>, Failure> {
    if !global {
        return Ok(Some(unit.machine_id.clone()).filter(|id| !id.is_empty()).into_iter().collect());
    }
    let states = context.client.states(Some(&unit.name), None).await;
    let what = format!("Error retrieving states of unit {}", unit.name);
    let states = states.map_err(|error| Failure::request(&what, &error))?;
    Ok(states.into_iter().map(|state| state.machine_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn arguments_survive_the_remote_shell() {
        let program = words(&["systemctl", "status", "-l", r"a'b\x2d $HOME;reboot.service"]);
        // What a shell makes of it is what went in.
        assert_eq!(shlex::split(&quoted(&program).unwrap()).unwrap(), program);
    }

    #[tokio::test]
    async fn the_exit_code_is_passed_on() {
        let line = |line: &[&str]| CommandLine { words: words(line), path: None };
        assert_eq!(line(&["sh", "-c", "exit 7"]).run().await.unwrap(), Exit::passed_on(7));
        assert_eq!(line(&["sh", "-c", "kill -TERM $$"]).run().await.unwrap(), Exit::passed_on(128 + 15));
        let failure = line(&["no-such-program"]).run().await.unwrap_err();
        assert!(failure.message.starts_with("cannot run no-such-program: "), "{}", failure.message);
    }
}
