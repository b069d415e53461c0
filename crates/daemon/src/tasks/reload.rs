//! SIGHUP: the configuration is read again, and what the machine says of itself is announced anew.

use anyhow::Context;
use flota_registry::Machine;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::{Config, Options};
use crate::identity;

/// What this machine says of itself.
pub fn announcement(config: &Config) -> anyhow::Result<Machine> {
    Ok(Machine {
        address: config.address.clone().map_or_else(identity::default_address, Ok)?,
        metadata: config.metadata.clone(),
        capacity: identity::capacity(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: identity::boot_id()?,
        frozen: None,
    })
}

/// Reads the configuration again at each SIGHUP, until `shutdown`. Metadata and address count at once, all other
/// settings from the next start; a configuration with an error in it changes nothing.
pub async fn on_hangup(
    mut hangups: Signal,
    options: Options,
    announced: watch::Sender<Machine>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            hangup = hangups.recv() => if hangup.is_none() { return },
        }
        info!("SIGHUP: Reloading configuration");
        match read(&options).await {
            Ok(machine) => {
                let changed = announced.send_if_modified(|last| std::mem::replace(last, machine.clone()) != machine);
                let what = if changed { "this machine's address or metadata changed" } else { "nothing to announce" };
                info!("configuration read again: {what}; other settings count from the next start");
            }
            Err(why) => error!("the configuration stays as it was: {why:#}"),
        }
    }
}

async fn read(options: &Options) -> anyhow::Result<Machine> {
    let options = options.clone();
    let reading = tokio::task::spawn_blocking(move || announcement(&Config::load(&options)?));
    reading.await.context("cannot read the configuration")?
}
