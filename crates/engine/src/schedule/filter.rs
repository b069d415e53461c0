//! Filter: may this unit be on this machine, and if not, why not.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;

use flota_registry::{ClusterSnapshot, Cordon, CordonMode, HeldOff, Key, MachineId, Millis};
use flota_unit::{Requirements, UnitName};

use super::Board;
use crate::demand::Demands;
use crate::liveness::Standing;

/// Most units on one machine: its schedule is one value of the store and must stay far below 1.5 MiB.
pub const MAX_UNITS_PER_MACHINE: usize = 2000;

/// One reason why a unit may not be on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The machine's lease is gone.
    NotAlive,
    /// `MachineID=` names another machine.
    OtherMachine {
        /// The id that the unit asks for.
        wanted: String,
    },
    /// `MachineMetadata=` asks for a key or value that the machine does not have.
    Metadata {
        /// The key.
        key: String,
        /// The accepted values.
        wanted: BTreeSet<String>,
        /// What the machine has.
        found: Option<String>,
    },
    /// `MachineOf=` names a unit that is not scheduled there.
    PeerElsewhere {
        /// The unit that must be there.
        peer: UnitName,
    },
    /// `MachineOf=` names a unit that is to be on no machine at all.
    PeerUnwanted {
        /// The unit that must be there.
        peer: UnitName,
    },
    /// `MachineOf=` leads from the unit back to itself: none of them can be the first.
    PeerCircle {
        /// The units from this one to this one.
        circle: Vec<UnitName>,
    },
    /// `Conflicts=` of the unit itself matches a unit there.
    ConflictsWith {
        /// The unit that is there.
        other: UnitName,
    },
    /// `Conflicts=` of a unit there matches this one.
    RefusedBy {
        /// The unit that is there.
        other: UnitName,
    },
    /// `Replaces=` of a unit there matches this one.
    ReplacedBy {
        /// The unit that is there.
        other: UnitName,
    },
    /// `Replaces=` of the unit matches one that it needs beside it through `MachineOf=`: it would drive itself out.
    ReplacesPeer {
        /// The unit that it both needs and replaces.
        peer: UnitName,
    },
    /// The machine holds as many units as a schedule may have.
    Full,
    /// People ask that nothing new comes to the machine.
    Cordoned {
        /// How far it goes.
        mode: CordonMode,
        /// Why, in their words.
        reason: Option<String>,
    },
    /// What people ask of the machine cannot be read.
    UnreadableCordon,
    /// The machine said that it goes down.
    GoingDown,
    /// The machine takes no orders.
    Frozen {
        /// Why.
        why: String,
    },
    /// The machine was lost and has come back, maybe not for long.
    HeldOff {
        /// How often it was lost within ten minutes.
        losses: usize,
        /// How long it is still held off.
        left: Millis,
    },
    /// The same, as the leader wrote it down.
    NotedHeldOff(HeldOff),
}

impl Reason {
    /// Why nothing new may come to the machine, as far as the leader wrote it down.
    pub(crate) fn of_leader(snapshot: &ClusterSnapshot, id: &MachineId) -> Option<Reason> {
        snapshot.notes()?.held_off.get(id).copied().map(Reason::NotedHeldOff)
    }

    /// Why nothing new may come to the machine, as far as people or the machine itself say so.
    pub(crate) fn of_people(snapshot: &ClusterSnapshot, id: &MachineId) -> Option<Reason> {
        if snapshot.is_unreadable(&Key::Cordon(id.clone())) {
            return Some(Reason::UnreadableCordon);
        }
        if let Some(Cordon { mode, reason, .. }) = snapshot.cordons().get(id).map(|entry| &entry.value) {
            return Some(Reason::Cordoned { mode: *mode, reason: reason.clone() });
        }
        let frozen = snapshot.machines().get(id).and_then(|entry| entry.value.frozen.clone());
        if let Some(why) = frozen {
            return Some(Reason::Frozen { why });
        }
        let down = snapshot.members().get(id).is_some_and(|entry| entry.value.down_unix_ms.is_some());
        down.then_some(Reason::GoingDown)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotAlive => write!(f, "machine does not answer"),
            Reason::OtherMachine { wanted } => write!(f, "MachineID asks for {wanted}"),
            Reason::Metadata { key, wanted, found } => {
                let wanted = wanted.iter().map(|value| format!("{key}={value}")).collect::<Vec<_>>().join(" or ");
                match found {
                    Some(value) => write!(f, "MachineMetadata asks for {wanted}, machine has {key}={value}"),
                    None => write!(f, "MachineMetadata asks for {wanted}, machine has no {key}"),
                }
            }
            Reason::PeerElsewhere { peer } => write!(f, "MachineOf asks for {peer}, which is not scheduled there"),
            Reason::PeerUnwanted { peer } => {
                write!(f, "MachineOf asks for {peer}, which is neither loaded nor launched")
            }
            Reason::PeerCircle { circle } => {
                let names = circle.iter().map(UnitName::as_str).collect::<Vec<_>>().join(" -> ");
                write!(f, "MachineOf goes in a circle, so none of these can be the first: {names}")
            }
            Reason::ConflictsWith { other } => write!(f, "Conflicts matches {other}, which is there"),
            Reason::RefusedBy { other } => write!(f, "{other} is there and its Conflicts matches this unit"),
            Reason::ReplacedBy { other } => write!(f, "{other} is there and its Replaces matches this unit"),
            Reason::ReplacesPeer { peer } => write!(f, "Replaces matches {peer}, which MachineOf needs beside it"),
            Reason::Cordoned { mode, reason } => {
                let what = match mode {
                    CordonMode::Cordoned => "cordoned",
                    CordonMode::Draining => "drained",
                    CordonMode::Removed => "removed from the cluster",
                };
                let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
                write!(f, "machine is {what}{why}")
            }
            Reason::UnreadableCordon => write!(f, "what is asked of the machine cannot be read by this version"),
            Reason::GoingDown => write!(f, "machine said that it goes down"),
            Reason::Frozen { why } => write!(f, "machine takes no orders: {why}"),
            Reason::HeldOff { losses, left } => {
                let (times, seconds) = (if *losses == 1 { "once" } else { "again and again" }, left.0.div_ceil(1000));
                write!(f, "machine was lost {times} ({losses} in 10 minutes): nothing new comes to it for {seconds} s")
            }
            Reason::NotedHeldOff(HeldOff { losses, span_ms }) => write!(
                f,
                "machine was lost ({losses} in 10 minutes) and is back: nothing new comes to it for {} s in all",
                span_ms.div_ceil(1000)
            ),
            Reason::Full => write!(f, "machine holds {MAX_UNITS_PER_MACHINE} units, the most that a schedule can"),
        }
    }
}

