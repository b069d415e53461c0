//! When a machine counts as lost: its lease is gone, and the grace after that has passed.

use std::collections::BTreeMap;

use flota_registry::{ClusterSnapshot, Key, MachineId, Millis};

/// What the leader may assume about a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Its lease lives.
    Alive,
    /// Its lease is gone, but not for long: nothing is moved yet, nothing new is placed there.
    Suspect,
    /// Its lease has been gone for the whole grace.
    Lost,
}

/// Since when machines have been missing, on the leader's own clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Liveness {
    missing_since: BTreeMap<MachineId, Millis>,
}

impl Liveness {
    /// Forgets all absences. A new leader, or one that was cut off, counts each grace anew: what it did not
    /// see it does not hold against anybody.
    pub(crate) fn forget(&mut self) {
        self.missing_since.clear();
    }

    /// Takes note of who is missing in `snapshot` at `now`. Only machines that hold a schedule matter. One whose
    /// announcement cannot be read is there.
    pub(crate) fn observe(&mut self, snapshot: &ClusterSnapshot, now: Millis) {
        let missing = |id: &MachineId| {
            snapshot.schedules().contains_key(id)
                && !snapshot.machines().contains_key(id)
                && !snapshot.is_unreadable(&Key::Machine(id.clone()))
        };
        self.missing_since.retain(|id, _| missing(id));
        for id in snapshot.schedules().keys().filter(|id| missing(id)) {
            self.missing_since.entry(id.clone()).or_insert(now);
        }
    }

    pub(crate) fn standing(&self, id: &MachineId, now: Millis, grace: Millis) -> Standing {
        match self.missing_since.get(id) {
            None => Standing::Alive,
            Some(since) if now.since(*since) >= grace => Standing::Lost,
            Some(_) => Standing::Suspect,
        }
    }

    /// When the first suspect after `after` becomes lost.
    pub(crate) fn next_loss(&self, after: Millis, grace: Millis) -> Option<Millis> {
        self.missing_since.values().map(|since| since.plus(grace)).filter(|at| *at > after).min()
    }
}
