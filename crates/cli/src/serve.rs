//! From a command line written for etcd to the store's arguments.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, Command, CommandFactory, FromArgMatches};
use flota_confd::{go_flag, go_flags};

use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;
use crate::run::usage;
use crate::style::Style;

/// The etcd release whose behaviour is claimed.
const ETCD_VERSION: &str = "3.4.23";

/// The arguments after `etcd` or `flota store serve`, if the command line begins so.
///
/// Looked at before anything else, because some of etcd's flags have the names of flags that every other verb knows.
pub(crate) fn arguments_of(command_line: &[OsString]) -> Option<&[OsString]> {
    let (program, arguments) = command_line.split_first()?;
    if Path::new(program).file_name() == Some(OsStr::new("etcd")) {
        return Some(arguments);
    }
    match arguments {
        [store, serve, rest @ ..] if store == "store" && serve == "serve" => Some(rest),
        _ => None,
    }
}

/// What came of a command line.
#[derive(Debug)]
pub(crate) enum Serve {
    /// Run with these.
    Run(Box<ServeArgs>),
    /// Nothing to run.
    Exit(Exit),
}

/// Reads the arguments; prints what there is to print.
pub(crate) fn read(
    arguments: &[OsString],
    variable: impl Fn(&str) -> Option<String>,
    printer: &mut Printer<'_>,
) -> Result<Serve, Failure> {
    let serve = match parse(arguments, variable) {
        Ok(serve) => serve,
        Err(error) => return Ok(Serve::Exit(usage(&error, Style::Flota, printer))),
    };
    if serve.version {
        printer.data(&version())?;
        return Ok(Serve::Exit(Exit::SUCCESS));
    }
    match serve.refused.reason() {
        Some(reason) => Err(Failure::new(Exit::FAILURE, reason.to_owned())),
        None => Ok(Serve::Run(Box::new(serve))),
    }
}

fn parse(arguments: &[OsString], variable: impl Fn(&str) -> Option<String>) -> Result<ServeArgs, clap::Error> {
    // Switches that are Go's have to be known as switches while flags and values are told apart.
    let command = ServeArgs::command();
    let mut flags = vec![OsString::from("flota store serve")];
    flags.extend(environment(&command, variable));
    flags.extend(go_flags(&command, arguments));
    let matches = command.mut_args(go_flag).try_get_matches_from(flags)?;
    ServeArgs::from_arg_matches(&matches)
}

/// A flag for each `ETCD_` variable that is set; what the command line says comes after, and wins.
fn environment(command: &Command, variable: impl Fn(&str) -> Option<String>) -> Vec<OsString> {
    let names = command.get_arguments().filter_map(Arg::get_long).filter(|name| *name != "help" && *name != "version");
    let set = names.filter_map(|name| {
        let value = variable(&format!("ETCD_{}", name.replace('-', "_").to_uppercase()))?;
        (!value.is_empty()).then(|| format!("--{name}={value}").into())
    });
    set.collect()
}

/// In etcd's lines, of which scripts read the first.
fn version() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let os = std::env::consts::OS;
    let flota = env!("CARGO_PKG_VERSION");
    format!(
        "etcd Version: {ETCD_VERSION}\nGit SHA: none (Flota {flota})\nGo Version: none (Rust)\nGo OS/Arch: {os}/{arch}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::LogLevel;

    fn parsed(arguments: &[&str], variables: &[(&str, &str)]) -> ServeArgs {
        try_parsed(arguments, variables).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_parsed(arguments: &[&str], variables: &[(&str, &str)]) -> Result<ServeArgs, clap::Error> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        parse(&arguments, |name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn etcds_ways_to_write_flags() {
        let serve = parsed(
            &[
                "-name",
                "a",
                "--data-dir=/d",
                "-quota-backend-bytes=-1",
                "--client-cert-auth",
                "-enable-v2=false",
                "--auth-token",
                "-odd",
            ],
            &[],
        );
        assert_eq!((serve.name.as_str(), serve.data_dir.as_deref()), ("a", Some(Path::new("/d"))));
        assert_eq!((serve.quota_backend_bytes, serve.auth_token.as_str()), (-1, "-odd"));
        assert!(serve.client_cert_auth && !serve.enable_v2);
        assert_eq!(serve.listen_client_urls, ["http://localhost:2379"]);
        let serve = parsed(
            &["--quota-backend-bytes", "-1", "-listen-client-urls", "http://a:1,http://b:2", "-name=x", "-name=y"],
            &[],
        );
        assert_eq!((serve.quota_backend_bytes, serve.name.as_str()), (-1, "y"));
        assert_eq!(serve.listen_client_urls, ["http://a:1", "http://b:2"]);
    }

    #[test]
    fn etcds_variables_are_read_and_flags_win() {
        let variables = [
            ("ETCD_NAME", "e"),
            ("ETCD_LOG_LEVEL", "panic"),
            ("ETCD_DATA_DIR", ""),
            ("ETCD_DEBUG", "true"),
            ("ETCD_SNAPSHOT_COUNT", "5"),
        ];
        let serve = parsed(&["--name", "f"], &variables);
        assert_eq!((serve.name.as_str(), serve.log_level, serve.data_dir), ("f", LogLevel::Error, None));
        assert!(serve.debug);
        assert_eq!(serve.unused.0, ["snapshot-count"]);
    }

    #[test]
    fn what_has_no_meaning_is_accepted_and_remembered() {
        let serve = parsed(
            &["--strict-reconfig-check=false", "-snapshot-count", "100", "--peer-auto-tls", "--logger=zap"],
            &[],
        );
        assert_eq!(serve.unused.0, ["peer-auto-tls", "strict-reconfig-check", "logger", "snapshot-count"]);
    }

    #[test]
    fn an_unknown_flag_names_the_nearest() {
        let error = try_parsed(&["--listen-client-url", "http://a:1"], &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--listen-client-urls"), "{error}");
        assert!(try_parsed(&["stray"], &[]).is_err());
    }

    #[test]
    fn what_would_be_unsafe_to_pass_over_is_refused() {
        for flag in
            ["--config-file=x", "--unsafe-no-fsync", "--client-crl-file=x", "--proxy=on", "--discovery=http://x"]
        {
            assert!(parsed(&[flag], &[]).refused.reason().unwrap().contains(flag.split('=').next().unwrap()));
        }
        assert_eq!(parsed(&["--unsafe-no-fsync=false", "--proxy=off", "--config-file="], &[]).refused.reason(), None);
    }

    #[test]
    fn both_names_lead_here() {
        let line = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(arguments_of(&line(&["/usr/bin/etcd", "-name", "a"])).map(<[_]>::len), Some(2));
        assert_eq!(arguments_of(&line(&["flota", "store", "serve", "--debug"])).map(<[_]>::len), Some(1));
        assert_eq!(arguments_of(&line(&["flota", "start", "store"])), None);
    }
}
