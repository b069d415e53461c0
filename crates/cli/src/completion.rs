//! What the Tab key shows: verbs, flags, and the units and machines that there are at this moment.
//!
//! `flota completion SHELL` prints a script. At each Tab the script calls the program with the words of the line and
//! `FLOTA_COMPLETE` set, and shows what the program answers.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::Duration,
};

use clap::{Arg, Command};
use clap_complete::{
    CompletionCandidate,
    engine::{ArgValueCompleter, PathCompleter, ValueCompleter},
    env::{Bash, EnvCompleter, Fish, Zsh},
};
use flota_api::{Client, ClientError};

use crate::{
    cli::{Global, Shell},
    run,
    settings::Settings,
    style::Style,
};

/// The variable that makes the program complete a line instead of running it; its value is the shell.
pub const VARIABLE: &str = "FLOTA_COMPLETE";
/// How long the daemon may take to answer; whoever types waits for it.
const MAX_WAIT: Duration = Duration::from_millis(300);
/// The most names that are shown.
const MAX_NAMES: usize = 500;
/// Verbs whose units may be files, too.
const TAKE_FILES: [&str; 3] = ["submit", "load", "start"];
/// The program's names.
const NAMES: [&str; 3] = ["flota", "fleetctl", "confd"];

/// What makes a shell ask for completions.
pub fn script(shell: Shell) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match shell {
        Shell::Bash => text.extend_from_slice(include_bytes!("completion.bash")),
        Shell::Zsh => text.extend_from_slice(include_bytes!("completion.zsh")),
        Shell::Fish => {
            for name in NAMES {
                Fish.write_registration(VARIABLE, name, name, NAMES[0], &mut text)?;
            }
        }
    }
    Ok(text)
}

/// The answer to a shell that set [`VARIABLE`] to `shell`, and gave the words of the line after `--`.
pub fn answer(shell: &str, arguments: &[OsString]) -> std::io::Result<Vec<u8>> {
    let shell: &dyn EnvCompleter = match shell {
        "bash" => &Bash,
        "zsh" => &Zsh,
        "fish" => &Fish,
        _ => return Ok(Vec::new()),
    };
    let mut text = Vec::new();
    let words = arguments.iter().position(|argument| argument == "--").map_or(&[][..], |at| &arguments[at + 1..]);
    if let Some(program) = words.first() {
        shell.write_complete(&mut command(program), words.to_vec(), Some(Path::new(".")), &mut text)?;
    }
    Ok(text)
}

/// The command line of the program by that name, with what is known of its values.
fn command(program: &OsStr) -> Command {
    if Path::new(program).file_name() == Some(OsStr::new("confd")) {
        return flota_confd::command();
    }
    let command = run::command(Style::of_program(program));
    command.mut_subcommands(|verb| {
        let files = TAKE_FILES.contains(&verb.get_name());
        with_names(verb, files)
    })
}

/// Arguments are known by the names of their values.
fn with_names(verb: Command, files: bool) -> Command {
    let complete =
        |arg: Arg| match arg.get_value_names().and_then(|names| names.first()).map(clap::builder::Str::as_str) {
            Some("UNIT") if files => arg.add(ArgValueCompleter::new(units_and_files)),
            Some("UNIT") => arg.add(ArgValueCompleter::new(units)),
            Some("MACHINE") => arg.add(ArgValueCompleter::new(machines)),
            Some("MACHINE|UNIT") => arg.add(ArgValueCompleter::new(machines_and_units)),
            _ => arg,
        };
    verb.mut_args(complete)
}

fn units(current: &OsStr) -> Vec<CompletionCandidate> {
    let units = ask(async |client| client.units().await).unwrap_or_default();
    let units = units.into_iter().map(|unit| {
        let state = unit.current_state.map(|state| state.as_str().into());
        CompletionCandidate::new(unit.name).help(state)
    });
    beginning_with(current, units)
}

fn units_and_files(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = units(current);
    all.extend(PathCompleter::file().current_dir(".").complete(current));
    all
}

/// By the beginning of their ids, or by their addresses once somebody types one.
fn machines(current: &OsStr) -> Vec<CompletionCandidate> {
    let machines = ask(async |client| client.all_machines().await).unwrap_or_default();
    let by_address = current.to_string_lossy().contains('.');
    let machines = machines.into_iter().map(|machine| {
        let id = machine.id.get(..crate::output::legend::SHORT_ID).unwrap_or(&machine.id).to_owned();
        let (name, other) = if by_address { (machine.address, id) } else { (id, machine.address) };
        CompletionCandidate::new(name).help(Some(other.into()))
    });
    beginning_with(current, machines)
}

fn machines_and_units(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = machines(current);
    all.extend(units(current));
    all
}

fn beginning_with(current: &OsStr, all: impl Iterator<Item = CompletionCandidate>) -> Vec<CompletionCandidate> {
    let begins = |candidate: &CompletionCandidate| {
        candidate.get_value().as_encoded_bytes().starts_with(current.as_encoded_bytes())
    };
    all.filter(begins).take(MAX_NAMES).collect()
}

/// Asks the daemon that the environment names, or this machine's. Nobody may have to wait for a name: no tunnel, and no
/// answer is as good as an empty one.
fn ask<T>(request: impl AsyncFnOnce(Client) -> Result<T, ClientError>) -> Option<T> {
    let settings = Settings::new(Style::Flota, &Global::default(), |name| std::env::var(name).ok()).ok()?;
    if settings.tunnel.is_some() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let request = async { tokio::time::timeout(MAX_WAIT, request(Client::new(settings.endpoint))).await };
    runtime.block_on(request).ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let words = ["flota", "--"].into_iter().chain(line.split(' ')).map(OsString::from).collect::<Vec<_>>();
        let text = String::from_utf8(answer("fish", &words).unwrap()).unwrap();
        text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn verbs_and_flags_are_completed_under_every_name() {
        assert_eq!(complete("flota unl"), ["unload"]);
        assert_eq!(complete("flota drain --reas"), ["--reason"]);
        assert_eq!(complete("flota completion z"), ["zsh"]);
        let fleets = complete("fleetctl ");
        assert!(fleets.contains(&"start".to_owned()) && !fleets.contains(&"drain".to_owned()), "{fleets:?}");
        assert_eq!(complete("/usr/bin/fleetctl list-m"), ["list-machines"]);
        assert_eq!(complete("confd --onet"), ["--onetime"]);
    }

    #[test]
    fn unit_files_are_completed_where_they_are_taken() {
        assert_eq!(complete("flota start Cargo.t"), ["Cargo.toml"]);
        assert_eq!(complete("flota stop Cargo.t"), [""; 0]);
    }

    #[test]
    fn a_shell_that_is_unknown_gets_nothing() {
        assert_eq!(answer("tcsh", &["flota".into(), "--".into(), "flota".into()]).unwrap(), b"");
        assert_eq!(answer("bash", &["flota".into()]).unwrap(), b"");
    }

    #[test]
    fn scripts_are_for_all_names() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(script(shell).unwrap()).unwrap();
            for name in NAMES {
                assert!(text.contains(name), "{shell:?}: {text}");
            }
            assert!(text.contains("FLOTA_COMPLETE"), "{shell:?}");
        }
    }
}
