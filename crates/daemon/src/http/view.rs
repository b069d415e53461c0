//! The cluster as fleet's API tells it, with what is looked up often in an index.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use flota_api::v1;
use flota_registry::{ClusterSnapshot, DesiredState, MachineId, ObservedUnit, TargetState};
use flota_unit::{Requirements, UnitFile, UnitName};

/// A snapshot and its index.
#[derive(Default)]
pub struct View {
    pub snapshot: ClusterSnapshot,
    /// Made when it is first asked for after a change.
    index: OnceLock<Index>,
}

#[derive(Default)]
struct Index {
    places: BTreeMap<UnitName, (MachineId, TargetState)>,
    /// All states that machines report, by unit, then machine.
    states: Vec<(UnitName, MachineId)>,
}

impl View {
    pub fn new(snapshot: ClusterSnapshot) -> View {
        View { snapshot, index: OnceLock::new() }
    }

    /// To be called after each change of the snapshot.
    pub fn changed(&mut self) {
        self.index = OnceLock::new();
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.snapshot))
    }

    /// Where a unit is scheduled, and how far it is to be taken there. Of several places one whose machine lives.
    pub fn placed(&self, name: &UnitName) -> Option<(&MachineId, TargetState)> {
        self.index().places.get(name).map(|(id, target)| (id, *target))
    }

    /// All states that machines report, by unit, then machine.
    pub fn states(&self) -> &[(UnitName, MachineId)] {
        &self.index().states
    }

    /// What a machine reports of a unit.
    pub fn state(&self, name: &UnitName, id: &MachineId) -> Option<v1::UnitState> {
        let unit = self.snapshot.reports().get(id)?.value.units.get(name)?;
        Some(v1::UnitState {
            name: name.to_string(),
            hash: unit.hash.map_or_else(String::new, |hash| hash.to_string()),
            machine_id: id.to_string(),
            systemd_load_state: unit.states.load.clone(),
            systemd_active_state: unit.states.active.clone(),
            systemd_sub_state: unit.states.sub.clone(),
        })
    }

    /// One unit.
    pub fn unit(&self, name: &UnitName) -> Option<v1::Unit> {
        let desired = &self.snapshot.units().get(name)?.value;
        let file = self.snapshot.files().get(&desired.hash).map(|entry| &entry.value);
        let options = file.into_iter().flat_map(UnitFile::entries).map(|entry| v1::UnitOption {
            section: entry.section.clone(),
            name: entry.name.clone(),
            value: entry.value.clone(),
        });
        let global = file.is_some_and(|file| is_global(name, file));
        let place = if global { None } else { self.placed(name) };
        Some(v1::Unit {
            name: name.to_string(),
            options: options.collect(),
            desired_state: Some(to_v1(desired.desired)),
            current_state: if global { None } else { Some(self.current(name, place)) },
            machine_id: place.map_or_else(String::new, |(machine, _)| machine.to_string()),
        })
    }

    /// fleet's three words for what has become of a unit, from its schedule and its machine's report.
    fn current(&self, name: &UnitName, place: Option<(&MachineId, TargetState)>) -> v1::CurrentState {
        let observed: Option<&ObservedUnit> =
            place.and_then(|(machine, _)| self.snapshot.reports().get(machine)?.value.units.get(name));
        match observed {
            Some(unit) if unit.started => v1::CurrentState::Launched,
            Some(unit) if unit.hash.is_some() => v1::CurrentState::Loaded,
            _ => v1::CurrentState::Inactive,
        }
    }
}

impl Index {
    fn of(snapshot: &ClusterSnapshot) -> Index {
        let mut index = Index::default();
        for (id, schedule) in snapshot.schedules() {
            let lives = snapshot.machines().contains_key(id);
            for (name, unit) in &schedule.value.units {
                let place = (id.clone(), unit.target);
                if lives {
                    index.places.insert(name.clone(), place);
                } else {
                    index.places.entry(name.clone()).or_insert(place);
                }
            }
        }
        for (id, report) in snapshot.reports() {
            let shown = report.value.units.iter().filter(|(_, unit)| unit.hash.is_some());
            index.states.extend(shown.map(|(name, _)| (name.clone(), id.clone())));
        }
        index.states.sort();
        index
    }
}

/// Only a file that says so somewhere is looked at more closely.
fn is_global(name: &UnitName, file: &UnitFile) -> bool {
    file.entries().any(|entry| entry.name == "Global")
        && Requirements::from_unit(name, file).is_ok_and(|requirements| requirements.global)
}

pub fn to_v1(state: DesiredState) -> v1::DesiredState {
    match state {
        DesiredState::Inactive => v1::DesiredState::Inactive,
        DesiredState::Loaded => v1::DesiredState::Loaded,
        DesiredState::Launched => v1::DesiredState::Launched,
    }
}

pub fn from_v1(state: v1::DesiredState) -> DesiredState {
    match state {
        v1::DesiredState::Inactive => DesiredState::Inactive,
        v1::DesiredState::Loaded => DesiredState::Loaded,
        v1::DesiredState::Launched => DesiredState::Launched,
    }
}
