//! How a machine that goes down says so: its units are then placed elsewhere at once.

use std::time::Duration;

use anyhow::Context;
use flota_etcd::StoreClient;
use flota_registry::{LeaseId, MachineId, Member, put_member};
use flota_systemd::Systemd;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::clock::now_unix_ms;

/// How long a machine that goes down tries to tell the store, and waits for systemd to say that it does. Everything else on
/// it ends at the same time: the member of etcd that it talks to may, and then another one has to be found.
pub const MAX_GOODBYE: Duration = Duration::from_secs(3);

/// How long it waits before it tells a store again that did not hear.
const SAY_AGAIN: Duration = Duration::from_millis(100);

/// systemd's word for a machine on its way down.
const STOPPING: &str = "stopping";

/// Whether this machine is on its way down, and not only the daemon.
pub async fn machine_goes_down() -> bool {
    let ask = async {
        let (systemd, _signals) = Systemd::connect().await?;
        systemd.system_state().await
    };
    match timeout(MAX_GOODBYE, ask).await {
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

/// Writes that this machine goes down, then ends its lease, and with it all that says that it lives or leads. What the
/// store did not hear is said again.
pub(super) async fn say_goodbye(client: &StoreClient, me: &MachineId, member: Member, lease: LeaseId) {
    let member = Member { down_unix_ms: Some(now_unix_ms()), ..member };
    let mut unheard = "it is silent".to_owned();
    let said = async {
        while let Err(why) = say(client, me, &member, lease).await {
            debug!("the store did not hear that the machine goes down: {why:#}");
            unheard = format!("{why:#}");
            sleep(SAY_AGAIN).await;
        }
    };
    if timeout(MAX_GOODBYE, said).await.is_ok() {
        info!("the machine goes down: its units are handed over");
    } else {
        warn!("the machine goes down, but the store did not hear of it: {unheard}");
    }
}

async fn say(client: &StoreClient, me: &MachineId, member: &Member, lease: LeaseId) -> anyhow::Result<()> {
    client.commit(&put_member(me, member)).await.context("cannot write that the machine goes down")?;
    client.revoke(lease).await.context("cannot end its lease")
}
