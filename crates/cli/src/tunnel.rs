//! `--tunnel`: the API of another machine as a socket here, for as long as the command runs.
//!
//! One ssh forwards the socket and is the master that later connections to machines behind it share, so that nobody
//! has to prove who they are twice.

use std::{path::Path, str::FromStr, time::Duration};

use flota_api::Endpoint;
use thiserror::Error;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{exit::Exit, failure::Failure, ssh::Ssh};

/// How long the tunnel may take, with time for a person to type a pass phrase.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks whether the tunnel is there.
const POLL: Duration = Duration::from_millis(20);

/// The machine that a tunnel leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// Why a text names no gateway.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GatewayError {
    /// There is no host in it.
    #[error("no host in \"{0}\"")]
    NoHost(String),
    /// What follows the host is not a port.
    #[error("\"{0}\" is not a port")]
    Port(String),
}

impl FromStr for Gateway {
    type Err = GatewayError;

    /// Reads `[user@]host[:port]`; an IPv6 address with a port stands in brackets.
    fn from_str(text: &str) -> Result<Self, GatewayError> {
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (host, port) = match rest.rsplit_once(':') {
            // A colon inside of an address: there is no port.
            Some((before, _)) if before.contains(':') && !before.ends_with(']') => (rest, None),
            Some((_, after)) if after.ends_with(']') => (rest, None),
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (host, Some(port.ok_or_else(|| GatewayError::Port(rest[host.len() + 1..].to_owned()))?))
            }
            None => (rest, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || user.as_ref().is_some_and(String::is_empty) {
            return Err(GatewayError::NoHost(text.to_owned()));
        }
        Ok(Self { user, host, port })
    }
}

/// An open tunnel. Dropping it ends ssh and removes the socket.
#[derive(Debug)]
pub struct Tunnel {
    ssh: Child,
    directory: tempfile::TempDir,
    gateway: Gateway,
    remote: Endpoint,
}

impl Tunnel {
    /// The command line that opens a tunnel to `remote` on the gateway, with its sockets in `directory`.
    fn line(gateway: &Gateway, ssh: &Ssh, remote: &Endpoint, directory: &Path) -> Vec<String> {
        let target = match remote {
            Endpoint::Unix(path) => path.display().to_string(),
            Endpoint::Http(authority) => authority.clone(),
        };
        let forward = format!("{}:{target}", directory.join("api").display());
        let control = directory.join("control").display().to_string();
        let ssh = Ssh { user: gateway.user.clone().or_else(|| ssh.user.clone()), ..ssh.clone() };
        let options = "ExitOnForwardFailure=yes";
        let more = ["-N", "-M", "-S", &control, "-o", options, "-o", "ControlPersist=no", "-L", &forward];
        ssh.line(&gateway.host, gateway.port, &more)
    }

    /// Opens a tunnel to `remote` on the gateway and waits until it is there.
    pub async fn open(
        gateway: Gateway,
        ssh: &Ssh,
        remote: &Endpoint,
        mut command: impl FnMut(&[String]) -> Command,
    ) -> Result<Self, Failure> {
        let host = gateway.host.clone();
        let failed = |what: String| {
            Failure::new(Exit::UNAVAILABLE, format!("Unable to initialize client: {what}"))
                .with_hint(format!("does ssh alone get there? try: ssh {host}"))
        };
        let directory = tempfile::Builder::new().prefix("flota-").tempdir();
        let directory =
            directory.map_err(|error| failed(format!("cannot make a directory for the tunnel: {error}")))?;
        let line = Self::line(&gateway, ssh, remote, directory.path());
        let child = command(&line).kill_on_drop(true).stdin(std::process::Stdio::null()).spawn();
        let child = child.map_err(|error| failed(format!("cannot run ssh: {error}")))?;
        let mut tunnel = Self { ssh: child, directory, gateway, remote: remote.clone() };
        let deadline = Instant::now() + PATIENCE;
        let socket = tunnel.socket();
        // ssh binds the socket when it is connected and authenticated.
        while UnixStream::connect(&socket).await.is_err() {
            match tunnel.ssh.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Err(failed(format!("no tunnel to {host}: ssh ended ({status})"))),
                Err(error) => return Err(failed(format!("no tunnel to {host}: {error}"))),
            }
            if Instant::now() >= deadline {
                return Err(failed(format!("no tunnel to {host} within {} s", PATIENCE.as_secs())));
            }
            sleep(POLL).await;
        }
        Ok(tunnel)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("api")
    }

    /// What to try when the daemon at the far end does not answer.
    pub fn hint(&self) -> String {
        let (host, remote) = (&self.gateway.host, &self.remote);
        format!("the tunnel to {host} is there; may you use {remote} on it, and does a daemon answer?")
    }

    /// The near end.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.socket())
    }

    /// The command that ssh reaches machines behind the gateway through.
    pub fn jump(&self) -> Result<String, Failure> {
        let control = self.directory.path().join("control").display().to_string();
        let words = ["ssh", "-S", &control, "-W", "[%h]:%p", "--"];
        // In ProxyCommand a percent sign begins what ssh fills in.
        let host = self.gateway.host.replace('%', "%%");
        let host = shlex::try_quote(&host)
            .map_err(|error| Failure::new(Exit::USAGE, format!("cannot pass --tunnel to ssh: {error}")))?;
        Ok(format!("{} {host}", words.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, user: Option<&str>, host: &str, port: Option<u16>) {
        let expected = Gateway { user: user.map(str::to_owned), host: host.to_owned(), port };
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }

    #[test]
    fn gateways() {
        check("gate", None, "gate", None);
        check("core@gate:2222", Some("core"), "gate", Some(2222));
        check("10.1.1.1:22", None, "10.1.1.1", Some(22));
        check("fd00::1", None, "fd00::1", None);
        check("[fd00::1]", None, "fd00::1", None);
        check("u@[fd00::1]:22", Some("u"), "fd00::1", Some(22));
        for (text, error) in [
            ("", "no host in \"\""),
            (":22", "no host in \":22\""),
            ("@gate", "no host in \"@gate\""),
            ("gate:0", "\"0\" is not a port"),
            ("gate:x", "\"x\" is not a port"),
        ] {
            assert_eq!(text.parse::<Gateway>().unwrap_err().to_string(), error, "{text}");
        }
    }

    #[test]
    fn the_command_line() {
        let gateway: Gateway = "core@gate:2222".parse().unwrap();
        let ssh = Ssh { user: Some("me".into()), ..Ssh::default() };
        let line = |remote: &str| Tunnel::line(&gateway, &ssh, &remote.parse().unwrap(), Path::new("/t")).join(" ");
        let expected = "ssh -N -M -S /t/control -o ExitOnForwardFailure=yes -o ControlPersist=no -L ";
        assert_eq!(
            line("unix:///run/flota/api.sock"),
            format!("{expected}/t/api:/run/flota/api.sock -p 2222 -l core -- gate")
        );
        assert_eq!(line("http://10.1.1.2:54728"), format!("{expected}/t/api:10.1.1.2:54728 -p 2222 -l core -- gate"));
    }
}
