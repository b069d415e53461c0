//! Groups: units that `MachineOf=` ties together and that wait for a place.

use std::collections::{BTreeSet, VecDeque};

use flota_registry::MachineId;
use flota_unit::UnitName;

use super::{Board, Ignoring, first_reason};
use crate::demand::Demands;
use crate::liveness::Standing;

/// Most units of one group that are looked at: those that are tied the closest.
const MAX_GROUP: usize = 64;
/// How many of them a cause names.
const MAX_NAMED: usize = 3;

/// The units that are to come together with one.
pub(crate) struct Group<'a> {
    first: &'a UnitName,
    others: BTreeSet<&'a UnitName>,
}

impl<'a> Group<'a> {
    /// All units that wait for a place and are tied to `first`, directly or through others that wait.
    pub(crate) fn of(first: &'a UnitName, demands: &'a Demands, board: &Board<'_>) -> Group<'a> {
        let mut others = BTreeSet::new();
        let mut open = VecDeque::from([first]);
        while let Some(at) = open.pop_front() {
            for unit in demands.tied(at) {
                if others.len() < MAX_GROUP && unit != first && waits(unit, demands, board) && others.insert(unit) {
                    open.push_back(unit);
                }
            }
        }
        Group { first, others }
    }

    /// These units, which are together already.
    pub(crate) fn together(first: &'a UnitName, others: BTreeSet<&'a UnitName>) -> Group<'a> {
        Group { first, others }
    }

    /// Whether all of them can come to that machine together.
    pub(crate) fn fits(&self, id: &MachineId, demands: &Demands, board: &Board<'_>) -> bool {
        let mut company = self.others.clone();
        company.insert(self.first);
        company.iter().all(|unit| self.joins(unit, id, &company, demands, board))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.others.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.others.len()
    }

    /// How many of them could join the first one on that machine: those that fit beside what is there and beside
    /// each other, and whose peers come along.
    pub(crate) fn fitting(&self, id: &MachineId, demands: &Demands, board: &Board<'_>) -> usize {
        let mut company = self.others.clone();
        company.insert(self.first);
        loop {
            let joins = |unit: &&UnitName| *unit == self.first || self.joins(unit, id, &company, demands, board);
            let left: BTreeSet<&UnitName> = company.iter().copied().filter(joins).collect();
            if left.len() == company.len() {
                return left.len() - 1;
            }
            company = left;
        }
    }

    fn joins(
        &self,
        unit: &UnitName,
        id: &MachineId,
        company: &BTreeSet<&UnitName>,
        demands: &Demands,
        board: &Board<'_>,
    ) -> bool {
        let Some(needs) = demands.judged(unit) else { return false };
        let before = |other: &&&UnitName| ***other < *unit || **other == self.first;
        let excluded = company.iter().filter(before).filter(|other| **other != unit).any(|other| {
            let Some(theirs) = demands.judged(other) else { return false };
            let conflict = needs.conflicts_with(other) || theirs.conflicts_with(unit);
            conflict || demands.replaces(other, theirs, unit) || demands.replaces(unit, needs, other)
        });
        !excluded && first_reason(board, demands, unit, needs, id, Ignoring::Absence(company)).is_none()
    }

    /// Why a machine was chosen that `fitting` of them can be on.
    pub(crate) fn cause(&self, fitting: usize) -> String {
        let mut names = self.others.iter().take(MAX_NAMED).map(|unit| unit.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(more) = self.others.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
            names = format!("{names} and {more} more");
        }
        match fitting {
            _ if fitting == self.others.len() => {
                format!("fewest units of the machines that its MachineOf group ({names}) can be on")
            }
            0 => format!("fewest units; no machine can take any of its MachineOf group ({names}) with it"),
            _ => format!(
                "the machine that can take most of its MachineOf group ({names}): {fitting} of {}",
                self.others.len()
            ),
        }
    }
}

/// Whether the unit is yet to be placed.
fn waits(unit: &UnitName, demands: &Demands, board: &Board<'_>) -> bool {
    let placed = board.holder(unit).is_some_and(|(_, standing)| standing != Standing::Lost);
    !placed && demands.judged(unit).is_some_and(|needs| !needs.global)
}
