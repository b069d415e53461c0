//! What the global options say, from the command line or the environment, read and checked.

use std::{ffi::OsString, path::Path, time::Duration};

use flota_api::Endpoint;

use crate::{cli::Global, exit::Exit, failure::Failure, ssh::Ssh, style::Style, tunnel::Gateway};

/// The daemon's own socket.
const FLOTA_SOCKET: &str = "/run/flota/api.sock";
/// The socket where fleet's clients look.
const FLEET_SOCKET: &str = "/run/fleet.sock";
/// fleetctl's default endpoint.
const FLEETCTL_ENDPOINT: &str = "unix:///var/run/fleet.sock";
/// The one driver that there is.
const DRIVER: &str = "API";

/// What the global options say.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon to ask; on the gateway, if there is one.
    pub endpoint: Endpoint,
    /// The machine through which everything goes.
    pub tunnel: Option<Gateway>,
    /// How ssh is called.
    pub ssh: Ssh,
    /// Where programs are looked for, if not where this process would.
    pub path: Option<OsString>,
    /// The shell of whoever runs this.
    pub shell: Option<String>,
    /// Say what is done.
    pub debug: bool,
    /// What to say about the options before anything else.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads the options; what is not given comes from the environment, which `variable` reads.
    pub fn new(style: Style, global: &Global, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let source = Source { style, variable };
        source.refuse_other_ways(global)?;
        let tunnel = source.get("tunnel", global.tunnel.as_deref()).map(|text| text.parse()).transpose();
        let tunnel: Option<Gateway> = tunnel.map_err(|error| wrong("tunnel", error))?;
        let exists = |path: &Path| tunnel.is_none() && path.exists();
        let given = source.get("endpoint", global.endpoint.as_deref());
        let (endpoint, rest) = first_endpoint(given.unwrap_or_else(|| default_endpoint(style, exists)));
        let mut warnings = Vec::new();
        if rest {
            warnings.push(format!("WARNING: multiple endpoints provided but only the first ({endpoint}) is used"));
        }
        let ssh = Ssh {
            user: source.get("ssh-username", global.ssh_username.as_deref()),
            timeout: source.seconds("ssh-timeout", global.ssh_timeout.as_deref())?,
            known_hosts: source.get("known-hosts-file", global.known_hosts_file.as_deref()),
            strict: source
                .boolean("strict-host-key-checking", global.strict_host_key_checking.as_deref())?
                .unwrap_or(true),
            jump: None,
        };
        source.seconds("request-timeout", global.request_timeout.as_deref())?;
        let debug = source.boolean("debug", global.debug.as_deref())?.unwrap_or(false);
        let path = (source.variable)("PATH").map(OsString::from);
        let shell = (source.variable)("SHELL").filter(|shell| !shell.is_empty());
        Ok(Self { endpoint: parse(&endpoint)?, tunnel, ssh, path, shell, debug, warnings })
    }
}

/// Where the value of an option comes from.
struct Source<V> {
    style: Style,
    variable: V,
}

impl<V: Fn(&str) -> Option<String>> Source<V> {
    /// The value of an option: the flag, or the environment. Empty counts as not given.
    fn get(&self, name: &str, flag: Option<&str>) -> Option<String> {
        if flag.is_some() {
            return flag.filter(|text| !text.is_empty()).map(str::to_owned);
        }
        let suffix = name.to_uppercase().replace('-', "_");
        let prefixes = match self.style {
            Style::Flota => ["FLOTA", "FLEETCTL"],
            Style::Fleetctl => ["FLEETCTL", "FLOTA"],
        };
        prefixes
            .iter()
            .find_map(|prefix| (self.variable)(&format!("{prefix}_{suffix}")).filter(|text| !text.is_empty()))
    }

    fn boolean(&self, name: &str, flag: Option<&str>) -> Result<Option<bool>, Failure> {
        let Some(text) = self.get(name, flag) else { return Ok(None) };
        match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
            _ => Err(wrong(name, format!("\"{text}\" is neither true nor false"))),
        }
    }

    fn seconds(&self, name: &str, flag: Option<&str>) -> Result<Option<Duration>, Failure> {
        let Some(text) = self.get(name, flag) else { return Ok(None) };
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.map(Some).ok_or_else(|| wrong(name, format!("\"{text}\" is not a number of seconds")))
    }

    /// What fleetctl could do and Flota does not: not silently done in another way.
    fn refuse_other_ways(&self, global: &Global) -> Result<(), Failure> {
        match self.get("driver", global.driver.as_deref()).as_deref() {
            None | Some(DRIVER) => {}
            Some("etcd") => {
                return Err(unable("driver \"etcd\" is not offered, only the daemon speaks to the store").with_hint(
                    "leave out --driver and FLEETCTL_DRIVER, and name a daemon with --endpoint unix:///run/flota/api.sock",
                ));
            }
            Some(other) => return Err(unable(format!("unrecognized driver \"{other}\""))),
        }
        let tls = [("ca-file", &global.ca_file), ("cert-file", &global.cert_file), ("key-file", &global.key_file)];
        match tls.into_iter().find(|(name, flag)| self.get(name, flag.as_deref()).is_some()) {
            None => Ok(()),
            Some((name, _)) => Err(unable(format!("--{name} is given, but the API has no TLS"))
                .with_hint("reach a daemon elsewhere through ssh, with --tunnel HOST, and leave the TLS files out")),
        }
    }
}

fn unable(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::USAGE, format!("Unable to initialize client: {why}"))
}

fn wrong(name: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::USAGE, format!("Invalid value of --{name}: {why}"))
}

fn first_endpoint(list: String) -> (String, bool) {
    match list.split_once(',') {
        Some((first, _)) => (first.trim().to_owned(), true),
        None => (list, false),
    }
}

