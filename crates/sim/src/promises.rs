//! The promises, as checks on what just happened.

use std::collections::BTreeMap;

use flota_registry::{Change, ClusterSnapshot, DesiredState, Key, KeyValue, MachineId, Op, Schedule, Txn, codec, keys};
use flota_unit::{Requirements, UnitFile, UnitHash, UnitName};

use crate::constraints::{breach, broken, needs};
use crate::host::{Host, Run};
use crate::store::Store;

/// P3: who writes schedules leads, and each is one generation on. To be asked before the transaction is carried out; answers what is
/// wrong if it is carried out.
pub(crate) fn unfenced(store: &Store, writer: &MachineId, txn: &Txn) -> Option<String> {
    let snapshot = store.snapshot();
    let leader = snapshot.leader().map(|entry| &entry.value.machine);
    for (key, value) in schedules(txn) {
        if leader != Some(writer) {
            return Some(format!("P3: {} wrote {key} while {leader:?} leads", writer.short()));
        }
        let Ok(new) = codec::decode::<Schedule>(value) else { return Some(format!("{key}: not a schedule")) };
        let old = store.get(key).and_then(|pair| codec::decode::<Schedule>(&pair.value).ok());
        let generation = old.map_or(0, |schedule| schedule.generation.0);
        if new.generation.0 != generation + 1 {
            return Some(format!("P3: {key} goes from generation {generation} to {}", new.generation.0));
        }
    }
    None
}

/// P5: what was decided from the cluster at revision `seen` breaks no constraint of that cluster.
pub(crate) fn misplaced(store: &Store, seen: i64, txn: &Txn) -> Option<String> {
    let mut decided: ClusterSnapshot = store.snapshot_at(seen);
    let put = |(key, value): (&str, &[u8])| {
        let (key, value) = (key.to_owned(), value.to_vec());
        Change::Put(KeyValue { key, value, create_revision: seen + 1, mod_revision: seen + 1, lease: None })
    };
    let changes: Vec<Change> = schedules(txn).map(put).collect();
    if changes.is_empty() {
        return None;
    }
    decided.apply(seen + 1, &changes);
    broken(&decided).map(|why| format!("P5: {why}"))
}

/// Nothing new comes to a machine that people took out of service, nor anywhere while a living machine takes no orders, as
/// far as the cluster at revision `seen` says so.
pub(crate) fn barred(store: &Store, seen: i64, txn: &Txn) -> Option<String> {
    let before = store.snapshot_at(seen);
    for (key, value) in schedules(txn) {
        if let Some((id, _)) = before.machines().iter().find(|(_, entry)| entry.value.frozen.is_some()) {
            return Some(format!("{key} changes while {} takes no orders", id.short()));
        }
        let (Some(Key::Schedule(id)), Ok(new)) = (Key::parse(key), codec::decode::<Schedule>(value)) else {
            return Some(format!("{key}: not a schedule"));
        };
        let old = before.schedules().get(&id).map(|entry| &entry.value.units);
        let added = new.units.keys().find(|unit| old.is_none_or(|old| !old.contains_key(*unit)));
        if let (Some(unit), Some(cordon)) = (added, before.cordons().get(&id)) {
            return Some(format!("{unit} comes to {}, which is {:?}", id.short(), cordon.value.mode));
        }
    }
    None
}

/// An exclusive unit that has processes on two machines.
pub(crate) fn doubled<'a>(
    hosts: impl Iterator<Item = (&'a MachineId, &'a Host)>,
    texts: &BTreeMap<UnitHash, UnitFile>,
) -> Option<String> {
    let is_exclusive = |unit: &UnitName, run: &Run| {
        let file = run.hash.and_then(|hash| texts.get(&hash));
        file.is_some_and(|file| Requirements::from_unit(unit, file).is_ok_and(|asks| asks.exclusive))
    };
    let mut places: BTreeMap<&UnitName, &MachineId> = BTreeMap::new();
    for (id, host) in hosts {
        for (unit, run) in host.runs.iter().filter(|(_, run)| run.up) {
            if is_exclusive(unit, run)
                && let Some(other) = places.insert(unit, id)
            {
                return Some(format!("exclusive: {unit} is up on {} and on {}", other.short(), id.short()));
            }
        }
    }
    None
}

/// Whether the transaction writes schedules.
pub(crate) fn changes_schedules(txn: &Txn) -> bool {
    schedules(txn).next().is_some()
}

fn schedules(txn: &Txn) -> impl Iterator<Item = (&str, &[u8])> {
    txn.ops.iter().filter_map(|op| match op {
        Op::Put { key, value, .. } if key.starts_with(keys::SCHEDULES) => Some((key.as_str(), value.as_slice())),
        _ => None,
    })
}

/// What is not as it should be once everything is repaired and time has passed. `running` tells whether a machine runs a unit.
pub(crate) fn unsettled(
    snapshot: &ClusterSnapshot,
    machines: &[MachineId],
    running: impl Fn(&MachineId, &flota_unit::UnitName) -> bool,
) -> Option<String> {
    if let Some(why) = broken(snapshot) {
        return Some(format!("P5 in the end: {why}"));
    }
    let needs = needs(snapshot);
    for (unit, asks) in &needs {
        let schedule = |id: &MachineId| snapshot.schedules().get(id).map(|entry| &entry.value.units);
        let holds = |id: &&MachineId| schedule(id).is_some_and(|units| units.contains_key(unit));
        let holders: Vec<&MachineId> = machines.iter().filter(holds).collect();
        if !asks.global && holders.len() > 1 {
            return Some(format!("{unit} is on {holders:?}"));
        }
        for id in machines.iter().filter(|id| !holds(id)).filter(|_| asks.global || holders.is_empty()) {
            let others: Vec<_> = schedule(id).into_iter().flat_map(|units| units.keys()).collect();
            if breach(snapshot, &needs, unit, id, &others).is_none() {
                return Some(format!("{unit} could be on {} beside {others:?}, and is nowhere", id.short()));
            }
        }
        let launched = snapshot.units()[unit].value.desired == DesiredState::Launched;
        if let Some(id) = machines.iter().find(|id| running(id, unit) != (launched && holds(id))) {
            let ordered = schedule(id).and_then(|units| units.get(unit));
            let report = snapshot.reports().get(id).map(|entry| &entry.value);
            let told = report.map(|report| (report.generation, report.units.get(unit), &report.problem));
            return Some(format!(
                "{unit} on {}: runs {}, ordered {ordered:?}, told {told:?}",
                id.short(),
                running(id, unit)
            ));
        }
    }
    None
}
