//! From the command line to an exit code.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
};

use clap::{CommandFactory, FromArgMatches, error::ErrorKind};

use crate::{
    cli::{Cli, DaemonArgs, Verb},
    commands,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::printer::Printer,
    style::Style,
};

/// Verbs that fleetctl never had.
const FLOTA_ONLY: [&str; 3] = ["why", "daemon", "lab"];

/// What is left to do for the program.
#[derive(Debug)]
pub enum Outcome {
    /// End with this code.
    Exit(u8),
    /// Become the daemon.
    Daemon(DaemonArgs),
}

/// Where output goes, and what is known of it.
pub struct Terminal<'a> {
    /// Data.
    pub out: &'a mut dyn Write,
    /// Talk.
    pub err: &'a mut dyn Write,
    /// `err` is a terminal, so progress can be shown on it.
    pub interactive: bool,
}

/// Runs the command line of this process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let interactive = err.is_terminal();
    let terminal = Terminal { out: &mut out, err: &mut err, interactive };
    run_with(arguments, |name| std::env::var(name).ok(), terminal)
}

/// Runs a command line, program name first. `variable` reads the environment.
pub fn run_with(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
    terminal: Terminal<'_>,
) -> Outcome {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let style = arguments.first().map_or(Style::Flota, |program| Style::of_program(program));
    let mut printer = Printer::new(terminal.out, terminal.err, terminal.interactive);
    let cli = match parse(arguments, style) {
        Ok(Cli { verb: Verb::Daemon(arguments), .. }) => return Outcome::Daemon(arguments),
        Ok(cli) => cli,
        Err(error) => return Outcome::Exit(usage(&error, style, &mut printer).code(style)),
    };
    let exit = match dispatch(cli, style, variable, &mut printer) {
        Ok(exit) => exit,
        Err(failure) => explain(&failure, &mut printer),
    };
    Outcome::Exit(exit.code(style))
}

fn parse(arguments: Vec<OsString>, style: Style) -> Result<Cli, clap::Error> {
    let matches = command(style).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// The command as it is for `style`.
pub(crate) fn command(style: Style) -> clap::Command {
    let command = Cli::command();
    match style {
        Style::Flota => command,
        Style::Fleetctl => FLOTA_ONLY
            .into_iter()
            .fold(command, |command, verb| command.mut_subcommand(verb, |verb| verb.hide(true)))
            .name("fleetctl")
            .bin_name("fleetctl")
            .version(concat!("version ", env!("CARGO_PKG_VERSION")))
            .after_help(""),
    }
}

/// Prints help where it was asked for, and what is wrong otherwise.
fn usage(error: &clap::Error, style: Style, printer: &mut Printer<'_>) -> Exit {
    let text = error.render().to_string();
    let text = text.trim_end();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever does not read it to the end has seen enough.
            let _ = printer.line(text);
            Exit::SUCCESS
        }
        // fleetctl answers with its usage as if it had been asked for it.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if style == Style::Fleetctl => {
            let _ = printer.line(text);
            Exit::SUCCESS
        }
        _ => {
            printer.say(text);
            Exit::USAGE
        }
    }
}

fn explain(failure: &Failure, printer: &mut Printer<'_>) -> Exit {
    if !failure.message.is_empty() {
        printer.say(&failure.message);
    }
    if let Some(hint) = &failure.hint {
        printer.say(&format!("hint: {hint}"));
    }
    failure.exit
}

fn dispatch(
    cli: Cli,
    style: Style,
    variable: impl Fn(&str) -> Option<String>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Failure> {
    // These two need no daemon; the lab's code blocks, so it runs outside of the runtime.
    match cli.verb {
        Verb::Version => {
            printer.line(&format!("{} version {}", style.program(), env!("CARGO_PKG_VERSION")))?;
            return Ok(Exit::SUCCESS);
        }
        Verb::Lab(verb) => return commands::lab::run(printer, verb),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::FAILURE, format!("cannot start the runtime: {error}")))?;
    let mut context = Context::new(style, &cli.global, variable, printer)?;
    runtime.block_on(commands::run(&mut context, cli.verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command(Style::Flota).debug_assert();
        command(Style::Fleetctl).debug_assert();
    }

    fn verb(arguments: &[&str]) -> Verb {
        parse(arguments.iter().map(OsString::from).collect(), Style::Flota).unwrap().verb
    }

    #[test]
    fn fleets_ways_to_write_flags() {
        let Verb::ListMachines(list) = verb(&["fleetctl", "list-m", "-l", "--no-legend"]) else { panic!() };
        assert!(list.full && list.no_legend);
        let Verb::ListUnits(list) = verb(&["fleetctl", "list-units", "--l", "--fields=unit,sub"]) else { panic!() };
        assert!(list.full);
        assert_eq!(list.fields.as_deref(), Some("unit,sub"));
        let Verb::Journal(journal) = verb(&["fleetctl", "journal", "-f", "--lines=3", "--output", "cat", "a"]) else {
            panic!()
        };
        assert!(journal.follow);
        assert_eq!((journal.lines, journal.output.as_str()), (3, "cat"));
        let Verb::Start(start) = verb(&["flota", "--endpoint", "http://x", "start", "--block-attempts=20", "a", "b"])
        else {
            panic!()
        };
        assert_eq!((start.block.block_attempts, start.units.len()), (20, 2));
    }

    #[test]
    fn the_daemon_and_the_lab() {
        let Verb::Daemon(daemon) = verb(&["flota", "daemon", "--store-endpoints", "http://a:1,http://b:1", "-v"])
        else {
            panic!()
        };
        assert_eq!(daemon.store_endpoints, ["http://a:1", "http://b:1"]);
        assert!(daemon.verbose);
        let Verb::Lab(crate::cli::LabVerb::Exec(exec)) = verb(&["flota", "lab", "exec", "m1", "--", "ls", "-l"]) else {
            panic!()
        };
        assert_eq!((exec.machine.as_str(), exec.command), ("m1", vec!["ls".to_owned(), "-l".to_owned()]));
    }
}
