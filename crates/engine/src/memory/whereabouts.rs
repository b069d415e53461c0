//! Where an exclusive unit may still run although no schedule says so.

use std::collections::BTreeMap;

use flota_registry::{ClusterSnapshot, Generation, MachineId, Millis, Schedule, ScheduledUnit};
use flota_unit::UnitName;

use crate::liveness::Liveness;

/// How much longer than a lease the leader waits after a lease was seen gone: by then its machine has fenced itself.
const FENCE_MARGIN: Millis = Millis(2_000);

/// Why a unit may still run on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The machine has not said yet that it stopped the unit.
    Unsaid,
    /// The machine is missing; until then it may not have fenced itself.
    Unfenced(Millis),
}

/// What is known of the places that exclusive units left.
#[derive(Debug, Clone, Default)]
pub(crate) struct Whereabouts {
    /// The machines that a unit was taken off, with the generation that did it: a report of that generation tells.
    left: BTreeMap<UnitName, BTreeMap<MachineId, Generation>>,
    /// Machines whose reports were behind their schedules when this leader first looked: each may run any unit that an
    /// earlier schedule gave it, until its report is of that generation.
    behind: BTreeMap<MachineId, Generation>,
}

impl Whereabouts {
    pub(crate) fn forget(&mut self) {
        *self = Whereabouts::default();
    }

    /// Looks at a cluster of which nothing was seen until now.
    pub(crate) fn start(&mut self, snapshot: &ClusterSnapshot) {
        let schedules = snapshot.schedules().iter().map(|(id, entry)| (id, entry.value.generation));
        let behind = schedules.filter(|(id, generation)| !has_reported(snapshot, id, *generation));
        self.behind = behind.map(|(id, generation)| (id.clone(), generation)).collect();
    }

    /// Takes note of a schedule that changed from `before` to `after`.
    pub(crate) fn follow(
        &mut self,
        id: &MachineId,
        before: &Schedule,
        after: &Schedule,
        is_exclusive: &dyn Fn(&UnitName, &ScheduledUnit) -> bool,
    ) {
        let gone =
            before.units.iter().filter(|(name, unit)| is_exclusive(name, unit) && !after.units.contains_key(*name));
        for (name, _) in gone {
            self.left.entry(name.clone()).or_default().insert(id.clone(), after.generation);
        }
    }

    /// Drops what is known by now. `lease` is how long a machine's lease lives.
    pub(crate) fn refresh(&mut self, snapshot: &ClusterSnapshot, liveness: &Liveness, now: Millis, lease: Millis) {
        let missing = |id: &MachineId| liveness.absent_since(id).map(|since| since.plus(lease).plus(FENCE_MARGIN));
        let over = |id: &MachineId| match missing(id) {
            Some(fenced) => fenced <= now,
            // It is neither there nor waited for: forgotten, or never heard of again.
            None => !snapshot.machines().contains_key(id) && !snapshot.schedules().contains_key(id),
        };
        self.behind.retain(|id, generation| !over(id) && !has_reported(snapshot, id, *generation));
        self.left.retain(|unit, machines| {
            machines.retain(|id, generation| {
                let said = has_reported(snapshot, id, *generation) && !seems_up(snapshot, id, unit);
                !over(id) && !said
            });
            !machines.is_empty()
        });
    }

    /// When the next missing machine must have stopped what it may run: then it can be forgotten, if people removed it.
    pub(crate) fn next_end(&self, liveness: &Liveness, now: Millis, lease: Millis) -> Option<Millis> {
        let machines = self.behind.keys().chain(self.left.values().flat_map(BTreeMap::keys));
        let fenced = machines.filter_map(|id| Some(liveness.absent_since(id)?.plus(lease).plus(FENCE_MARGIN)));
        fenced.filter(|at| *at > now).min()
    }

    /// Whether anything is still to be learned about the machine.
    pub(crate) fn mentions(&self, id: &MachineId) -> bool {
        self.behind.contains_key(id) || self.left.values().any(|machines| machines.contains_key(id))
    }

    /// The machines that may run the unit now, each with the reason to think so.
    pub(crate) fn doubts(
        &self,
        unit: &UnitName,
        snapshot: &ClusterSnapshot,
        liveness: &Liveness,
        now: Millis,
        lease: Millis,
    ) -> BTreeMap<MachineId, Doubt> {
        let scheduled = snapshot.schedules().iter().filter(|(_, entry)| entry.value.units.contains_key(unit));
        let reported = snapshot.reports().keys().filter(|id| seems_up(snapshot, id, unit));
        let left = self.left.get(unit).into_iter().flat_map(BTreeMap::keys);
        let suspects = scheduled.map(|(id, _)| id).chain(reported).chain(left).chain(self.behind.keys());
        let doubt = |id: &MachineId| match liveness.absent_since(id).map(|at| at.plus(lease).plus(FENCE_MARGIN)) {
            Some(fenced) if fenced <= now => None,
            Some(fenced) => Some(Doubt::Unfenced(fenced)),
            None => Some(Doubt::Unsaid),
        };
        suspects.filter_map(|id| Some((id.clone(), doubt(id)?))).collect()
    }
}

fn has_reported(snapshot: &ClusterSnapshot, id: &MachineId, generation: Generation) -> bool {
    snapshot.reports().get(id).is_some_and(|report| report.value.generation >= generation)
}

/// Whether the machine's report leaves it open that the unit runs there.
fn seems_up(snapshot: &ClusterSnapshot, id: &MachineId, unit: &UnitName) -> bool {
    let seen = snapshot.reports().get(id).and_then(|report| report.value.units.get(unit));
    seen.is_some_and(|seen| !matches!(seen.states.active.as_str(), "inactive" | "failed"))
}
