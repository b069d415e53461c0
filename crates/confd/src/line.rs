//! From a command line written for confd to what it begins with.

use std::ffi::OsString;

use clap::{Command, CommandFactory, FromArgMatches, Parser};
use flota_conf::settings::Layer;

use crate::flags::{ConfExecArgs, ConfWork, ConfdArgs, layer};
use crate::go::{go_flag, go_flags};
use crate::life::ConfStart;

/// What `-version` prints.
pub const VERSION: &str = concat!("confd 0.17.0-dev (Flota ", env!("CARGO_PKG_VERSION"), ")");
/// The one word that is not a flag.
const EXEC: &str = "exec";

/// What a command line asks for.
#[derive(Debug)]
pub enum Line {
    /// To live as confd.
    Start(Box<ConfStart>),
    /// [`VERSION`].
    Version,
}

/// The command line of `confd exec`.
#[derive(Debug, Parser)]
#[command(name = "confd exec", about = "Start a command when its files are there, and keep them in line while it runs")]
struct Exec {
    #[command(flatten)]
    arguments: ConfExecArgs,
}

/// Reads the arguments behind the program's name. What is wrong with them, and help that was asked for, is the error.
pub fn read(arguments: &[OsString]) -> Result<Line, clap::Error> {
    if let Some((first, rest)) = arguments.split_first()
        && first == EXEC
    {
        let exec: Exec = parse("confd exec", go_flags(&Exec::command(), rest))?;
        return Ok(Line::Start(Box::new(ConfStart::exec(&exec.arguments, Layer::default()))));
    }
    // Go ends with the first word that is no flag, and confd reads none of those.
    let flags = go_flags(&command(), arguments).into_iter();
    let confd: ConfdArgs =
        parse("confd", flags.take_while(|flag| flag.to_string_lossy().starts_with("--") && flag != "--"))?;
    if confd.version {
        return Ok(Line::Version);
    }
    let flags = Layer { unused: confd.unused.names(), ..layer(&confd.source, &confd.work) };
    let start =
        ConfStart { flags, below: Layer::default(), config_file: confd.source.config_file, command: Vec::new() };
    Ok(Line::Start(Box::new(start)))
}

/// The command as people type it.
pub fn command() -> Command {
    ConfdArgs::command()
}

fn parse<T: CommandFactory + FromArgMatches>(
    name: &str,
    flags: impl IntoIterator<Item = OsString>,
) -> Result<T, clap::Error> {
    let words = std::iter::once(OsString::from(name)).chain(flags);
    T::from_arg_matches(&T::command().mut_args(go_flag).try_get_matches_from(words)?)
}

impl ConfStart {
    /// Supervises a command; `below` counts where nobody says anything.
    pub fn exec(arguments: &ConfExecArgs, below: Layer) -> ConfStart {
        let work = ConfWork { log_level: arguments.log_level.clone(), ..ConfWork::default() };
        ConfStart {
            flags: layer(&arguments.source, &work),
            below,
            config_file: arguments.source.config_file.clone(),
            command: arguments.command.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(arguments: &[OsString]) -> ConfStart {
        match read(arguments) {
            Ok(Line::Start(start)) => *start,
            Ok(Line::Version) => panic!("only the version"),
            Err(error) => panic!("{error}"),
        }
    }

    fn flags(arguments: &[&str]) -> Layer {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        start(&arguments).flags
    }

    #[test]
    fn gos_ways_to_write_flags() {
        for line in [
            &["-onetime", "-backend", "etcdv3", "-node", "a:1", "-node=b:2", "-interval", "5"][..],
            &[
                "--onetime=true",
                "--backend=etcdv3",
                "--node",
                "a:1",
                "--node",
                "b:2",
                "--interval=5",
                "positional",
                "-watch",
            ],
        ] {
            let layer = flags(line);
            assert_eq!((layer.onetime, layer.watch, layer.interval), (Some(true), None, Some(5)), "{line:?}");
            assert_eq!(layer.nodes.unwrap(), ["a:1", "b:2"]);
        }
        assert_eq!(flags(&["-watch=false"]).watch, None);
    }

    #[test]
    fn all_34_flags_of_confds_are_known() {
        let values = [
            "auth-token",
            "auth-type",
            "app-id",
            "user-id",
            "role-id",
            "secret-id",
            "path",
            "backend",
            "username",
            "password",
            "client-ca-keys",
            "client-cert",
            "client-key",
            "confdir",
            "config-file",
            "prefix",
            "log-level",
            "node",
            "scheme",
            "srv-domain",
            "srv-record",
            "file",
            "filter",
            "separator",
            "table",
        ];
        let switches = ["basic-auth", "client-insecure", "watch", "onetime", "noop", "sync-only", "keep-stage-file"];
        assert_eq!(values.len() + switches.len() + 2, 34, "and interval and version");
        for name in values {
            flags(&[&format!("-{name}"), "x"]);
        }
        for name in switches {
            flags(&[&format!("--{name}")]);
        }
        assert_eq!(flags(&["-table", "t", "-client-insecure"]).unused, ["table", "client-insecure"]);
        assert!(read(&["-nosuch".into()]).is_err());
    }
}
