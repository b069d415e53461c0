//! What each unit asks for: its desired state and placement requirements, parsed once per content.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flota_registry::{ClusterSnapshot, DesiredState, Key, TargetState};
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
    /// Scheduled units whose desired value cannot be read, with what their scheduled content asks for: they are
    /// neither moved nor placed, but what comes beside them must still respect them.
    frozen: BTreeMap<UnitName, Requirements>,
    /// The units that replace others.
    replacers: BTreeSet<UnitName>,
    /// The units that need this one beside them, through `MachineOf=`.
    followers: BTreeMap<UnitName, BTreeSet<UnitName>>,
}

impl Demands {
    /// Brings the demands up to date; requirements of unchanged content are kept.
    pub(crate) fn refresh(&mut self, snapshot: &ClusterSnapshot) {
        let mut before = std::mem::take(&mut self.wanted);
        let unreadable: BTreeSet<&UnitName> = snapshot
            .unreadable()
            .keys()
            .filter_map(|key| if let Key::Unit(name) = key { Some(name) } else { None })
            .collect();
        for (name, entry) in snapshot.units() {
            let target = match entry.value.desired {
                DesiredState::Inactive => continue,
                DesiredState::Loaded => TargetState::Loaded,
                DesiredState::Launched => TargetState::Launched,
            };
            // Only instances run, a template is kept for them; and what cannot be read is not guessed at.
            if name.is_template() || unreadable.contains(name) {
                continue;
            }
            let hash = entry.value.hash;
            let requirements = match before.remove(name) {
                Some(known) if known.hash == hash && known.requirements.is_some() => known.requirements,
                _ => requirements_of(snapshot, name, &hash),
            };
            self.wanted.insert(name.clone(), Demand { hash, target, requirements });
        }
        self.frozen = frozen(snapshot, &unreadable);
        self.followers = self.all_followers();
        self.replacers =
            self.readable().filter(|(_, _, it)| !it.replaces.is_empty()).map(|(name, ..)| name.clone()).collect();
    }

    fn all_followers(&self) -> BTreeMap<UnitName, BTreeSet<UnitName>> {
        let mut followers: BTreeMap<UnitName, BTreeSet<UnitName>> = BTreeMap::new();
        for (name, _, needs) in self.readable() {
            for peer in &needs.machine_of {
                followers.entry(peer.clone()).or_default().insert(name.clone());
            }
        }
        followers
    }

    /// The units that `MachineOf=` ties to this one directly, in either direction.
    pub(crate) fn tied(&self, name: &UnitName) -> impl Iterator<Item = &UnitName> {
        let peers = self.judged(name).into_iter().flat_map(|needs| &needs.machine_of);
        self.followers.get(name).into_iter().flatten().chain(peers)
    }

    pub(crate) fn get(&self, name: &UnitName) -> Option<&Demand> {
        self.wanted.get(name)
    }

    /// The requirements that others must respect while the unit is on a machine.
    pub(crate) fn requirements(&self, name: &UnitName) -> Option<&Requirements> {
        self.judged(name).or_else(|| self.frozen.get(name))
    }

    /// The requirements of a unit that is wanted and readable: only such a unit may be sent away.
    pub(crate) fn judged(&self, name: &UnitName) -> Option<&Requirements> {
        self.wanted.get(name)?.requirements.as_ref()
    }

    /// The wanted units with their requirements, in name order.
    pub(crate) fn readable(&self) -> impl Iterator<Item = (&UnitName, &Demand, &Requirements)> {
        self.wanted.iter().filter_map(|(name, demand)| Some((name, demand, demand.requirements.as_ref()?)))
    }

    /// Whether `name`, which asks for `needs`, sends `other` away from its machine. A circle of `Replaces=` means
    /// nothing, as in fleet, and however long it is: its units would chase each other for ever.
    pub(crate) fn replaces(&self, name: &UnitName, needs: &Requirements, other: &UnitName) -> bool {
        needs.replaces_unit(other) && !self.leads_back(other, name)
    }

    fn leads_back(&self, from: &UnitName, to: &UnitName) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            let Some(needs) = self.requirements(at).filter(|needs| !needs.replaces.is_empty()) else { continue };
            if needs.replaces_unit(to) {
                return true;
            }
            open.extend(self.replacers.iter().filter(|next| needs.replaces_unit(next) && seen.insert(next)));
        }
        false
    }

    /// The way along `MachineOf=` from the unit back to itself, if there is one.
    pub(crate) fn peer_circle(&self, name: &UnitName) -> Option<Vec<UnitName>> {
        circle(name, |at| self.requirements(at).map_or_else(Vec::new, |needs| needs.machine_of.iter().collect()))
    }

    /// The way along `Replaces=` from the unit back to itself, if there is one.
    pub(crate) fn replaces_circle(&self, name: &UnitName) -> Option<Vec<UnitName>> {
        circle(name, |at| {
            let Some(needs) = self.requirements(at) else { return Vec::new() };
            self.replacers.iter().filter(|other| *other != at && needs.replaces_unit(other)).collect()
        })
    }

    /// The unit that a unit with these `needs` would send away although it must be beside it, if only for the sake
    /// of another peer: wherever it went, it would drive itself out.
    pub(crate) fn replaced_peer<'s>(&'s self, name: &UnitName, needs: &'s Requirements) -> Option<&'s UnitName> {
        if needs.replaces.is_empty() {
            return None;
        }
        let mut seen: BTreeSet<&UnitName> = BTreeSet::new();
        let mut open: Vec<&Requirements> = Vec::new();
        let mut peers: Vec<&UnitName> = needs.machine_of.iter().collect();
        loop {
            for peer in peers.drain(..).filter(|peer| seen.insert(peer)) {
                if peer != name && self.replaces(name, needs, peer) {
                    return Some(peer);
                }
                open.extend(self.requirements(peer));
            }
            peers.extend(&open.pop()?.machine_of);
        }
    }
}

/// The shortest way along `next` from a unit back to itself.
fn circle<'a>(start: &'a UnitName, next: impl Fn(&UnitName) -> Vec<&'a UnitName>) -> Option<Vec<UnitName>> {
    let mut came_from: BTreeMap<&UnitName, &UnitName> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(at) = open.pop_front() {
        for step in next(at) {
            if step == start {
                let back = std::iter::successors(Some(at), |at| came_from.get(at).copied());
                let mut way: Vec<UnitName> = back.cloned().collect();
                way.reverse();
                way.push(start.clone());
                return Some(way);
            }
            if let Entry::Vacant(place) = came_from.entry(step) {
                place.insert(at);
                open.push_back(step);
            }
        }
    }
    None
}

fn frozen(snapshot: &ClusterSnapshot, unreadable: &BTreeSet<&UnitName>) -> BTreeMap<UnitName, Requirements> {
    if unreadable.is_empty() {
        return BTreeMap::new();
    }
    let scheduled = snapshot.schedules().values().flat_map(|entry| &entry.value.units);
    scheduled
        .filter(|(name, _)| unreadable.contains(name))
        .filter_map(|(name, unit)| Some((name.clone(), requirements_of(snapshot, name, &unit.hash)?)))
        .collect()
}

pub(crate) fn requirements_of(snapshot: &ClusterSnapshot, name: &UnitName, hash: &UnitHash) -> Option<Requirements> {
    let file = &snapshot.files().get(hash)?.value;
    Requirements::from_unit(name, file).ok()
}
