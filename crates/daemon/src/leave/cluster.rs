//! Telling the cluster that this machine has left, and which units nobody is to start again.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use flota_agent::Leave;
use flota_etcd::{Committed, StoreClient};
use flota_registry::{
    ClusterSnapshot, Cordon, CordonMode, DesiredState, Key, MAX_OPS_PER_TXN, MachineId, keys, leave_cluster,
    withdraw_units,
};
use flota_unit::{Requirements, UnitHash, UnitName};
use tracing::info;

/// How often a change is tried anew when somebody else changed the same in between.
const MAX_TRIES: usize = 5;

/// First the kept units become inactive, then the machine is removed and does not live any more: were it the other way
/// round, the leader would start them elsewhere.
pub async fn tell(client: &StoreClient, me: &MachineId, leave: &Leave) -> anyhow::Result<()> {
    withdraw(client, &leave.kept).await?;
    let cordon = Cordon {
        mode: CordonMode::Removed,
        reason: Some("it left the cluster".to_owned()),
        since_unix_ms: leave.since_unix_ms,
    };
    for _ in 0..MAX_TRIES {
        let (_, seen) = client.get(&Key::Cordon(me.clone()).to_string()).await?;
        let txn = leave_cluster(me, &cordon, seen.map(|pair| pair.mod_revision));
        if let Committed::Yes(_) = client.commit(&txn).await? {
            if let Some(lease) = leave.lease {
                // It may have ended by itself. What else is under it, such as the lead, goes to others at once.
                let _ = client.revoke(lease).await;
            }
            info!("the cluster knows that this machine has left");
            return Ok(());
        }
    }
    bail!("others keep changing what is asked of this machine")
}

async fn withdraw(client: &StoreClient, kept: &BTreeSet<UnitName>) -> anyhow::Result<()> {
    if kept.is_empty() {
        return Ok(());
    }
    for _ in 0..MAX_TRIES {
        let (revision, pairs) = client.range(keys::PREFIX).await.context("cannot read the cluster")?;
        let snapshot = ClusterSnapshot::from_range(revision, pairs);
        let units = to_withdraw(&snapshot, kept);
        if units.is_empty() {
            return Ok(());
        }
        for batch in units.chunks(MAX_OPS_PER_TXN) {
            // One that was changed meanwhile is seen at the next try.
            client.commit(&withdraw_units(batch)).await.context("cannot change units")?;
        }
    }
    bail!("others keep changing the units that stay on this machine")
}

/// Those that are wanted somewhere, and would be started there. A global unit's other copies are not this machine's
/// business.
fn to_withdraw(snapshot: &ClusterSnapshot, kept: &BTreeSet<UnitName>) -> Vec<(UnitName, UnitHash, i64)> {
    let single = |name: &UnitName, hash: &UnitHash| {
        let file = snapshot.files().get(hash);
        !file.is_some_and(|file| Requirements::from_unit(name, &file.value).is_ok_and(|needs| needs.global))
    };
    let wanted = snapshot.units().iter().filter(|(name, unit)| {
        kept.contains(*name) && unit.value.desired != DesiredState::Inactive && single(name, &unit.value.hash)
    });
    wanted.map(|(name, unit)| (name.clone(), unit.value.hash, unit.mod_revision)).collect()
}