fn parse(url: &str) -> Result<Endpoint, Failure> {
    url.parse().map_err(|error| {
        unable(error).with_hint(if url.starts_with("https://") {
            "the API has no TLS; reach a daemon elsewhere through ssh, with --tunnel HOST".to_owned()
        } else {
            format!("the endpoint is \"{url}\"; it looks like unix:///run/flota/api.sock or http://host:port")
        })
    })
}

fn default_endpoint(style: Style, exists: impl Fn(&Path) -> bool) -> String {
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
    use Style::{Fleetctl, Flota};

    use super::*;

    fn settings(style: Style, global: &Global, variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        let variable =
            |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        Settings::new(style, global, variable)
    }

    #[track_caller]
    fn endpoint(style: Style, given: Option<&str>, variables: &[(&str, &str)], expected: &str) {
        let global = Global { endpoint: given.map(str::to_owned), ..Global::default() };
        assert_eq!(settings(style, &global, variables).unwrap().endpoint.to_string(), expected);
    }

    #[test]
    fn the_flag_wins_then_the_environment() {
        let both = [("FLEETCTL_ENDPOINT", "http://a:1"), ("FLOTA_ENDPOINT", "http://b:1")];
        endpoint(Flota, Some("http://c:1"), &both, "http://c:1");
        endpoint(Flota, None, &both, "http://b:1");
        endpoint(Fleetctl, None, &both, "http://a:1");
        endpoint(Flota, None, &both[..1], "http://a:1");
        endpoint(Fleetctl, None, &[("FLEETCTL_ENDPOINT", "")], FLEETCTL_ENDPOINT);
    }

    #[test]
    fn the_socket_that_is_there() {
        let there = |sockets: &'static [&str]| {
            default_endpoint(Flota, move |path| sockets.iter().any(|socket| Path::new(socket) == path))
        };
        assert_eq!(there(&[]), "unix:///run/flota/api.sock");
        assert_eq!(there(&[FLEET_SOCKET]), "unix:///run/fleet.sock");
        assert_eq!(there(&[FLEET_SOCKET, FLOTA_SOCKET]), "unix:///run/flota/api.sock");
        assert_eq!(default_endpoint(Fleetctl, |_| true), FLEETCTL_ENDPOINT);
    }

    #[test]
    fn every_option_comes_from_the_environment_too() {
        let variables = [
            ("FLEETCTL_DRIVER", "API"),
            ("FLEETCTL_TUNNEL", "core@10.1.1.1:2222"),
            ("FLEETCTL_SSH_USERNAME", "core"),
            ("FLEETCTL_SSH_TIMEOUT", "2.5"),
            ("FLEETCTL_KNOWN_HOSTS_FILE", "/k"),
            ("FLEETCTL_STRICT_HOST_KEY_CHECKING", "false"),
            ("FLEETCTL_REQUEST_TIMEOUT", "3.0"),
            ("FLEETCTL_DEBUG", "1"),
            ("PATH", "/bin"),
        ];
        let read = settings(Fleetctl, &Global::default(), &variables).unwrap();
        let ssh = Ssh {
            user: Some("core".into()),
            timeout: Some(Duration::from_millis(2500)),
            known_hosts: Some("/k".into()),
            strict: false,
            jump: None,
        };
        assert_eq!(read.ssh, ssh);
        assert_eq!(read.tunnel, Some("core@10.1.1.1:2222".parse().unwrap()));
        assert!(read.debug && read.path == Some("/bin".into()));
        let over = Global { debug: Some("false".into()), ssh_username: Some("root".into()), ..Global::default() };
        let read = settings(Fleetctl, &over, &variables).unwrap();
        assert_eq!((read.debug, read.ssh.user), (false, Some("root".into())));
    }

    #[test]
    fn of_several_endpoints_the_first() {
        let global = Global { endpoint: Some("http://a:1,http://b:1".into()), ..Global::default() };
        let read = settings(Flota, &global, &[]).unwrap();
        assert_eq!(read.endpoint.to_string(), "http://a:1");
        let warning = "WARNING: multiple endpoints provided but only the first (http://a:1) is used";
        assert_eq!(read.warnings, [warning]);
    }

    #[test]
    fn what_is_refused() {
        #[track_caller]
        fn check(global: Global, message: &str) {
            let failure = settings(Flota, &global, &[]).unwrap_err();
            assert_eq!((failure.message.as_str(), failure.exit), (message, Exit::USAGE));
        }
        let none = Global::default;
        check(
            Global { driver: Some("etcd".into()), ..none() },
            "Unable to initialize client: driver \"etcd\" is not offered, only the daemon speaks to the store",
        );
        check(
            Global { driver: Some("foo".into()), ..none() },
            "Unable to initialize client: unrecognized driver \"foo\"",
        );
        check(
            Global { driver: Some("api".into()), ..none() },
            "Unable to initialize client: unrecognized driver \"api\"",
        );
        let tls = "Unable to initialize client: --cert-file is given, but the API has no TLS";
        check(Global { cert_file: Some("/c".into()), ..none() }, tls);
        let debug = "Invalid value of --debug: \"maybe\" is neither true nor false";
        check(Global { debug: Some("maybe".into()), ..none() }, debug);
        for text in ["-1", "x", "inf"] {
            let message = format!("Invalid value of --ssh-timeout: \"{text}\" is not a number of seconds");
            check(Global { ssh_timeout: Some(text.into()), ..none() }, &message);
        }
        let message = "Unable to initialize client: URL scheme \"https\" is not supported: expect unix or http";
        check(Global { endpoint: Some("https://x".into()), ..none() }, message);
        check(Global { tunnel: Some("x:y".into()), ..none() }, "Invalid value of --tunnel: \"y\" is not a port");
    }
}