/// Which reasons are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ignoring<'a> {
    /// None: may the unit be placed there?
    Nothing,
    /// Fullness: may a unit that is there stay?
    Fullness,
    /// That these peers are not there: may the unit come together with them?
    Absence(&'a BTreeSet<&'a UnitName>),
}

/// Why `name` may not be on machine `id`; empty when it may. The unit itself, if it is there, does not count.
pub(crate) fn reasons(
    board: &Board<'_>,
    demands: &Demands,
    name: &UnitName,
    needs: &Requirements,
    id: &MachineId,
) -> Vec<Reason> {
    let mut found = Vec::new();
    let all = judge(board, demands, name, needs, id, Ignoring::Nothing, |reason| {
        found.push(reason);
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(all.is_continue(), "collecting never breaks off");
    let is_peer = |reason: &Reason| matches!(reason, Reason::PeerElsewhere { .. } | Reason::PeerUnwanted { .. });
    if found.iter().any(is_peer)
        && let Some(circle) = demands.peer_circle(name)
    {
        // No machine can mend that.
        found.retain(|reason| !is_peer(reason));
        found.insert(0, Reason::PeerCircle { circle });
    }
    found
}

/// The first of the [`reasons`]: placement needs no more, and asks this of each unit and machine.
pub(crate) fn first_reason(
    board: &Board<'_>,
    demands: &Demands,
    name: &UnitName,
    needs: &Requirements,
    id: &MachineId,
    ignoring: Ignoring<'_>,
) -> Option<Reason> {
    judge(board, demands, name, needs, id, ignoring, ControlFlow::Break).break_value()
}

fn judge<B>(
    board: &Board<'_>,
    demands: &Demands,
    name: &UnitName,
    needs: &Requirements,
    id: &MachineId,
    ignoring: Ignoring<'_>,
    mut found: impl FnMut(Reason) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let Some(seat) = board.seat(id).filter(|seat| seat.machine.is_some()) else {
        return found(Reason::NotAlive);
    };
    if seat.standing != Standing::Alive {
        return found(seat.closed.clone().filter(|_| seat.standing == Standing::Lost).unwrap_or(Reason::NotAlive));
    }
    // Who is there stays.
    if let Some(reason) = seat.closed.as_ref().filter(|_| !seat.units().contains_key(name)) {
        found(reason.clone())?;
    }
    if !needs.matches_machine_id(id.as_str()) {
        found(Reason::OtherMachine { wanted: needs.machine_id.clone().unwrap_or_default() })?;
    }
    for (key, wanted) in &needs.machine_metadata {
        let value = seat.metadata.get(key);
        if !value.is_some_and(|value| wanted.contains(value)) {
            found(Reason::Metadata { key: key.clone(), wanted: wanted.clone(), found: value.cloned() })?;
        }
    }
    for peer in needs.machine_of.iter().filter(|peer| !seat.units().contains_key(*peer)) {
        match ignoring {
            Ignoring::Absence(company) if company.contains(peer) => {}
            _ if demands.get(peer).is_none() => found(Reason::PeerUnwanted { peer: peer.clone() })?,
            _ => found(Reason::PeerElsewhere { peer: peer.clone() })?,
        }
    }
    if let Some(peer) = demands.replaced_peer(name, needs) {
        found(Reason::ReplacesPeer { peer: peer.clone() })?;
    }
    if !needs.conflicts.is_empty() {
        for other in seat.units().keys().filter(|other| *other != name && needs.conflicts_with(other)) {
            found(Reason::ConflictsWith { other: other.clone() })?;
        }
    }
    for (other, theirs) in seat.guards().iter().filter(|(other, _)| *other != name) {
        if theirs.conflicts_with(name) && !needs.conflicts_with(other) {
            found(Reason::RefusedBy { other: other.clone() })?;
        }
        if demands.replaces(other, theirs, name) {
            found(Reason::ReplacedBy { other: other.clone() })?;
        }
    }
    let others = seat.units().len() - usize::from(seat.units().contains_key(name));
    if ignoring != Ignoring::Fullness && others >= MAX_UNITS_PER_MACHINE {
        found(Reason::Full)?;
    }
    ControlFlow::Continue(())
}
