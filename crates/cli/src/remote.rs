//! Runs a program on a machine of the cluster: here if it is this machine, else through the system's ssh.

use flota_api::v1::Unit;
use tokio::process::Command;

use crate::{context::Context, exit::Exit, failure::Failure};

/// ssh's own default; not passed on, so that ssh's configuration counts.
const SSH_PORT: u16 = 22;

/// A program with its arguments, as it will be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// `program`, run here.
    pub fn local(program: &[String]) -> Self {
        Self(program.to_vec())
    }

    /// `program`, run on another machine. The shell there sees each argument as it is here.
    pub fn over_ssh(address: &str, user: Option<&str>, port: u16, program: &[String]) -> Result<Self, Failure> {
        let remote = shlex::try_join(program.iter().map(String::as_str))
            .map_err(|error| Failure::new(Exit::USAGE, format!("cannot pass arguments to ssh: {error}")))?;
        let mut line = vec!["ssh".to_owned()];
        if port != SSH_PORT {
            line.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = user {
            line.extend(["-l".to_owned(), user.to_owned()]);
        }
        // Nothing the cluster says can become an option of ssh.
        line.extend(["--".to_owned(), address.to_owned(), remote]);
        Ok(Self(line))
    }

    /// Starts it on the terminal of this process and waits for its end.
    pub async fn run(&self) -> Result<Exit, Failure> {
        let Some((program, arguments)) = self.0.split_first() else { return Ok(Exit::SUCCESS) };
        let status = Command::new(program).args(arguments).status().await;
        let status = status.map_err(|error| Failure::new(Exit::FAILURE, format!("cannot run {program}: {error}")))?;
        Ok(Exit::of_program(status))
    }
}

/// The command line that runs `program` on the machine with that id.
pub async fn on_machine(
    context: &mut Context<'_, '_>,
    machine_id: &str,
    port: u16,
    program: &[String],
) -> Result<CommandLine, Failure> {
    if context.local_machine.as_deref() == Some(machine_id) {
        return Ok(CommandLine::local(program));
    }
    let user = context.ssh_username.clone();
    let Some(address) = context.machines().await.address(machine_id) else {
        let text = format!("Could not determine address of machine {machine_id}.");
        return Err(Failure::new(Exit::FAILURE, text));
    };
    CommandLine::over_ssh(address, user.as_deref(), port, program)
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
        let line = CommandLine::over_ssh("10.1.1.1", Some("core"), 2222, &program).unwrap();
        assert_eq!(line.0[..7], words(&["ssh", "-p", "2222", "-l", "core", "--", "10.1.1.1"]));
        // What a shell makes of it is what went in.
        assert_eq!(shlex::split(&line.0[7]).unwrap(), program);
    }

    #[test]
    fn ssh_decides_what_is_not_asked_for() {
        let line = CommandLine::over_ssh("-oProxyCommand=x", None, 22, &words(&["true"])).unwrap();
        assert_eq!(line.0, words(&["ssh", "--", "-oProxyCommand=x", "true"]));
    }

    #[tokio::test]
    async fn the_exit_code_is_passed_on() {
        let exit = CommandLine::local(&words(&["sh", "-c", "exit 7"])).run().await.unwrap();
        assert_eq!(exit, Exit::passed_on(7));
        let exit = CommandLine::local(&words(&["sh", "-c", "kill -TERM $$"])).run().await.unwrap();
        assert_eq!(exit, Exit::passed_on(128 + 15));
        let failure = CommandLine::local(&words(&["no-such-program"])).run().await.unwrap_err();
        assert!(failure.message.starts_with("cannot run no-such-program: "), "{}", failure.message);
    }
}
