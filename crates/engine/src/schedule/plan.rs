//! The result of a pass: what is written, why, and what the next pass waits for.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{ClusterId, ClusterSnapshot, MachineId, Millis, ScheduleWrite};
use flota_unit::UnitName;

use super::Reason;
use super::board::Seating;
use crate::demand::Demands;
use crate::event::Settings;
use crate::liveness::{Liveness, Standing, is_removed};
use crate::memory::{Flapping, Progress, Whereabouts};

/// A change of one unit's place, for the log and for `why`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which unit.
    pub unit: UnitName,
    /// Where it was scheduled.
    pub from: Option<MachineId>,
    /// Where it is scheduled now.
    pub to: Option<MachineId>,
    /// Why, in words.
    pub cause: String,
    /// Why, as far as others wait for it.
    pub occasion: Occasion,
}

/// What made a unit change its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody changed what is wanted, or what there is.
    Change,
    /// Its machine was lost, or removed.
    Loss,
    /// Its machine is drained.
    Drain,
}

/// Where a unit was until somebody took it off, and why.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) from: MachineId,
    pub(crate) occasion: Occasion,
    pub(crate) why: String,
}

impl Origin {
    pub(crate) fn cause(&self) -> String {
        match self.occasion {
            Occasion::Change => format!("left machine {}: {}", self.from.short(), self.why),
            Occasion::Loss | Occasion::Drain => self.why.clone(),
        }
    }
}

/// Everything that a pass is worked out from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) snapshot: &'a ClusterSnapshot,
    pub(crate) cluster: &'a ClusterId,
    pub(crate) demands: &'a Demands,
    pub(crate) liveness: &'a Liveness,
    pub(crate) flapping: &'a Flapping,
    pub(crate) progress: &'a Progress,
    pub(crate) whereabouts: &'a Whereabouts,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Millis,
}

impl View<'_> {
    /// How a machine takes part in this pass.
    pub(crate) fn seating(&self, id: &MachineId) -> Seating {
        let standing = if is_removed(self.snapshot, id) { Standing::Lost } else { self.liveness.standing(id) };
        let closed = Reason::of_people(self.snapshot, id).or_else(|| self.flapping.hold(id, self.now));
        Seating { standing, closed }
    }
}

/// The result of a pass.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) writes: Vec<ScheduleWrite>,
    pub(crate) decisions: Vec<Decision>,
    /// Wanted units that no machine can take now.
    pub(crate) unplaced: BTreeSet<UnitName>,
    /// What waits, and why.
    pub(crate) notes: BTreeSet<String>,
    /// The units that wait for something else than a machine that can take them, and for what.
    pub(crate) waits: BTreeMap<UnitName, String>,
    /// Machines whose next report may end a wait.
    pub(crate) watching: BTreeSet<MachineId>,
    /// When a wait ends by itself.
    pub(crate) wake: Option<Millis>,
}

impl Plan {
    pub(crate) fn wake_at(&mut self, at: Option<Millis>) {
        self.wake = self.wake.into_iter().chain(at).min();
    }
}
