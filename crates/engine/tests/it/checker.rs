//! Promise P5, judged by a second opinion: written from the options' meaning, not from the engine's filter.

use std::collections::BTreeMap;

use flota_registry::{ClusterSnapshot, DesiredState, MachineId};
use flota_unit::{Requirements, UnitName};

/// What each readable unit of the cluster asks for.
pub fn all_needs(snapshot: &ClusterSnapshot) -> BTreeMap<UnitName, Requirements> {
    let wanted = snapshot.units().iter().filter(|(_, entry)| entry.value.desired != DesiredState::Inactive);
    wanted
        .map(|(name, entry)| {
            let file = &snapshot.files()[&entry.value.hash].value;
            (name.clone(), Requirements::from_unit(name, file).unwrap())
        })
        .collect()
}

/// What is wrong with `unit` being on the living machine `id` beside `others`.
pub fn breach(
    snapshot: &ClusterSnapshot,
    needs: &BTreeMap<UnitName, Requirements>,
    unit: &UnitName,
    id: &MachineId,
    others: &[&UnitName],
) -> Option<String> {
    let asks = &needs[unit];
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
    let hits = |globs: &[flota_unit::Glob], name: &UnitName| globs.iter().any(|glob| glob.matches(name.as_str()));
    for other in others.iter().filter(|other| **other != unit) {
        let theirs = &needs[*other];
        if hits(&asks.conflicts, other) || hits(&theirs.conflicts, unit) {
            return Some(format!("{unit} and {other} exclude each other"));
        }
        if hits(&theirs.replaces, unit) && !reaches(needs, unit, other) {
            return Some(format!("{other} replaces {unit}"));
        }
    }
    None
}

/// Whether `from` replaces `to`, directly or through others.
fn reaches(needs: &BTreeMap<UnitName, Requirements>, from: &UnitName, to: &UnitName) -> bool {
    let mut reached = vec![from];
    let mut at = 0;
    while at < reached.len() {
        let globs = &needs[reached[at]].replaces;
        for name in needs.keys().filter(|name| globs.iter().any(|glob| glob.matches(name.as_str()))) {
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

/// No schedule of a living machine breaks a constraint, and none holds what nobody wants.
#[track_caller]
pub fn assert_constraints(snapshot: &ClusterSnapshot) {
    let needs = all_needs(snapshot);
    for (id, entry) in snapshot.schedules().iter().filter(|(id, _)| snapshot.machines().contains_key(*id)) {
        let units: Vec<&UnitName> = entry.value.units.keys().collect();
        for unit in &units {
            assert!(needs.contains_key(*unit), "{unit} on {id} is not wanted");
            let found = breach(snapshot, &needs, unit, id, &units);
            assert_eq!(found, None, "on {id}: {units:?}");
        }
    }
}
