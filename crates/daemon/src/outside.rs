//! The daemon of a machine that has to join a cluster before it does anything (`[join] required`).

use anyhow::Context;
use flota_registry::MachineId;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::disk::DataDir;
use crate::http::{Outside, serve_outside};
use crate::identity;
use crate::join::Joiner;

/// Answers whoever asks that this machine is in no cluster, and lets it join one, until `ended`. Nothing else of the
/// daemon runs: no store is opened, so nobody takes the machine for a cluster of its own.
pub async fn run(
    me: &MachineId,
    data: &DataDir,
    listeners: Vec<UnixListener>,
    ended: impl Future<Output = &'static str>,
) -> anyhow::Result<()> {
    let outside = Outside::new(me.clone(), Joiner::new(me.clone(), identity::boot_id()?, data));
    warn!("{}", outside.text());
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve_outside(outside, listeners, shutdown.clone()));
    info!("{}: the daemon ends", ended.await);
    shutdown.cancel();
    server.await.context("the API failed")
}
