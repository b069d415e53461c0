//! Which store a verb is about: one that is named, or the one of this machine's daemon.

use flota_daemon::{Config, Options};
use flota_etcd::{ClientConfig, TlsFiles, chain};

use crate::{cli::StoreTlsArgs, exit::Exit, failure::Failure};

/// The store at `endpoints`, or the one that this machine's daemon is configured for where there are none.
pub fn store_at(endpoints: &[String], tls: &StoreTlsArgs) -> Result<ClientConfig, Failure> {
    let files = match (&tls.ca, &tls.cert, &tls.key) {
        (Some(ca), Some(cert), Some(key)) => Some(TlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() }),
        _ => None,
    };
    if endpoints.is_empty() {
        return Ok(configured()?.client);
    }
    // The form that the transport knows has one slash.
    let one_slash = |text: &String| text.replacen("unix:///", "unix:/", 1);
    Ok(ClientConfig { endpoints: endpoints.iter().map(one_slash).collect(), tls: files })
}

/// What this machine's daemon is configured for.
pub fn configured() -> Result<Config, Failure> {
    Config::load(&Options::default()).map_err(|error| {
        Failure::new(Exit::FAILURE, format!("cannot tell which store this machine uses: {}", chain(&error)))
            .with_hint("name the store with its endpoints")
    })
}
