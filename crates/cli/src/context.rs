//! What every command has at hand: the client, the printer, and how it was called.

use std::ffi::OsString;

use flota_api::{
    Client, ClientError,
    v1::{Unit, UnitOption},
};
use flota_unit::{UnitFile, UnitName};
use serde::Serialize;
use tokio::process::Command;

use crate::{
    exit::Exit,
    failure::Failure,
    output::{legend::Machines, printer::Printer},
    settings::Settings,
    ssh::Ssh,
    style::Style,
    tunnel::Tunnel,
};

/// Requests of one command that are under way at once. Whoever names hundreds of units need not wait for each, and the
/// cluster decides about many of them together.
pub const MAX_AT_ONCE: usize = 16;

/// What every command has at hand.
pub struct Context<'a, 'b> {
    /// How output is laid out.
    pub style: Style,
    /// The daemon.
    pub client: Client,
    /// The way out.
    pub printer: &'a mut Printer<'b>,
    /// How ssh is called.
    pub ssh: Ssh,
    /// The id of the machine that this runs on.
    pub local_machine: Option<String>,
    /// The shell of whoever runs this.
    pub shell: Option<String>,
    /// Where programs are looked for, if not where this process would.
    pub path: Option<OsString>,
    /// Say which programs are run.
    pub debug: bool,
    tunnel: Option<Tunnel>,
    machines: Option<Machines>,
}

/// One result on a line of its own, as `--output json` prints it.
#[derive(Debug, Serialize)]
pub struct UnitResult<'a> {
    /// The unit.
    pub unit: &'a str,
    /// What became of it: a state, `destroyed`, or `triggered` when nothing was waited for.
    pub result: &'a str,
    /// The machine that it is on.
    #[serde(rename = "machineID", skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<&'a str>,
}

impl<'a, 'b> Context<'a, 'b> {
    /// The context of one run. Opens the tunnel, if there is one.
    pub async fn open(style: Style, settings: Settings, printer: &'a mut Printer<'b>) -> Result<Self, Failure> {
        let Settings { endpoint, tunnel, mut ssh, path, shell, debug, warnings } = settings;
        for warning in warnings {
            printer.say(&warning);
        }
        if debug {
            printer.say(&format!("DEBUG endpoint {endpoint}"));
        }
        let tunnel = match tunnel {
            Some(gateway) => {
                let command = |line: &[String]| {
                    if debug {
                        printer.say(&format!("DEBUG run {}", line.join(" ")));
                    }
                    command(line, path.as_ref())
                };
                Some(Tunnel::open(gateway, &ssh, &endpoint, command).await?)
            }
            None => None,
        };
        ssh.jump = tunnel.as_ref().map(Tunnel::jump).transpose()?;
        Ok(Self {
            style,
            client: Client::new(tunnel.as_ref().map_or(endpoint, Tunnel::endpoint)),
            printer,
            ssh,
            local_machine: std::fs::read_to_string("/etc/machine-id").ok().map(|id| id.trim().to_owned()),
            shell,
            path,
            debug,
            tunnel,
            machines: None,
        })
    }

    /// Whether the client asks the daemon of another machine, through ssh.
    pub fn has_tunnel(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Adds what there is to say about a tunnel to a daemon that does not answer.
    pub fn explain(&self, failure: Failure) -> Failure {
        match &self.tunnel {
            Some(tunnel) if failure.exit == Exit::UNAVAILABLE => failure.with_hint(tunnel.hint()),
            _ => failure,
        }
    }

    /// The machines of the cluster, asked for once.
    pub async fn machines(&mut self) -> &Machines {
        if self.machines.is_none() {
            self.machines = Some(Machines::fetch(&self.client).await);
        }
        self.machines.get_or_insert_default()
    }

    /// The name of a machine in output.
    pub async fn legend(&mut self, id: &str) -> String {
        self.machines().await.legend(id, false)
    }

    /// A unit, if the cluster has it.
    pub async fn known_unit(&self, name: &UnitName) -> Result<Option<Unit>, Failure> {
        self.client.unit(name.as_str()).await.map_err(|error| retrieving(name, &error))
    }
}

/// A program with its arguments, looked for along `path` if given.
pub fn command(line: &[String], path: Option<&OsString>) -> Command {
    let (program, arguments) = line.split_first().map_or(("true", &[][..]), |(first, rest)| (first.as_str(), rest));
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command
}

/// A failure to read a unit from the daemon.
pub fn retrieving(name: &UnitName, error: &ClientError) -> Failure {
    Failure::request(&format!("Error retrieving unit {name}"), error)
}

/// The file of a unit that the daemon sent; nothing if it is not one that could have been submitted.
pub fn file_of(unit: &Unit) -> Option<UnitFile> {
    let options = unit.options.iter().cloned().map(|UnitOption { section, name, value }| (section, name, value));
    UnitFile::from_options(options).ok()
}
