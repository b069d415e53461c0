//! The board that placement is worked out on: which machine holds which units.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{ClusterSnapshot, Machine, MachineId, ScheduledUnit};
use flota_unit::{Requirements, UnitName};

use super::Reason;
use crate::demand::Demands;
use crate::liveness::Standing;

/// How a machine takes part.
#[derive(Debug)]
pub(crate) struct Seating {
    pub(crate) standing: Standing,
    /// Why nothing new may come to it.
    pub(crate) closed: Option<Reason>,
}

/// One machine and the units it is to hold.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    id: &'a MachineId,
    pub(crate) standing: Standing,
    /// Why nothing new may come to it.
    pub(crate) closed: Option<Reason>,
    /// Its announcement; none while its lease is gone.
    pub(crate) machine: Option<&'a Machine>,
    /// What `MachineMetadata=` is matched against: what it announces, as changed through the API.
    pub(crate) metadata: Cow<'a, BTreeMap<String, String>>,
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
    /// The living machines by how many units they hold, then by id.
    by_load: BTreeSet<(usize, &'a MachineId)>,
}

impl<'a> Board<'a> {
    /// Empty seats for all machines of the snapshot.
    pub(crate) fn new(snapshot: &'a ClusterSnapshot, seating: impl Fn(&MachineId) -> Seating) -> Board<'a> {
        let ids = snapshot.machines().keys().chain(snapshot.schedules().keys());
        let seat = |id: &'a MachineId| {
            let machine = snapshot.machines().get(id).map(|entry| &entry.value);
            // One that is there but cannot be read is neither lost nor a place for anything.
            let Seating { standing, closed } = seating(id);
            let standing = if machine.is_some() { standing } else { standing.max(Standing::Suspect) };
            Seat {
                id,
                standing,
                closed,
                machine,
                metadata: snapshot.effective_metadata(id),
                units: BTreeMap::new(),
                guards: BTreeMap::new(),
            }
        };
        let seats: BTreeMap<MachineId, Seat<'a>> = ids.map(|id| (id.clone(), seat(id))).collect();
        let alive = seats.values().filter(|seat| seat.standing == Standing::Alive);
        let by_load = alive.map(|seat| (0, seat.id)).collect();
        Board { seats, holders: BTreeMap::new(), by_load }
    }

    /// The living machines, the one with the fewest units first (then the lowest id).
    pub(crate) fn by_load(&self) -> impl Iterator<Item = &'a MachineId> {
        self.by_load.iter().map(|(_, id)| *id)
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
        let load = seat.units.len();
        seat.units.insert(name, unit);
        Self::reorder(&mut self.by_load, seat, load);
    }

    /// Takes a unit off a machine; returns what it was to do there.
    pub(crate) fn remove(&mut self, id: &MachineId, name: &UnitName) -> Option<ScheduledUnit> {
        if let Some(holders) = self.holders.get_mut(name) {
            holders.remove(id);
        }
        let seat = self.seats.get_mut(id)?;
        let load = seat.units.len();
        seat.guards.remove(name);
        let unit = seat.units.remove(name);
        Self::reorder(&mut self.by_load, seat, load);
        unit
    }

    /// Keeps the order when a machine's load changes from `load`.
    fn reorder(by_load: &mut BTreeSet<(usize, &'a MachineId)>, seat: &Seat<'a>, load: usize) {
        if by_load.remove(&(load, seat.id)) {
            by_load.insert((seat.units.len(), seat.id));
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
