//! The end of a pass: from the board to the schedules that are written, within what one transaction can hold.

use std::collections::BTreeSet;

use flota_registry::{Generation, Key, MAX_OPS_PER_TXN, MAX_TXN_BYTES, MachineId, Schedule, ScheduleWrite};

use super::plan::{Origin, Plan};
use super::planner::Planner;

/// Most compares of one pass besides the leader's: one for each schedule that is written, and one more for each machine
/// that is away. The next pass goes on from there.
const MAX_COMPARES: usize = MAX_OPS_PER_TXN - 1;

/// What a schedule's entry takes besides its name and cause: the hash, the target, and JSON around them.
const ENTRY_BYTES: usize = 120;

impl Planner<'_> {
    /// Draws up the schedules that differ from the committed ones.
    pub(super) fn finish(mut self) -> Plan {
        for (name, Origin { from, occasion, why }) in std::mem::take(&mut self.homeless) {
            self.decide(&name, Some(&from), None, why, occasion);
        }
        let (mut bytes, mut compares, mut held_back) = (0, 0, false);
        for (machine, seat) in self.board.seats() {
            let committed = self.view.snapshot.schedules().get(machine);
            let unchanged = match committed {
                Some(entry) => entry.value.units == *seat.units(),
                None => seat.units().is_empty(),
            };
            if unchanged {
                continue;
            }
            bytes += seat
                .units()
                .iter()
                .map(|(name, unit)| name.as_str().len() + unit.cause.len() + ENTRY_BYTES)
                .sum::<usize>();
            let is_away = !self.view.snapshot.machines().contains_key(machine)
                && !self.view.snapshot.is_unreadable(&Key::Machine(machine.clone()));
            compares += 1 + usize::from(is_away);
            if compares > MAX_COMPARES || (bytes > MAX_TXN_BYTES && !self.plan.writes.is_empty()) {
                held_back = true;
                break;
            }
            let generation = committed.map_or(Generation::default(), |entry| entry.value.generation).next();
            self.plan.writes.push(ScheduleWrite {
                machine: machine.clone(),
                schedule: Schedule { cluster: self.view.cluster.clone(), generation, units: seat.units().clone() },
                seen: committed.map(|entry| entry.mod_revision),
                is_away,
            });
        }
        if held_back {
            // What is not written yet is decided, and told, by the next pass.
            let written: BTreeSet<&MachineId> = self.plan.writes.iter().map(|write| &write.machine).collect();
            let told = |id: &Option<MachineId>| id.as_ref().is_some_and(|id| written.contains(id));
            self.plan.decisions.retain(|decision| told(&decision.to) || told(&decision.from));
        }
        self.plan
    }
}
