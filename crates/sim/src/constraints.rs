//! Promise P5, judged by a second opinion: written from the options' meaning, not from the engine's filter.

use std::collections::BTreeMap;

use flota_registry::{ClusterSnapshot, DesiredState, MachineId};
use flota_unit::{Glob, Requirements, UnitName};

/// What units ask for.
pub(crate) type Needs = BTreeMap<UnitName, Requirements>;

/// What each wanted unit of the cluster asks for.
pub(crate) fn needs(snapshot: &ClusterSnapshot) -> Needs {
    let wanted = snapshot.units().iter().filter(|(_, entry)| entry.value.desired != DesiredState::Inactive);
    let read = wanted.filter_map(|(name, entry)| {
        let file = &snapshot.files().get(&entry.value.hash)?.value;
        Some((name.clone(), Requirements::from_unit(name, file).ok()?))
    });
    read.collect()
}

/// What is wrong with `unit` being on the living machine `id` beside `others`.
pub(crate) fn breach(
    snapshot: &ClusterSnapshot,
    needs: &Needs,
    unit: &UnitName,
    id: &MachineId,
    others: &[&UnitName],
) -> Option<String> {
    let Some(asks) = needs.get(unit) else { return Some(format!("{unit} is not wanted")) };
    let metadata = snapshot.effective_metadata(id);
    if let Some(wanted) = &asks.machine_id
        && wanted != id.as_str()
        && wanted != id.short()
    {
        return Some(format!("{unit} belongs on {wanted}"));
    }
    for (key, values) in &asks.machine_metadata {
        if metadata.get(key).is_none_or(|value| !values.contains(value)) {
            return Some(format!("{unit} needs {key} in {values:?}"));
        }
    }
    if let Some(peer) = asks.machine_of.iter().find(|peer| !others.contains(peer)) {
        return Some(format!("{unit} needs {peer}"));
    }
    let mut others = others.iter().filter(|other| **other != unit);
    others.find_map(|other| excluded(needs, unit, asks, other))
}

fn excluded(needs: &Needs, unit: &UnitName, asks: &Requirements, other: &UnitName) -> Option<String> {
    let theirs = needs.get(other)?;
    let hits = |globs: &[Glob], name: &UnitName| globs.iter().any(|glob| glob.matches(name.as_str()));
    if hits(&asks.conflicts, other) || hits(&theirs.conflicts, unit) {
        return Some(format!("{unit} and {other} exclude each other"));
    }
    if hits(&theirs.replaces, unit) && !reaches(needs, unit, other) {
        return Some(format!("{other} replaces {unit}"));
    }
    None
}

/// Whether `from` replaces `to`, directly or through others.
fn reaches(needs: &Needs, from: &UnitName, to: &UnitName) -> bool {
    let mut reached = vec![from];
    let mut at = 0;
    while let Some(unit) = reached.get(at) {
        let globs = needs.get(*unit).map(|asks| &asks.replaces);
        let hit = |name: &&UnitName| globs.is_some_and(|globs| globs.iter().any(|glob| glob.matches(name.as_str())));
        for name in needs.keys().filter(hit) {
            if name == to {
                return true;
            }
            if !reached.contains(&name) {
                reached.push(name);
            }
        }
        at += 1;
    }
    false
}

/// The first constraint that the schedules of living machines break, in words.
pub fn broken(snapshot: &ClusterSnapshot) -> Option<String> {
    let needs = needs(snapshot);
    let living = snapshot.schedules().iter().filter(|(id, _)| snapshot.machines().contains_key(*id));
    let mut found = living.flat_map(|(id, entry)| {
        let units: Vec<&UnitName> = entry.value.units.keys().collect();
        let on_machine =
            |unit: &&UnitName| Some(format!("on {}: {}", id.short(), breach(snapshot, &needs, unit, id, &units)?));
        units.iter().filter_map(on_machine).collect::<Vec<_>>()
    });
    found.next()
}
