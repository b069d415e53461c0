//! The board that placement is worked out on: which machine holds which units.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{ClusterSnapshot, Machine, MachineId, ScheduledUnit};
use flota_unit::{Requirements, UnitName};

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
    guards: BTreeMap<UnitName, &'a Requirements>,
}

impl<'a> Seat<'a> {
    pub(crate) fn units(&self) -> &BTreeMap<UnitName, ScheduledUnit> {
        &self.units
    }

    pub(crate) fn guards(&self) -> &BTreeMap<UnitName, &'a Requirements> {
        &self.guards
    }
}

/// All machines that live or hold a schedule.
#[derive(Debug)]
pub(crate) struct Board<'a> {
    seats: BTreeMap<MachineId, Seat<'a>>,
    holders: BTreeMap<UnitName, BTreeSet<MachineId>>,
}

impl<'a> Board<'a> {
    /// Empty seats for all machines of the snapshot.
    pub(crate) fn new(snapshot: &'a ClusterSnapshot, standing: impl Fn(&MachineId) -> Standing) -> Board<'a> {
        let ids = snapshot.machines().keys().chain(snapshot.schedules().keys());
        let seat = |id: &MachineId| {
            let machine = snapshot.machines().get(id).map(|entry| &entry.value);
            // One that is there but cannot be read is neither lost nor a place for anything.
            let standing = if machine.is_some() { standing(id) } else { standing(id).max(Standing::Suspect) };
            Seat { standing, machine, units: BTreeMap::new(), guards: BTreeMap::new() }
        };
        Board { seats: ids.map(|id| (id.clone(), seat(id))).collect(), holders: BTreeMap::new() }
    }

    pub(crate) fn seats(&self) -> impl Iterator<Item = (&MachineId, &Seat<'a>)> {
        self.seats.iter()
    }

    pub(crate) fn seat(&self, id: &MachineId) -> Option<&Seat<'a>> {
        self.seats.get(id)
    }

    /// Puts a unit on a machine of the board.
    pub(crate) fn add(&mut self, id: &MachineId, name: UnitName, unit: ScheduledUnit, demands: &'a Demands) {
        let Some(seat) = self.seats.get_mut(id) else {
            return;
        };
        if let Some(needs) = demands.requirements(&name)
            && !(needs.conflicts.is_empty() && needs.replaces.is_empty())
        {
            seat.guards.insert(name.clone(), needs);
        }
        self.holders.entry(name.clone()).or_default().insert(id.clone());
        seat.units.insert(name, unit);
    }

    /// Takes a unit off a machine.
    pub(crate) fn remove(&mut self, id: &MachineId, name: &UnitName) {
        if let Some(seat) = self.seats.get_mut(id) {
            seat.guards.remove(name);
            seat.units.remove(name);
        }
        if let Some(holders) = self.holders.get_mut(name) {
            holders.remove(id);
        }
    }

    /// The machine that holds the unit; of several, the one in the best standing (then the lowest id).
    pub(crate) fn holder(&self, name: &UnitName) -> Option<(&MachineId, Standing)> {
        let held = self.holders.get(name)?.iter().filter_map(|id| Some((id, self.seats.get(id)?.standing)));
        held.min_by_key(|(id, standing)| (*standing, *id))
    }

    /// The units that more than one machine holds, with these machines.
    pub(crate) fn shared(&self) -> impl Iterator<Item = (&UnitName, &BTreeSet<MachineId>)> {
        self.holders.iter().filter(|(_, holders)| holders.len() > 1)
    }
}
