//! All machines that are missing, as the leader sees them on its own clock.

use std::collections::BTreeMap;

use flota_registry::{ClusterSnapshot, CordonMode, Key, MachineId, Millis};

use super::absence::{Absence, Loss, Reach};

/// Most questions under way at once; when a whole room goes dark, the machines of it take turns.
const MAX_OPEN_QUESTIONS: usize = 256;
/// Whom a round asks: the leader itself, and one other machine.
const MAX_WITNESSES: usize = 2;

/// What the leader may assume about a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Its lease lives.
    Alive,
    /// Its lease is gone, but it may live: nothing is moved yet, nothing new is placed there.
    Suspect,
    /// What it had is to be placed elsewhere.
    Lost,
}

/// A question: can you reach this machine?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) machine: MachineId,
    /// Where its daemon answers.
    pub(crate) peer: String,
    /// Who is asked, and where; none: the leader itself.
    pub(crate) through: Option<(MachineId, String)>,
}

/// What came of looking at the cluster again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Machines that have just become lost.
    pub(crate) lost: Vec<(MachineId, Loss)>,
    /// Questions to ask.
    pub(crate) probes: Vec<Probe>,
}

/// The machines that are missing, and what is known of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Liveness {
    absent: BTreeMap<MachineId, Absence>,
}

impl Liveness {
    /// Forgets all absences. A new leader, or one that was cut off, counts anew: what it did not see it does not hold
    /// against anybody.
    pub(crate) fn forget(&mut self) {
        self.absent.clear();
    }

    /// Takes note of who is missing in `snapshot` at `now`, and returns those that were lost and are back. Only
    /// machines that hold a schedule matter. One whose announcement cannot be read is there.
    pub(crate) fn observe(&mut self, snapshot: &ClusterSnapshot, now: Millis) -> Vec<MachineId> {
        let is_there =
            |id: &MachineId| snapshot.machines().contains_key(id) || snapshot.is_unreadable(&Key::Machine(id.clone()));
        let mut back = Vec::new();
        self.absent.retain(|id, absence| {
            let there = is_there(id);
            if there && absence.loss().is_some() {
                back.push(id.clone());
            }
            !there && snapshot.schedules().contains_key(id)
        });
        for (id, schedule) in snapshot.schedules().iter().filter(|(id, _)| !is_there(id)) {
            let absence = self.absent.entry(id.clone()).or_insert_with(|| Absence::new(now));
            let member = snapshot.members().get(id).map(|entry| &entry.value);
            absence.peer = member.and_then(|member| member.peer.clone()).filter(|_| !schedule.value.units.is_empty());
            absence.certain = if is_removed(snapshot, id) {
                Some(Loss::Removed)
            } else {
                member.and_then(|member| member.down_unix_ms).map(|_| Loss::Goodbye)
            };
        }
        back
    }

    /// Takes in an answer to a [`Probe`]; says whether it is the first sign of life since the machine's lease is gone.
    pub(crate) fn take(&mut self, machine: &MachineId, through: Option<MachineId>, found: Reach) -> bool {
        let Some(absence) = self.absent.get_mut(machine) else { return false };
        let before = absence.is_reached();
        absence.take(&through, found);
        !before && absence.is_reached()
    }

    /// The machines without a lease that were reached all the same.
    pub(crate) fn reached(&self) -> impl Iterator<Item = &MachineId> {
        self.absent.iter().filter(|(_, absence)| absence.is_reached()).map(|(id, _)| id)
    }

    /// Draws the consequences of the time being `now`. `me` is the machine that leads.
    pub(crate) fn advance(&mut self, snapshot: &ClusterSnapshot, me: &MachineId, now: Millis, grace: Millis) -> News {
        let mut news = News::default();
        for (id, absence) in &mut self.absent {
            news.lost.extend(absence.advance(now, grace).map(|loss| (id.clone(), loss)));
        }
        let mut room = self.room();
        let due = |absence: &Absence| absence.round_due().is_some_and(|at| at <= now);
        let mut others: Option<Vec<(&MachineId, &str)>> = None;
        for (machine, absence) in self.absent.iter_mut().filter(|(_, absence)| due(absence)) {
            let Some(peer) = absence.peer.clone().filter(|_| room >= MAX_WITNESSES) else { continue };
            let others = others.get_or_insert_with(|| witnesses(snapshot, me));
            let other = absence.rounds.checked_rem(others.len()).map(|nth| others[nth]);
            let other = other.map(|(id, address)| (id.clone(), address.to_owned()));
            let asked = [None].into_iter().chain(other.map(Some));
            let probe = |through| Probe { machine: machine.clone(), peer: peer.clone(), through };
            let probes: Vec<Probe> = asked.map(probe).collect();
            let of = |probe: &Probe| probe.through.as_ref().map(|(id, _)| id.clone());
            absence.begin_round(now, probes.iter().map(of));
            room -= probes.len();
            news.probes.extend(probes);
        }
        news
    }

    /// How many more questions may be under way.
    fn room(&self) -> usize {
        MAX_OPEN_QUESTIONS.saturating_sub(self.absent.values().map(Absence::open).sum())
    }

    pub(crate) fn standing(&self, id: &MachineId) -> Standing {
        match self.absent.get(id).map(Absence::loss) {
            None => Standing::Alive,
            Some(None) => Standing::Suspect,
            Some(Some(_)) => Standing::Lost,
        }
    }

    /// Why the machine counts as lost, if it does.
    pub(crate) fn loss(&self, id: &MachineId) -> Option<Loss> {
        self.absent.get(id)?.loss()
    }

    /// Since when the machine's lease has been gone, if it is.
    pub(crate) fn absent_since(&self, id: &MachineId) -> Option<Millis> {
        Some(self.absent.get(id)?.since())
    }

    /// When [`Liveness::advance`] is wanted next.
    pub(crate) fn deadline(&self, grace: Millis) -> Option<Millis> {
        // Without room a round begins when an answer comes in.
        let room = self.room() >= MAX_WITNESSES;
        let due = |absence: &Absence| [absence.due(grace), absence.round_due().filter(|_| room)];
        self.absent.values().flat_map(due).flatten().min()
    }
}

/// Whether people removed the machine from the cluster.
pub(crate) fn is_removed(snapshot: &ClusterSnapshot, id: &MachineId) -> bool {
    snapshot.cordons().get(id).is_some_and(|entry| entry.value.mode == CordonMode::Removed)
}

/// The living machines besides `me` that can be asked to look for another one.
fn witnesses<'s>(snapshot: &'s ClusterSnapshot, me: &MachineId) -> Vec<(&'s MachineId, &'s str)> {
    let living = snapshot.machines().keys().filter(|id| *id != me);
    living.filter_map(|id| Some((id, snapshot.members().get(id)?.value.peer.as_deref()?))).collect()
}
