//! Where a daemon listens, as people write it: `unix:///run/flota/api.sock` or `http://host:port`.

use std::{fmt, path::PathBuf, str::FromStr};

use thiserror::Error;

/// An address that the client can dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`, plain HTTP.
    Http(String),
}

/// Why an endpoint cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// No `scheme://`.
    #[error("URL scheme undefined")]
    NoScheme,
    /// `unix://var/run/x`: two slashes where three are needed.
    #[error("unable to connect to host \"{0}\" with scheme \"unix\"")]
    UnixHost(String),
    /// `unix://` alone.
    #[error("no socket path in \"{0}\"")]
    NoPath(String),
    /// `http://` alone.
    #[error("no host in \"{0}\"")]
    NoHost(String),
    /// Neither `unix` nor `http`.
    #[error("URL scheme \"{0}\" is not supported: expect unix or http")]
    Scheme(String),
    /// The API has no paths of its own below the root.
    #[error("path \"{0}\" in an http endpoint is not supported")]
    Path(String),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::NoScheme)?;
        match scheme {
            "" => Err(EndpointError::NoScheme),
            "unix" | "file" => match rest.split_once('/') {
                None if rest.is_empty() => Err(EndpointError::NoPath(text.to_owned())),
                Some(("", "")) => Err(EndpointError::NoPath(text.to_owned())),
                Some(("", _)) => Ok(Self::Unix(PathBuf::from(rest))),
                Some((host, _)) => Err(EndpointError::UnixHost(host.to_owned())),
                None => Err(EndpointError::UnixHost(rest.to_owned())),
            },
            "http" => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                if !path.is_empty() {
                    return Err(EndpointError::Path(format!("/{path}")));
                }
                Self::http(authority).ok_or_else(|| EndpointError::NoHost(text.to_owned()))
            }
            other => Err(EndpointError::Scheme(other.to_owned())),
        }
    }
}

impl Endpoint {
    fn http(authority: &str) -> Option<Self> {
        if authority.is_empty() || authority.starts_with(':') {
            return None;
        }
        // "[::1]" ends in a bracket, "[::1]:80" and "host:80" in a port.
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        Some(Self::Http(if has_port { authority.to_owned() } else { format!("{authority}:80") }))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http(authority) => write!(f, "http://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = text.parse::<Endpoint>();
        let shown = parsed.map(|endpoint| endpoint.to_string()).map_err(|error| error.to_string());
        assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn reads_what_fleet_reads() {
        check("unix:///run/fleet.sock", Ok("unix:///run/fleet.sock"));
        check("http://10.1.1.1:54728", Ok("http://10.1.1.1:54728"));
        check("http://10.1.1.1:54728/", Ok("http://10.1.1.1:54728"));
        check("http://m1", Ok("http://m1:80"));
        check("http://[::1]", Ok("http://[::1]:80"));
        check("http://[::1]:81", Ok("http://[::1]:81"));
    }

    #[test]
    fn refuses_in_fleets_words() {
        check("unix://var/run", Err("unable to connect to host \"var\" with scheme \"unix\""));
        check("/run/fleet.sock", Err("URL scheme undefined"));
        check("10.1.1.1:80", Err("URL scheme undefined"));
        check("unix://", Err("no socket path in \"unix://\""));
        check("http://", Err("no host in \"http://\""));
        check("ftp://x", Err("URL scheme \"ftp\" is not supported: expect unix or http"));
        check("http://x/v1", Err("path \"/v1\" in an http endpoint is not supported"));
    }
}
