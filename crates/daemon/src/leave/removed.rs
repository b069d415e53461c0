//! Notices that others take this machine out of the cluster while it lives.

use std::time::Duration;

use anyhow::Context;
use flota_etcd::StoreClient;
use flota_registry::{Cluster, ClusterId, Cordon, CordonMode, Entry, Key, MachineId, Report, Schedule};
use tracing::{debug, warn};

use super::Desk;
use crate::session::{Link, LinkWatch};

/// How long a look at the store that failed waits for the next one.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is looked whether all units have left.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Waits for the word that this machine is removed and until its units are gone, and then orders it to leave.
pub async fn when_removed(me: MachineId, mut link: LinkWatch, desk: Desk) {
    loop {
        let Ok(Some(now)) = link.wait_for(Option::is_some).await.map(|link| link.clone()) else { return };
        match removed(&me, &now).await {
            Ok(cluster) => {
                desk.order(cluster, Some(now.lease), false);
                return;
            }
            Err(why) => debug!("cannot see whether this machine is removed: {why:#}"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Returns with the cluster's id when this machine is removed and holds nothing any more.
async fn removed(me: &MachineId, link: &Link) -> anyhow::Result<Option<ClusterId>> {
    let client = &link.client;
    let key = Key::Cordon(me.clone()).to_string();
    let (at, mut pair) = client.get(&key).await?;
    let mut watch = client.watch_key(&key, at + 1).await?;
    loop {
        let cordon = pair.as_ref().map(Entry::<Cordon>::decode).transpose().context("what is asked of this machine")?;
        if cordon.is_some_and(|entry| entry.value.mode == CordonMode::Removed) {
            break;
        }
        watch.next().await?;
        pair = client.get(&key).await?.1;
    }
    warn!("this machine is removed from its cluster; it leaves when its units have stopped");
    while holds(client, me).await? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (_, cluster) = client.get(&Key::Cluster.to_string()).await?;
    Ok(cluster.as_ref().and_then(|pair| Entry::<Cluster>::decode(pair).ok()).map(|entry| entry.value.id))
}

/// Whether its schedule has units, or its report has some beside it.
async fn holds(client: &StoreClient, me: &MachineId) -> anyhow::Result<bool> {
    let (_, schedule) = client.get(&Key::Schedule(me.clone()).to_string()).await?;
    let schedule = schedule.as_ref().map(Entry::<Schedule>::decode).transpose()?.map(|entry| entry.value);
    let (_, report) = client.get(&Key::Report(me.clone()).to_string()).await?;
    let report = report.as_ref().map(Entry::<Report>::decode).transpose()?.map(|entry| entry.value);
    let scheduled = schedule.as_ref().is_some_and(|schedule| !schedule.units.is_empty());
    let late = match (&schedule, &report) {
        (Some(schedule), Some(report)) => report.generation < schedule.generation,
        _ => false,
    };
    let has_more = report.is_some_and(|report| report.units.values().any(|unit| unit.hash.is_some()));
    Ok(scheduled || late || has_more)
}
