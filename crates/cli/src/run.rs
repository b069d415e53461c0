//! From the command line to an exit code.

use std::{
    ffi::OsString,
    future::pending,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use clap::{
    Arg, ArgAction, Args, CommandFactory, FromArgMatches,
    error::{ContextKind, ErrorKind},
};
use flota_confd::{ConfStart, go_flag};
use tokio::{
    io::Interest,
    net::unix::pipe::Sender,
    signal::unix::{SignalKind, signal},
};

use crate::{
    cli::{Cli, DaemonArgs, FirstbootVerb, Global, KvArgs, ServeArgs, StoreVerb, Verb},
    commands, completion, confd,
    context::Context,
    exit::Exit,
    failure::Failure,
    kv::KvSettings,
    manual,
    output::printer::Printer,
    serve::{self, Serve},
    settings::Settings,
    style::Style,
};

/// What `verify` says; there is nothing left that it could do.
const VERIFY: &str = "WARNING: verify is deprecated: fleet gave up signed units, there is nothing to verify";
/// The code that fleetctl's `verify` ends with, under either name.
const VERIFY_CODE: i32 = 2;

/// Verbs that fleetctl never had.
const FLOTA_ONLY: [&str; 17] = [
    "why",
    "doctor",
    "kv",
    "conf",
    "daemon",
    "store",
    "lab",
    "image",
    "firstboot",
    "cordon",
    "uncordon",
    "drain",
    "remove-machine",
    "leave",
    "join",
    "token",
    "completion",
];

/// What is left to do for the program.
#[derive(Debug)]
pub enum Outcome {
    /// End with this code.
    Exit(u8),
    /// Become the daemon.
    Daemon(Box<DaemonArgs>),
    /// Become the store, and nothing else.
    Store(Box<ServeArgs>),
    /// Become confd.
    Conf(Box<ConfStart>),
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
    if let Some(shell) = variable(completion::VARIABLE).filter(|shell| !shell.is_empty()) {
        // A shell shows no errors while somebody types.
        let answered = completion::answer(&shell, &arguments).and_then(|text| printer.bytes(&text));
        return Outcome::Exit(u8::from(answered.is_err()));
    }
    if let Some(arguments) = serve::arguments_of(&arguments) {
        return store(arguments, variable, &mut printer);
    }
    if let Some(arguments) = confd::arguments_of(&arguments) {
        return match confd::read(arguments, &mut printer) {
            Ok(Ok(start)) => Outcome::Conf(Box::new(start)),
            Ok(Err(exit)) => Outcome::Exit(exit.code(Style::Flota)),
            Err(failure) => Outcome::Exit(explain(&failure, &mut printer).code(Style::Flota)),
        };
    }
    if let Some(arguments) = daemon(&arguments) {
        return Outcome::Daemon(Box::new(arguments));
    }
    let cli = match parse(arguments, style) {
        Ok(Cli { verb: Verb::Daemon(arguments), .. }) => return Outcome::Daemon(Box::new(arguments)),
        Ok(Cli { verb: Verb::Store(StoreVerb::Serve(raw)), .. }) => {
            return store(&raw.arguments, variable, &mut printer);
        }
        Ok(cli) => match cli.verb {
            Verb::Conf(verb) if commands::conf::start(&verb).is_some() => {
                return commands::conf::start(&verb).map_or(Outcome::Exit(0), |start| Outcome::Conf(Box::new(start)));
            }
            verb => Cli { verb, ..cli },
        },
        Err(error) => return Outcome::Exit(usage(&error, style, &mut printer).code(style)),
    };
    let exit = match dispatch(cli, style, variable, &mut printer) {
        Ok(exit) => exit,
        Err(failure) => explain(&failure, &mut printer),
    };
    Outcome::Exit(exit.code(style))
}

/// The daemon's own options, where there is nothing else. A daemon lies in memory for as long as the machine runs: what
/// reads all the other verbs would be a part of it.
fn daemon(command_line: &[OsString]) -> Option<DaemonArgs> {
    let own = command_line.get(1..).filter(|own| own.first().is_some_and(|verb| verb == "daemon"))?;
    // Errors and help are the whole parser's to tell.
    DaemonArgs::from_arg_matches(
        &DaemonArgs::augment_args(clap::Command::new("daemon")).try_get_matches_from(own).ok()?,
    )
    .ok()
}

fn store(arguments: &[OsString], variable: impl Fn(&str) -> Option<String>, printer: &mut Printer<'_>) -> Outcome {
    match serve::read(arguments, variable, printer) {
        Ok(Serve::Run(serve)) => Outcome::Store(serve),
        Ok(Serve::Exit(exit)) => Outcome::Exit(exit.code(Style::Flota)),
        Err(failure) => Outcome::Exit(explain(&failure, printer).code(Style::Flota)),
    }
}

fn parse(arguments: Vec<OsString>, style: Style) -> Result<Cli, clap::Error> {
    let matches = command(style).try_get_matches_from(fleets_help(arguments))?;
    Cli::from_arg_matches(&matches)
}

/// fleetctl also took `--h` for `--help`.
fn fleets_help(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let own = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    arguments[..own].iter_mut().filter(|argument| *argument == "--h").for_each(|argument| *argument = "--help".into());
    arguments
}

/// The command as it is for `style`.
pub(crate) fn command(style: Style) -> clap::Command {
    let version = Arg::new("version").long("version").short('v').short_alias('V').action(ArgAction::Version);
    let command = Cli::command().arg(version.help("Print the version").help_heading(None::<&str>));
    match style {
        Style::Flota => command,
        Style::Fleetctl => FLOTA_ONLY
            .into_iter()
            .fold(command, |command, verb| command.mut_subcommand(verb, |verb| verb.hide(true)))
            .mut_subcommands(|verb| verb.mut_args(go_flag))
            .name("fleetctl")
            .bin_name("fleetctl")
            .version(concat!("version ", env!("CARGO_PKG_VERSION")))
            .after_help(""),
    }
}

/// Prints help where it was asked for, and what is wrong otherwise.
pub(crate) fn usage(error: &clap::Error, style: Style, printer: &mut Printer<'_>) -> Exit {
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
        ErrorKind::InvalidSubcommand if style == Style::Fleetctl => {
            let verb = error.get(ContextKind::InvalidSubcommand).map(ToString::to_string).unwrap_or_default();
            printer.say(&format!("Error: unknown command \"{verb}\" for \"fleetctl\""));
            printer.say("Run 'fleetctl help' for usage.");
            Exit::USAGE
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
    // These need no daemon; the lab's code and fd-forward's block, so they run outside of the runtime.
    match cli.verb {
        Verb::Version => {
            printer.line(&format!("{} version {}", style.program(), env!("CARGO_PKG_VERSION")))?;
            return Ok(Exit::SUCCESS);
        }
        Verb::Verify { .. } => {
            printer.say(VERIFY);
            return Ok(Exit::passed_on(VERIFY_CODE));
        }
        Verb::Completion(arguments) => {
            printer.bytes(&completion::script(arguments.shell)?)?;
            return Ok(Exit::SUCCESS);
        }
        Verb::Man(arguments) => return manual::write(&arguments.dir),
        Verb::FdForward(arguments) => return commands::fd_forward::run(printer, &arguments),
        Verb::Lab(verb) => return commands::lab::run(printer, verb),
        Verb::Image(verb) => {
            let runtime = runtime()?;
            let _within = runtime.enter();
            return commands::image::run(printer, *verb);
        }
        Verb::Firstboot(FirstbootVerb::Apply(arguments)) => return commands::firstboot::apply(printer, &arguments),
        Verb::Firstboot(FirstbootVerb::Check(arguments)) => return commands::firstboot::show(printer, &arguments),
        Verb::Conf(verb) if !verb.asks_daemon() => {
            return runtime()?.block_on(commands::conf::run(printer, *verb, variable));
        }
        Verb::Store(StoreVerb::Backup(arguments)) => {
            return runtime()?.block_on(commands::store::backup(printer, arguments, variable));
        }
        Verb::Store(StoreVerb::Status(arguments)) => {
            return runtime()?.block_on(commands::store::status(printer, arguments, variable));
        }
        Verb::Store(StoreVerb::Check(arguments)) => {
            return runtime()?.block_on(commands::store_check::run(printer, &arguments));
        }
        Verb::Store(StoreVerb::Migrate(arguments)) => {
            return runtime()?.block_on(commands::store_migrate::run(printer, &arguments));
        }
        Verb::Store(StoreVerb::Restore(arguments)) => return commands::store::restore(printer, &arguments),
        _ => {}
    }
    if let Verb::Doctor(arguments) = cli.verb {
        let settings = Settings::new(style, &cli.global, variable)?;
        let runtime = runtime()?;
        let ended = runtime.block_on(commands::doctor::run(printer, settings, &arguments));
        // What did not answer in time, such as a file system, is not waited for.
        runtime.shutdown_background();
        return ended;
    }
    if let Verb::Kv(arguments) = cli.verb {
        return kv(*arguments, cli.global, style, variable, printer);
    }
    let settings = Settings::new(style, &cli.global, variable)?;
    let runtime = runtime()?;
    // Without a tunnel there is nothing to tidy up, and a signal does what it always does.
    let untidy = settings.tunnel.is_some();
    let command = async {
        let mut context = Context::open(style, settings, printer).await?;
        let result = commands::run(&mut context, cli.verb).await;
        // Whoever only reads is to know it too.
        if let (Ok(_), Some(why)) = (&result, context.client.frozen()) {
            context.printer.say(&format!("WARNING: the daemon's machine takes no orders, units run on: {why}"));
        }
        result.map_err(|failure| context.explain(failure))
    };
    runtime.block_on(async {
        tokio::select! {
            result = command => result,
            () = interrupted(), if untidy => Ok(Exit::INTERRUPTED),
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(Exit::FAILURE, format!("cannot start the runtime: {error}")))
}

/// `kv`, whose `--endpoint` is a store and not a daemon. A tunnel leads to that store.
fn kv(
    arguments: KvArgs,
    mut global: Global,
    style: Style,
    variable: impl Fn(&str) -> Option<String>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Failure> {
    let store = KvSettings::new(&arguments.connection, &variable)?;
    global.endpoint = None;
    let mut settings = Settings::new(style, &global, variable)?;
    if settings.tunnel.is_some() {
        settings.endpoint = store.tunnelled()?;
    }
    runtime()?.block_on(async {
        let mut context = Context::open(style, settings, printer).await?;
        let result = commands::kv::run(&mut context, store, arguments.verb).await;
        result.map_err(|failure| context.explain(failure))
    })
}

/// Waits until nobody can read standard output any more, where it is a pipe or a socket. A program that has nothing to
/// write would not notice.
pub(crate) async fn unread() {
    let out = io::stdout().as_fd().try_clone_to_owned();
    // Unchecked: the checked way would make writes to the pipe fail instead of wait. What epoll does not take, such as a
    // file, always has room.
    let Ok(out) = out.and_then(Sender::from_owned_fd_unchecked) else { return pending().await };
    // Only the end of its reader is an error of a pipe.
    let _ = out.ready(Interest::ERROR).await;
}

/// Waits for a signal that ends commands.
pub(crate) async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
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
    fn the_daemon() {
        let Verb::Daemon(daemon) = verb(&["flota", "daemon", "--store-endpoints", "http://a:1,http://b:1", "-v"])
        else {
            panic!()
        };
        assert_eq!(daemon.store_endpoints, ["http://a:1", "http://b:1"]);
        assert!(daemon.verbose);
    }

    #[test]
    fn a_daemon_is_read_the_short_way_as_by_the_whole_parser() {
        let line = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for words in
            [&["flota", "daemon"][..], &["flota", "daemon", "-v", "--address=10.0.0.1", "--api-listen", "/a,/b"]]
        {
            let Verb::Daemon(whole) = verb(words) else { panic!() };
            assert_eq!(format!("{:?}", super::daemon(&line(words)).unwrap()), format!("{whole:?}"));
        }
        for words in
            [&["flota", "daemon", "--help"][..], &["flota", "daemon", "--bogus"], &["flota", "list-units"], &["flota"]]
        {
            assert!(super::daemon(&line(words)).is_none(), "{words:?}");
        }
    }

    #[test]
    fn the_lab() {
        let Verb::Lab(crate::cli::LabVerb::Exec(exec)) = verb(&["flota", "lab", "exec", "m1", "--", "ls", "-l"]) else {
            panic!()
        };
        assert_eq!((exec.machine.as_str(), exec.command), ("m1", vec!["ls".to_owned(), "-l".to_owned()]));
    }
}
