//! Explains one unit: where it is, why, and what every machine says about it.

use flota_registry::{ClusterSnapshot, DesiredState, MachineId};
use flota_unit::UnitName;

use crate::demand::{Demands, requirements_of};
use crate::liveness::Standing;
use crate::schedule::{Board, Reason, reasons};

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
    /// Why it cannot be judged at all, such as a missing text.
    pub problem: Option<String>,
}

/// Explains `name` by the very filter that places it. `None` for an unknown unit.
pub fn explain(snapshot: &ClusterSnapshot, name: &UnitName) -> Option<Explanation> {
    let unit = &snapshot.units().get(name)?.value;
    let standing = |id: &MachineId| {
        if snapshot.machines().contains_key(id) { Standing::Alive } else { Standing::Suspect }
    };
    let mut demands = Demands::default();
    demands.refresh(snapshot);
    let mut board = Board::new(snapshot, standing);
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
    Some(Explanation { desired: unit.desired, scheduled, verdicts, problem: None })
}
