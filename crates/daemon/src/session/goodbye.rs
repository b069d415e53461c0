//! How a machine that goes down says so: its units are then placed elsewhere at once.

use std::time::Duration;

use anyhow::Context;
use flota_etcd::StoreClient;
use flota_registry::{LeaseId, MachineId, Member, put_member};
use flota_systemd::Systemd;
use tracing::{debug, info, warn};

use crate::clock::now_unix_ms;

/// How long a machine that goes down waits for the store to hear of it, and for systemd to say that it does.
pub const MAX_GOODBYE: Duration = Duration::from_secs(1);

/// systemd's word for a machine on its way down.
const STOPPING: &str = "stopping";

/// Whether this machine is on its way down, and not only the daemon.
pub async fn machine_goes_down() -> bool {
    let ask = async {
        let (systemd, _signals) = Systemd::connect().await?;
        systemd.system_state().await
    };
    match tokio::time::timeout(MAX_GOODBYE, ask).await {
        Ok(Ok(state)) => state == STOPPING,
        Ok(Err(why)) => {
            debug!("{why:#}");
            false
        }
        Err(_) => {
            warn!("systemd does not say whether the machine goes down; its lease is left to end");
            false
        }
    }
}

/// Writes that this machine goes down, then ends its lease, and with it all that says that it lives or leads.
pub(super) async fn say_goodbye(client: &StoreClient, me: &MachineId, member: Member, lease: LeaseId) {
    let member = Member { down_unix_ms: Some(now_unix_ms()), ..member };
    let said = async {
        client.commit(&put_member(me, &member)).await.context("cannot write that the machine goes down")?;
        client.revoke(lease).await.context("cannot end its lease")
    };
    match tokio::time::timeout(MAX_GOODBYE, said).await {
        Ok(Ok(())) => info!("the machine goes down: its units are handed over"),
        Ok(Err(why)) => warn!("the machine goes down, but the store did not hear of it: {why:#}"),
        Err(_) => warn!("the machine goes down, but the store did not hear of it within 1 s"),
    }
}
