//! What each unit asks for: its desired state and placement requirements, parsed once per content.

use std::collections::BTreeMap;

use flota_registry::{ClusterSnapshot, DesiredState, TargetState};
use flota_unit::{Requirements, UnitHash, UnitName};

/// One unit that is to be on a machine.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    pub(crate) hash: UnitHash,
    pub(crate) target: TargetState,
    /// None when the unit's text is missing or broken: then the unit stays where it is, unjudged.
    pub(crate) requirements: Option<Requirements>,
}

/// All demands of one snapshot, and the parsed requirements of earlier ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demands {
    wanted: BTreeMap<UnitName, Demand>,
}

impl Demands {
    /// Brings the demands up to date; requirements of unchanged content are kept.
    pub(crate) fn refresh(&mut self, snapshot: &ClusterSnapshot) {
        let mut before = std::mem::take(&mut self.wanted);
        for (name, entry) in snapshot.units() {
            let target = match entry.value.desired {
                DesiredState::Inactive => continue,
                DesiredState::Loaded => TargetState::Loaded,
                DesiredState::Launched => TargetState::Launched,
            };
            if name.is_template() {
                continue; // Only instances run; a template is kept for them.
            }
            let hash = entry.value.hash;
            let requirements = match before.remove(name) {
                Some(known) if known.hash == hash && known.requirements.is_some() => known.requirements,
                _ => requirements_of(snapshot, name, &hash),
            };
            self.wanted.insert(name.clone(), Demand { hash, target, requirements });
        }
    }

    pub(crate) fn get(&self, name: &UnitName) -> Option<&Demand> {
        self.wanted.get(name)
    }

    /// The requirements of a unit that is wanted and readable.
    pub(crate) fn requirements(&self, name: &UnitName) -> Option<&Requirements> {
        self.wanted.get(name)?.requirements.as_ref()
    }

    /// The wanted units with their requirements, in name order.
    pub(crate) fn readable(&self) -> impl Iterator<Item = (&UnitName, &Demand, &Requirements)> {
        self.wanted.iter().filter_map(|(name, demand)| Some((name, demand, demand.requirements.as_ref()?)))
    }
}

pub(crate) fn requirements_of(snapshot: &ClusterSnapshot, name: &UnitName, hash: &UnitHash) -> Option<Requirements> {
    let file = &snapshot.files().get(hash)?.value;
    Requirements::from_unit(name, file).ok()
}
