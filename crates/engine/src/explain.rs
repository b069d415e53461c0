//! Explains one unit: where it is, why, and what every machine says about it.

use flota_registry::{ClusterSnapshot, DesiredState, MachineId};
use flota_unit::UnitName;

use crate::demand::{Demands, requirements_of};
use crate::liveness::{Standing, is_removed};
use crate::schedule::{Board, Reason, Seating, reasons};
use crate::standstill::standstill;

/// What one machine says about a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which machine.
    pub machine: MachineId,
    /// Where it is reached.
    pub address: String,
    /// Why the unit may not be there; empty when it may.
    pub reasons: Vec<Reason>,
}

/// Everything the cluster knows about a unit's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What the user wants.
    pub desired: DesiredState,
    /// The machines that it is scheduled on, each with the recorded cause.
    pub scheduled: Vec<(MachineId, String)>,
    /// One verdict per living machine.
    pub verdicts: Vec<Verdict>,
    /// Why nothing comes of the verdicts, such as a missing text, or that placement stands still.
    pub problem: Option<String>,
}

/// Explains `name` by the very filter that places it. `None` for an unknown unit.
pub fn explain(snapshot: &ClusterSnapshot, name: &UnitName) -> Option<Explanation> {
    let unit = &snapshot.units().get(name)?.value;
    let seating = |id: &MachineId| {
        let standing = match snapshot.machines().contains_key(id) {
            true if is_removed(snapshot, id) => Standing::Lost,
            true => Standing::Alive,
            false => Standing::Suspect,
        };
        Seating { standing, closed: Reason::of_people(snapshot, id).or_else(|| Reason::of_leader(snapshot, id)) }
    };
    let mut demands = Demands::default();
    demands.refresh(snapshot);
    let mut board = Board::new(snapshot, seating);
    let mut scheduled = Vec::new();
    for (id, schedule) in snapshot.schedules() {
        for (other, entry) in &schedule.value.units {
            if other == name {
                scheduled.push((id.clone(), entry.cause.clone()));
            }
            board.add(id, other.clone(), entry.clone(), &demands);
        }
    }
    let Some(needs) = requirements_of(snapshot, name, &unit.hash) else {
        let problem = Some("its unit file is missing in the store or cannot be read".to_owned());
        return Some(Explanation { desired: unit.desired, scheduled, verdicts: Vec::new(), problem });
    };
    let verdicts = snapshot
        .machines()
        .iter()
        .map(|(id, machine)| Verdict {
            machine: id.clone(),
            address: machine.value.address.clone(),
            reasons: reasons(&board, &demands, name, &needs, id),
        })
        .collect();
    let problem = standstill(snapshot).map(|why| format!("placement stands still: {why}"));
    let problem = problem.or_else(|| noted(snapshot, name, &scheduled));
    Some(Explanation { desired: unit.desired, scheduled, verdicts, problem })
}

/// What the leader wrote down of the unit, or of the machine that it is on.
fn noted(snapshot: &ClusterSnapshot, name: &UnitName, scheduled: &[(MachineId, String)]) -> Option<String> {
    let notes = snapshot.notes()?;
    let suspect = |(id, _): &(MachineId, String)| Some(format!("machine {}: {}", id.short(), notes.suspects.get(id)?));
    notes.waits.get(name).cloned().or_else(|| scheduled.iter().find_map(suspect))
}
