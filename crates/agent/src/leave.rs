//! How a machine leaves its cluster: whether it may, which units stay on it, and how far it has come.

use std::collections::{BTreeMap, BTreeSet};

use flota_registry::{ClusterId, LeaseId, TargetState, codec};
use flota_unit::UnitName;
use serde::{Deserialize, Serialize};

use crate::Held;

/// What is still to be done, in this order. None of the steps stops a unit, so a crash between any two stops none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The units' files become plain files of systemd's.
    Files,
    /// The cluster is told.
    Cluster,
    /// All is done.
    Done,
}

/// A machine's note to itself that it leaves its cluster, or has left it. While it is on the disk no agent runs, and no
/// session with the store is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// The cluster that it leaves; none if it never knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// The boot during which it began.
    pub boot_id: String,
    /// Its lease at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// Its units run on as plain systemd units; otherwise it had none when it left.
    pub keep: bool,
    /// The cluster is to be told; otherwise its store is out of reach, and somebody removes the machine later.
    pub tell: bool,
    /// The units that stay here.
    #[serde(default)]
    pub kept: BTreeSet<UnitName>,
    /// What is still to be done.
    pub stage: Stage,
}

impl Leave {
    /// Reads what [`Leave::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Leave, codec::CodecError> {
        codec::decode(bytes)
    }

    /// As bytes for the disk.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

/// What is known where a machine is asked to leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Its units are to run on as plain systemd units.
    pub keep: bool,
    /// Its daemon has the cluster's store.
    pub has_store: bool,
    /// How many other machines belong to the cluster.
    pub members: usize,
    /// How many of them live.
    pub living: usize,
    /// How many units it holds.
    pub holds: usize,
}

/// Why a machine may not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Others need the store in its daemon.
    #[error(
        "this machine has the cluster's store, which {members} other machines use: move the store first \
         (flota store migrate), or take them out of the cluster"
    )]
    HasStore {
        /// How many.
        members: usize,
    },
    /// Nobody could take its units.
    #[error(
        "no other machine of the cluster lives, so nothing could take its units: `flota leave --keep` leaves them \
         running as plain systemd units"
    )]
    Last,
    /// Its units are to be moved first.
    #[error("this machine holds {holds} units: drain it first, or keep them here with --keep")]
    NotEmpty {
        /// How many.
        holds: usize,
    },
    /// systemd has other files of these names.
    #[error("these files in /etc/systemd/system are not Flota's, move them away first: {}", names(units))]
    Taken {
        /// The names.
        units: BTreeSet<UnitName>,
    },
}

fn names(units: &BTreeSet<UnitName>) -> String {
    units.iter().map(UnitName::as_str).collect::<Vec<_>>().join(", ")
}

/// Whether the machine may leave. Its units are not looked at where `drained` says that this comes later.
pub fn may_leave(leaving: &Leaving, drained: bool) -> Result<(), Refusal> {
    let &Leaving { keep, has_store, members, living, holds } = leaving;
    if has_store && members > 0 {
        return Err(Refusal::HasStore { members });
    }
    if !keep && living == 0 {
        return Err(Refusal::Last);
    }
    if !keep && drained && holds > 0 {
        return Err(Refusal::NotEmpty { holds });
    }
    Ok(())
}

/// A unit file in Flota's own folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// Its `[Install]` section says what starts it: `WantedBy=`, `RequiredBy=` or `UpheldBy=`.
    pub is_wanted: bool,
    /// `/etc/systemd/system` has another file of its name.
    pub is_taken: bool,
}

/// What starts a kept unit when the machine boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtBoot {
    /// Nothing: it was loaded, not launched.
    Nothing,
    /// What its `[Install]` section names.
    Install,
    /// `multi-user.target`: it was launched, and has no word of its own.
    MultiUser,
}

/// A unit that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub unit: UnitName,
    /// What starts it from now on.
    pub at_boot: AtBoot,
}

/// What becomes of the unit files of a machine that leaves and keeps its units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// These stay, by name.
    pub kept: Vec<Kept>,
    /// These were on their way off the machine; their files go.
    pub dropped: Vec<UnitName>,
}

/// Plans what stays: all that the last accepted schedule has, and whose file is here. Refused if a file of another's
/// would have to be replaced.
pub fn keep(held: &Held, here: &BTreeMap<UnitName, Here>) -> Result<Keep, Refusal> {
    let scheduled = |unit: &UnitName| held.schedule.as_ref().and_then(|schedule| schedule.units.get(unit));
    let taken = here.iter().filter(|(unit, file)| file.is_taken && scheduled(unit).is_some());
    let units: BTreeSet<UnitName> = taken.map(|(unit, _)| unit.clone()).collect();
    if !units.is_empty() {
        return Err(Refusal::Taken { units });
    }
    let mut plan = Keep::default();
    for (unit, file) in here {
        let Some(order) = scheduled(unit) else {
            plan.dropped.push(unit.clone());
            continue;
        };
        let at_boot = match order.target {
            TargetState::Loaded => AtBoot::Nothing,
            TargetState::Launched if file.is_wanted => AtBoot::Install,
            TargetState::Launched => AtBoot::MultiUser,
        };
        plan.kept.push(Kept { unit: unit.clone(), at_boot });
    }
    Ok(plan)
}
