//! What a machine gives back to a store that lost it: its units, their texts, its schedule.

use std::collections::BTreeSet;

use anyhow::Context;
use flota_agent::trust::to_put_back;
use flota_etcd::{Committed, StoreClient};
use flota_registry::{
    DesiredState, DesiredUnit, Entry, Key, MachineId, Schedule, ScheduledUnit, TargetState, keys, put_back_schedule,
    put_unit,
};
use flota_unit::{UnitFile, UnitName};
use tracing::{error, info};

use crate::disk::AgentDir;

/// Puts back what `held` has, unless the store has a schedule for this machine. Nothing that is there is overwritten, and
/// nothing is taken from another machine ([`to_put_back`]).
/// The schedule comes last: as long as it is missing, it is known that this was not finished.
pub(super) async fn put_back(
    client: &StoreClient,
    me: &MachineId,
    mut held: Schedule,
    dir: &AgentDir,
) -> anyhow::Result<()> {
    let (_, pairs) = client.range(keys::SCHEDULES).await?;
    let others = pairs.iter().filter_map(|pair| Entry::<Schedule>::decode(pair).ok());
    let elsewhere: BTreeSet<UnitName> = others.flat_map(|entry| entry.value.units.into_keys()).collect();
    let stays = to_put_back(&held, &elsewhere).units;
    let mut changed = stays.len() < held.units.len();
    let mut known = Vec::new();
    for (name, unit) in std::mem::take(&mut held.units) {
        let Some(file) = text_of(client, &name, &unit, dir).await? else {
            changed = true;
            error!("{name}: its unit file is neither on this machine nor in the store: it is not put back");
            continue;
        };
        let scheduled = unit.hash;
        let back = ScheduledUnit { hash: file.hash(), ..unit };
        changed |= back.hash != scheduled;
        known.push((name, back, file));
    }
    let mut units = 0;
    for (name, unit, file) in &known {
        let desired = match unit.target {
            TargetState::Loaded => DesiredState::Loaded,
            TargetState::Launched => DesiredState::Launched,
        };
        let txn = put_unit(name, &DesiredUnit { hash: unit.hash, desired }, file, None);
        if let Committed::Yes(_) = client.commit(&txn).await.with_context(|| format!("cannot put {name} back"))? {
            units += 1;
        }
    }
    let back = known.into_iter().map(|(name, unit, _)| (name, unit));
    held.units = back.filter(|(name, _)| stays.contains_key(name)).collect();
    if changed {
        held.generation = held.generation.next();
    }
    let txn = put_back_schedule(me, &held);
    match client.commit(&txn).await.context("cannot put this machine's schedule back")? {
        Committed::Yes(_) => info!(
            "put back into the store: schedule generation {} with {} units, {units} of which it did not know",
            held.generation.0,
            held.units.len()
        ),
        Committed::No => info!("the store has a schedule for this machine again; {units} units were put back"),
    }
    Ok(())
}

/// The text that a unit runs with: of the scheduled content where that is to be had, else of what is installed.
async fn text_of(
    client: &StoreClient,
    name: &UnitName,
    unit: &ScheduledUnit,
    dir: &AgentDir,
) -> anyhow::Result<Option<UnitFile>> {
    let installed = dir.unit_file(name);
    if installed.as_ref().is_some_and(|file| file.hash() == unit.hash) {
        return Ok(installed);
    }
    let (_, pair) = client.get(&Key::File(unit.hash).to_string()).await?;
    let stored = pair.as_ref().and_then(|pair| flota_registry::file_text(pair).ok());
    Ok(stored.and_then(|text| UnitFile::parse(&text).ok()).or(installed))
}
