//! From a command line written for confd to the layer of its flags.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches};
use flota_conf::settings::Layer;

use crate::cli::{ConfSource, ConfUnused, ConfWork, ConfdArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;
use crate::run::{go_flag, usage};
use crate::serve::go_flags;
use crate::style::Style;

/// What the configuration machinery is to be started as.
#[derive(Debug)]
pub struct ConfStart {
    /// What the flags say.
    pub flags: Layer,
    /// What counts where nobody says anything.
    pub below: Layer,
    /// The configuration file that was named.
    pub config_file: Option<PathBuf>,
    /// The command to supervise; none: only files are kept.
    pub command: Vec<OsString>,
}

/// The arguments after `confd`, if the program is called so.
pub(crate) fn arguments_of(command_line: &[OsString]) -> Option<&[OsString]> {
    let (program, arguments) = command_line.split_first()?;
    (Path::new(program).file_name() == Some(OsStr::new("confd"))).then_some(arguments)
}

/// Reads the arguments; prints what there is to print.
pub(crate) fn read(arguments: &[OsString], printer: &mut Printer<'_>) -> Result<Result<ConfStart, Exit>, Failure> {
    let confd = match parse(arguments) {
        Ok(confd) => confd,
        Err(error) => return Ok(Err(usage(&error, Style::Flota, printer))),
    };
    if confd.version {
        printer.line(concat!("confd 0.17.0-dev (Flota ", env!("CARGO_PKG_VERSION"), ")"))?;
        return Ok(Err(Exit::SUCCESS));
    }
    let mut flags = layer(&confd.source, &confd.work);
    flags.unused = unused(&confd.unused);
    Ok(Ok(ConfStart { flags, below: Layer::default(), config_file: confd.source.config_file, command: Vec::new() }))
}

/// The command as people type it.
pub(crate) fn command() -> clap::Command {
    ConfdArgs::command()
}

fn parse(arguments: &[OsString]) -> Result<ConfdArgs, clap::Error> {
    let command = command();
    // Go ends with the first word that is no flag, and confd reads none of those.
    let mut flags = vec![OsString::from("confd")];
    flags.extend(go_flags(&command, arguments).into_iter().take_while(|flag| flag.to_string_lossy().starts_with("--")));
    let matches = command.mut_args(go_flag).try_get_matches_from(flags)?;
    ConfdArgs::from_arg_matches(&matches)
}

/// The flags as a layer.
pub(crate) fn layer(source: &ConfSource, work: &ConfWork) -> Layer {
    let given = |switch: bool| switch.then_some(true);
    Layer {
        backend: source.backend.clone(),
        nodes: (!source.nodes.is_empty()).then(|| source.nodes.clone()),
        files: (!source.files.is_empty()).then(|| source.files.clone()),
        filter: source.filter.clone(),
        scheme: source.scheme.clone(),
        client_ca: source.client_ca_keys.clone(),
        client_cert: source.client_cert.clone(),
        client_key: source.client_key.clone(),
        basic_auth: given(source.basic_auth),
        username: source.username.clone(),
        password: source.password.clone(),
        confdir: source.confdir.clone(),
        interval: work.interval,
        noop: given(work.noop),
        onetime: given(work.onetime),
        watch: given(work.watch),
        sync_only: given(work.sync_only),
        keep_stage_file: given(work.keep_stage_file),
        prefix: source.prefix.clone(),
        srv_domain: source.srv_domain.clone(),
        srv_record: source.srv_record.clone(),
        log_level: work.log_level.clone(),
        state_dir: None,
        unused: Vec::new(),
    }
}

/// What counts for `flota conf` where nobody says anything: the gateway of this machine.
pub(crate) fn gateway() -> Layer {
    Layer {
        backend: Some("etcdv3".to_owned()),
        nodes: Some(vec!["http://127.0.0.1:4001".to_owned()]),
        ..Layer::default()
    }
}

fn unused(given: &ConfUnused) -> Vec<String> {
    let texts = [
        ("auth-token", &given.auth_token),
        ("auth-type", &given.auth_type),
        ("app-id", &given.app_id),
        ("user-id", &given.user_id),
        ("role-id", &given.role_id),
        ("secret-id", &given.secret_id),
        ("path", &given.path),
        ("separator", &given.separator),
        ("table", &given.table),
    ];
    let texts = texts.into_iter().filter(|(_, text)| text.is_some()).map(|(name, _)| name.to_owned());
    texts.chain(given.client_insecure.then(|| "client-insecure".to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(arguments: &[&str]) -> Layer {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let confd = parse(&arguments).unwrap_or_else(|error| panic!("{error}"));
        Layer { unused: unused(&confd.unused), ..layer(&confd.source, &confd.work) }
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
        let switches =
            ["basic-auth", "client-insecure", "watch", "onetime", "noop", "sync-only", "keep-stage-file", "version"];
        assert_eq!(values.len() + switches.len() + 1, 34, "and interval");
        for name in values {
            flags(&[&format!("-{name}"), "x"]);
        }
        for name in switches {
            flags(&[&format!("--{name}")]);
        }
        assert_eq!(flags(&["-table", "t", "-client-insecure"]).unused, ["table", "client-insecure"]);
        assert!(parse(&["-nosuch".into()]).is_err());
    }
}
