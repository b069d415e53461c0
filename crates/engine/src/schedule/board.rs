//! The board that placement is worked out on: which machine holds which units.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{ClusterSnapshot, Machine, MachineId, ScheduledUnit};
use flota_unit::UnitName;

use crate::demand::Demands;
use crate::liveness::Standing;

/// One machine and the units it is to hold.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    pub(crate) standing: Standing,
    /// Its announcement; none while its lease is gone.
    pub(crate) machine: Option<&'a Machine>,
    units: BTreeMap<UnitName, ScheduledUnit>,
    /// Those of `units` that keep others away: only they need a look when another unit is judged.
    guards: BTreeSet<UnitName>,
}

impl Seat<'_> {
    pub(crate) fn units(&self) -> &BTreeMap<UnitName, ScheduledUnit> {
        &self.units
    }

    pub(crate) fn guards(&self) -> &BTreeSet<UnitName> {
        &self.guards
    }
}

/// All machines that live or hold a schedule.
#[derive(Debug)]
pub(crate) struct Board<'a> {
    seats: BTreeMap<MachineId, Seat<'a>>,
}

impl<'a> Board<'a> {
    /// Empty seats for all machines of the snapshot.
    pub(crate) fn new(snapshot: &'a ClusterSnapshot, standing: impl Fn(&MachineId) -> Standing) -> Board<'a> {
        let ids = snapshot.machines().keys().chain(snapshot.schedules().keys());
        let seat = |id: &MachineId| Seat {
            standing: standing(id),
            machine: snapshot.machines().get(id).map(|entry| &entry.value),
            units: BTreeMap::new(),
            guards: BTreeSet::new(),
        };
        Board { seats: ids.map(|id| (id.clone(), seat(id))).collect() }
    }

    pub(crate) fn seats(&self) -> impl Iterator<Item = (&MachineId, &Seat<'a>)> {
        self.seats.iter()
    }

    pub(crate) fn seat(&self, id: &MachineId) -> Option<&Seat<'a>> {
        self.seats.get(id)
    }

    /// Puts a unit on a machine of the board.
    pub(crate) fn add(&mut self, id: &MachineId, name: UnitName, unit: ScheduledUnit, demands: &Demands) {
        let Some(seat) = self.seats.get_mut(id) else {
            return;
        };
        if demands.requirements(&name).is_some_and(|it| !it.conflicts.is_empty() || !it.replaces.is_empty()) {
            seat.guards.insert(name.clone());
        }
        seat.units.insert(name, unit);
    }

    /// Takes a unit off a machine; whether it was there.
    pub(crate) fn remove(&mut self, id: &MachineId, name: &UnitName) -> bool {
        let Some(seat) = self.seats.get_mut(id) else {
            return false;
        };
        seat.guards.remove(name);
        seat.units.remove(name).is_some()
    }

    /// The machine that holds the unit; of several, the one in the best standing (then the lowest id).
    pub(crate) fn holder(&self, name: &UnitName) -> Option<(&MachineId, Standing)> {
        let holders = self.seats.iter().filter(|(_, seat)| seat.units.contains_key(name));
        holders.map(|(id, seat)| (id, seat.standing)).min_by_key(|(id, standing)| (*standing, *id))
    }
}
