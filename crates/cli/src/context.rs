//! What every command has at hand: the client, the printer, and how it was called.

use std::path::Path;

use flota_api::{
    Client, ClientError, Endpoint,
    v1::{Unit, UnitOption},
};
use flota_unit::{UnitFile, UnitName};
use serde::Serialize;

use crate::{
    cli::Global,
    exit::Exit,
    failure::Failure,
    output::{legend::Machines, printer::Printer},
    style::Style,
};

/// The daemon's own socket.
const FLOTA_SOCKET: &str = "/run/flota/api.sock";
/// The socket where fleet's clients look.
const FLEET_SOCKET: &str = "/run/fleet.sock";
/// fleetctl's default endpoint.
const FLEETCTL_ENDPOINT: &str = "unix:///var/run/fleet.sock";

/// What every command has at hand.
pub struct Context<'a, 'b> {
    /// How output is laid out.
    pub style: Style,
    /// The daemon.
    pub client: Client,
    /// The way out.
    pub printer: &'a mut Printer<'b>,
    /// The user for ssh, if not the one ssh would take.
    pub ssh_username: Option<String>,
    /// The id of the machine that this runs on.
    pub local_machine: Option<String>,
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
    /// The context of one run. `variable` reads the environment.
    pub fn new(
        style: Style,
        global: &Global,
        variable: impl Fn(&str) -> Option<String>,
        printer: &'a mut Printer<'b>,
    ) -> Result<Self, Failure> {
        let url = endpoint(style, global.endpoint.as_deref(), variable, Path::exists);
        let endpoint: Endpoint = url.parse().map_err(|error| {
            Failure::new(Exit::USAGE, format!("Unable to initialize client: {error}")).with_hint(format!(
                "the endpoint is \"{url}\"; it looks like unix:///run/flota/api.sock or http://host:port"
            ))
        })?;
        Ok(Self {
            style,
            client: Client::new(endpoint),
            printer,
            ssh_username: global.ssh_username.clone(),
            local_machine: std::fs::read_to_string("/etc/machine-id").ok().map(|id| id.trim().to_owned()),
            machines: None,
        })
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

/// The names that arguments mean; fails on the first that is none.
pub fn unit_names(arguments: &[String]) -> Result<Vec<UnitName>, Failure> {
    if arguments.is_empty() {
        return Err(Failure::new(Exit::USAGE, "No units given"));
    }
    arguments.iter().map(|argument| unit_name(argument)).collect()
}

/// The name that an argument means.
pub fn unit_name(argument: &str) -> Result<UnitName, Failure> {
    UnitName::from_argument(argument)
        .map_err(|error| Failure::new(Exit::USAGE, format!("Invalid unit name \"{argument}\": {error}")))
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

fn endpoint(
    style: Style,
    flag: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
    exists: impl Fn(&Path) -> bool,
) -> String {
    let variables = match style {
        Style::Flota => ["FLOTA_ENDPOINT", "FLEETCTL_ENDPOINT"],
        Style::Fleetctl => ["FLEETCTL_ENDPOINT", "FLOTA_ENDPOINT"],
    };
    let given = flag.map(str::to_owned).or_else(|| variables.into_iter().find_map(variable));
    if let Some(url) = given.filter(|url| !url.is_empty()) {
        return url;
    }
    match style {
        Style::Fleetctl => FLEETCTL_ENDPOINT.to_owned(),
        Style::Flota if !exists(Path::new(FLOTA_SOCKET)) && exists(Path::new(FLEET_SOCKET)) => {
            format!("unix://{FLEET_SOCKET}")
        }
        Style::Flota => format!("unix://{FLOTA_SOCKET}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(style: Style, flag: Option<&str>, variables: &[(&str, &str)], sockets: &[&str], expected: &str) {
        let variable =
            |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        let exists = |path: &Path| sockets.iter().any(|socket| Path::new(socket) == path);
        assert_eq!(endpoint(style, flag, variable, exists), expected);
    }

    #[test]
    fn the_flag_wins_then_the_environment_then_the_socket_that_is_there() {
        use Style::{Fleetctl, Flota};
        let both = [("FLEETCTL_ENDPOINT", "http://a:1"), ("FLOTA_ENDPOINT", "http://b:1")];
        check(Flota, Some("http://c:1"), &both, &[], "http://c:1");
        check(Flota, None, &both, &[], "http://b:1");
        check(Fleetctl, None, &both, &[], "http://a:1");
        check(Flota, None, &both[..1], &[], "http://a:1");
        check(Flota, None, &[], &[], "unix:///run/flota/api.sock");
        check(Flota, None, &[], &["/run/fleet.sock"], "unix:///run/fleet.sock");
        check(Flota, None, &[], &["/run/fleet.sock", "/run/flota/api.sock"], "unix:///run/flota/api.sock");
        check(Fleetctl, None, &[], &["/run/flota/api.sock"], "unix:///var/run/fleet.sock");
    }

    #[test]
    fn names_of_arguments() {
        let names = unit_names(&["a/b/web@1".into(), "x.timer".into()]).unwrap();
        assert_eq!(names.iter().map(UnitName::as_str).collect::<Vec<_>>(), ["web@1.service", "x.timer"]);
        assert_eq!(unit_names(&[]).unwrap_err().message, "No units given");
        assert!(unit_name("a b").unwrap_err().message.starts_with("Invalid unit name \"a b\": "));
    }
}
