//! What happened in the cluster, worked out from the changes of its keys.

use std::collections::{BTreeMap, BTreeSet};

use flota_unit::UnitName;

use crate::{Change, ClusterSnapshot, DesiredUnit, Key, MachineId, ObservedUnit, ScheduledUnit};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterEvent {
    /// A user changed what is wanted of a unit.
    Unit {
        /// Which unit.
        unit: UnitName,
        /// What is wanted now; none when it was destroyed.
        desired: Option<DesiredUnit>,
    },
    /// A machine came, went, or changed what it says of itself.
    Machine {
        /// Which machine.
        machine: MachineId,
        /// What became of it.
        change: MachineChange,
    },
    /// The leader changed a unit's place.
    Schedule {
        /// Which unit.
        unit: UnitName,
        /// In what way.
        change: ScheduleChange,
    },
    /// A machine says something new about a unit.
    State {
        /// Which unit.
        unit: UnitName,
        /// Which machine.
        machine: MachineId,
        /// What it says; none when it has no such unit any more, or is lost.
        state: Option<ObservedUnit>,
    },
}

/// What became of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineChange {
    /// Its lease began.
    Joined(MachineView),
    /// Its address or its effective metadata changed.
    Changed(MachineView),
    /// Its lease ended.
    Lost,
}

/// What others see of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineView {
    /// Where it is reached.
    pub address: String,
    /// Its effective metadata.
    pub metadata: BTreeMap<String, String>,
}

/// How a unit's place changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleChange {
    /// It came to a machine.
    Placed {
        /// Which.
        to: MachineId,
        /// What the machine is to do with it, and why it.
        now: ScheduledUnit,
    },
    /// It left one machine and came to another, in one step.
    Moved {
        /// Where it was.
        from: MachineId,
        /// Where it is.
        to: MachineId,
        /// What the machine is to do with it, and why it.
        now: ScheduledUnit,
    },
    /// It stays where it is, with other content or another target.
    Changed {
        /// Where it is.
        on: MachineId,
        /// What the machine is to do with it.
        now: ScheduledUnit,
    },
    /// It left a machine.
    Removed {
        /// Which.
        from: MachineId,
        /// Why, as far as the keys tell.
        cause: &'static str,
    },
}

type Units<T> = BTreeMap<UnitName, T>;

/// What was true of the keys that a batch of changes is about to touch.
#[derive(Default)]
struct Before {
    units: Units<Option<DesiredUnit>>,
    machines: BTreeMap<MachineId, Option<MachineView>>,
    schedules: BTreeMap<MachineId, Units<ScheduledUnit>>,
    reports: BTreeMap<MachineId, Units<ObservedUnit>>,
}

impl ClusterSnapshot {
    /// Advances as [`ClusterSnapshot::apply`] does, and tells what happened: units, machines, schedules, states.
    /// Changes that the snapshot has seen, or that change nothing, are no events.
    pub fn apply_and_tell(&mut self, revision: i64, changes: &[Change]) -> Vec<ClusterEvent> {
        if revision <= self.revision() {
            return Vec::new();
        }
        let before = Before::of(self, changes);
        self.apply(revision, changes);
        let mut events = Vec::new();
        before.tell_units(self, &mut events);
        before.tell_machines(self, &mut events);
        before.tell_schedules(self, &mut events);
        before.tell_states(self, &mut events);
        events
    }

    fn view(&self, id: &MachineId) -> Option<MachineView> {
        let address = self.machines().get(id)?.value.address.clone();
        Some(MachineView { address, metadata: self.effective_metadata(id).into_owned() })
    }

    fn scheduled(&self, id: &MachineId) -> Units<ScheduledUnit> {
        self.schedules().get(id).map_or_else(BTreeMap::new, |entry| entry.value.units.clone())
    }

    fn observed(&self, id: &MachineId) -> Units<ObservedUnit> {
        self.reports().get(id).map_or_else(BTreeMap::new, |entry| entry.value.units.clone())
    }
}

impl Before {
    fn of(snapshot: &ClusterSnapshot, changes: &[Change]) -> Before {
        let mut before = Before::default();
        for change in changes {
            let key = match change {
                Change::Put(pair) => &pair.key,
                Change::Delete { key } => key,
            };
            match Key::parse(key) {
                Some(Key::Unit(name)) => {
                    let desired = snapshot.units().get(&name).map(|entry| entry.value.clone());
                    before.units.insert(name, desired);
                }
                Some(Key::Machine(id) | Key::Metadata(id)) => {
                    before.machines.insert(id.clone(), snapshot.view(&id));
                }
                Some(Key::Schedule(id)) => drop(before.schedules.insert(id.clone(), snapshot.scheduled(&id))),
                Some(Key::Report(id)) => drop(before.reports.insert(id.clone(), snapshot.observed(&id))),
                Some(
                    Key::Cluster
                    | Key::Leader
                    | Key::LeaderNotes
                    | Key::File(_)
                    | Key::Member(_)
                    | Key::Cordon(_)
                    | Key::Door
                    | Key::Token(_),
                )
                | None => {}
                Some(Key::StoreTarget | Key::StoreHold | Key::Mover(_) | Key::Conf(_)) => {}
            }
        }
        before
    }

    fn tell_units(&self, after: &ClusterSnapshot, events: &mut Vec<ClusterEvent>) {
        for (unit, before) in &self.units {
            let desired = after.units().get(unit).map(|entry| entry.value.clone());
            if desired != *before {
                events.push(ClusterEvent::Unit { unit: unit.clone(), desired });
            }
        }
    }

    fn tell_machines(&self, after: &ClusterSnapshot, events: &mut Vec<ClusterEvent>) {
        for (machine, before) in &self.machines {
            let change = match (before, after.view(machine)) {
                (None, Some(now)) => MachineChange::Joined(now),
                (Some(before), Some(now)) if *before != now => MachineChange::Changed(now),
                (Some(_), None) => MachineChange::Lost,
                _ => continue,
            };
            events.push(ClusterEvent::Machine { machine: machine.clone(), change });
        }
    }

    fn tell_schedules(&self, after: &ClusterSnapshot, events: &mut Vec<ClusterEvent>) {
        let mut left: Units<Vec<MachineId>> = BTreeMap::new();
        let mut came: Units<Vec<(MachineId, ScheduledUnit)>> = BTreeMap::new();
        let mut tell = |unit: &UnitName, change| events.push(ClusterEvent::Schedule { unit: unit.clone(), change });
        for (id, before) in &self.schedules {
            let now = after.scheduled(id);
            for unit in before.keys().filter(|unit| !now.contains_key(*unit)) {
                left.entry(unit.clone()).or_default().push(id.clone());
            }
            for (unit, now) in now {
                match before.get(&unit) {
                    None => came.entry(unit).or_default().push((id.clone(), now)),
                    Some(was) if (was.hash, was.target) != (now.hash, now.target) => {
                        tell(&unit, ScheduleChange::Changed { on: id.clone(), now });
                    }
                    Some(_) => {}
                }
            }
        }
        for (unit, places) in came {
            let only = |unit: &UnitName| {
                after.schedules().values().filter(|entry| entry.value.units.contains_key(unit)).count() == 1
            };
            let one_left = left.get(&unit).is_some_and(|from| from.len() == 1) && only(&unit);
            let from = if one_left { left.remove(&unit).and_then(|mut from| from.pop()) } else { None };
            for (to, now) in places {
                let change = match from.clone() {
                    Some(from) => ScheduleChange::Moved { from, to, now },
                    None => ScheduleChange::Placed { to, now },
                };
                tell(&unit, change);
            }
        }
        for (unit, places) in left {
            let cause = if after.units().contains_key(&unit) { "taken off the machine" } else { "destroyed" };
            for from in places {
                tell(&unit, ScheduleChange::Removed { from, cause });
            }
        }
    }

    fn tell_states(&self, after: &ClusterSnapshot, events: &mut Vec<ClusterEvent>) {
        for (machine, before) in &self.reports {
            let now = after.observed(machine);
            let units: BTreeSet<&UnitName> = before.keys().chain(now.keys()).collect();
            for unit in units.into_iter().filter(|unit| before.get(*unit) != now.get(*unit)) {
                let state = now.get(unit).cloned();
                events.push(ClusterEvent::State { unit: unit.clone(), machine: machine.clone(), state });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;
    use crate::{
        Capacity, DesiredState, Generation, KeyValue, Machine, MetadataOverlay, Report, Schedule, TargetState,
        UnitStates,
    };
    use serde::Serialize;

    const HASH: &str = "1c6fb6f3684bafb0c173d8b8b957ceff031180c1";

    fn machine(number: u32) -> MachineId {
        format!("{number:032x}").parse().unwrap()
    }

    fn name() -> UnitName {
        "a.service".parse().unwrap()
    }

    fn put(key: &Key, value: &impl Serialize) -> Change {
        let value = encode(value);
        Change::Put(KeyValue { key: key.to_string(), value, create_revision: 1, mod_revision: 1, lease: None })
    }

    fn gone(key: &Key) -> Change {
        Change::Delete { key: key.to_string() }
    }

    fn scheduled(cause: &str) -> ScheduledUnit {
        ScheduledUnit {
            hash: HASH.parse().unwrap(),
            target: TargetState::Launched,
            cause: cause.to_owned(),
            exclusive: false,
        }
    }

    fn schedule(number: u32, unit: Option<&ScheduledUnit>) -> Change {
        let units = unit.into_iter().map(|unit| (name(), unit.clone())).collect();
        let cluster = "000000000000000000000000000000ff".parse().unwrap();
        put(&Key::Schedule(machine(number)), &Schedule { cluster, generation: Generation(1), units })
    }

    fn announced(metadata: &[(&str, &str)]) -> Machine {
        Machine {
            address: "10.0.0.1".to_owned(),
            metadata: metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            capacity: Capacity::default(),
            version: "1".to_owned(),
            boot_id: "b".to_owned(),
            frozen: None,
        }
    }

    fn schedule_changes(events: Vec<ClusterEvent>) -> Vec<ScheduleChange> {
        let change = |event| match event {
            ClusterEvent::Schedule { change, .. } => change,
            other => panic!("{other:?}"),
        };
        events.into_iter().map(change).collect()
    }

    #[test]
    fn a_unit_is_wanted_otherwise_and_then_destroyed() {
        let (mut cluster, key) = (ClusterSnapshot::default(), Key::Unit(name()));
        let unit = DesiredUnit { hash: HASH.parse().unwrap(), desired: DesiredState::Launched };
        let told = |desired| vec![ClusterEvent::Unit { unit: name(), desired }];
        assert_eq!(cluster.apply_and_tell(1, &[put(&key, &unit)]), told(Some(unit.clone())));
        assert_eq!(cluster.apply_and_tell(2, &[put(&key, &unit)]), [], "the same again is no event");
        assert_eq!(cluster.apply_and_tell(3, &[gone(&key)]), told(None));
        assert_eq!(cluster.apply_and_tell(3, &[put(&key, &unit)]), [], "seen revisions are no events");
    }

    #[test]
    fn a_unit_is_placed_moved_changed_and_removed() {
        let mut cluster = ClusterSnapshot::default();
        let first = scheduled("the only eligible machine");
        let placed = ScheduleChange::Placed { to: machine(1), now: first.clone() };
        assert_eq!(schedule_changes(cluster.apply_and_tell(1, &[schedule(1, Some(&first))])), [placed]);

        let second = scheduled("machine 1 was lost");
        let changes = [schedule(1, None), schedule(2, Some(&second))];
        let moved = ScheduleChange::Moved { from: machine(1), to: machine(2), now: second.clone() };
        assert_eq!(schedule_changes(cluster.apply_and_tell(2, &changes)), [moved]);

        let loaded = ScheduledUnit { target: TargetState::Loaded, ..second };
        let changed = ScheduleChange::Changed { on: machine(2), now: loaded.clone() };
        assert_eq!(schedule_changes(cluster.apply_and_tell(3, &[schedule(2, Some(&loaded))])), [changed]);

        let removed = ScheduleChange::Removed { from: machine(2), cause: "destroyed" };
        assert_eq!(schedule_changes(cluster.apply_and_tell(4, &[schedule(2, None)])), [removed]);
    }

    #[test]
    fn a_unit_on_several_machines_does_not_move() {
        let mut cluster = ClusterSnapshot::default();
        let unit = scheduled("global unit");
        let both = [schedule(1, Some(&unit)), schedule(2, Some(&unit))];
        assert_eq!(cluster.apply_and_tell(1, &both).len(), 2);
        let changes = [schedule(1, None), schedule(3, Some(&unit))];
        let told = schedule_changes(cluster.apply_and_tell(2, &changes));
        let removed = ScheduleChange::Removed { from: machine(1), cause: "destroyed" };
        assert_eq!(told, [ScheduleChange::Placed { to: machine(3), now: unit }, removed]);
    }

    #[test]
    fn a_state_changes_and_goes_with_its_machine() {
        let mut cluster = ClusterSnapshot::default();
        let observed = ObservedUnit {
            hash: Some(HASH.parse().unwrap()),
            started: true,
            states: UnitStates { load: "loaded".into(), active: "active".into(), sub: "running".into() },
            since_unix_ms: None,
            problem: None,
        };
        let units = BTreeMap::from([(name(), observed.clone())]);
        let report = Report { generation: Generation(1), units, problem: None };
        let told = |state| vec![ClusterEvent::State { unit: name(), machine: machine(1), state }];
        let key = Key::Report(machine(1));
        assert_eq!(cluster.apply_and_tell(1, &[put(&key, &report)]), told(Some(observed)));
        let same = Report { generation: Generation(2), ..report };
        assert_eq!(cluster.apply_and_tell(2, &[put(&key, &same)]), [], "only the generation is new");
        assert_eq!(cluster.apply_and_tell(3, &[gone(&key)]), told(None));
    }

    #[test]
    fn a_machine_joins_changes_and_is_lost() {
        let mut cluster = ClusterSnapshot::default();
        let key = Key::Machine(machine(1));
        let view = |metadata| {
            let Machine { address, metadata, .. } = announced(metadata);
            MachineView { address, metadata }
        };
        let told = |change| vec![ClusterEvent::Machine { machine: machine(1), change }];
        let joins = cluster.apply_and_tell(1, &[put(&key, &announced(&[("disk", "hdd")]))]);
        assert_eq!(joins, told(MachineChange::Joined(view(&[("disk", "hdd")]))));

        let mut overlay = MetadataOverlay::default();
        overlay.set("disk", "ssd");
        let changes = cluster.apply_and_tell(2, &[put(&Key::Metadata(machine(1)), &overlay)]);
        assert_eq!(changes, told(MachineChange::Changed(view(&[("disk", "ssd")]))));
        let again = cluster.apply_and_tell(3, &[put(&key, &announced(&[("disk", "nvme")]))]);
        assert_eq!(again, [], "the overlay hides what the machine says");
        assert_eq!(cluster.apply_and_tell(4, &[gone(&key)]), told(MachineChange::Lost));
        assert_eq!(cluster.apply_and_tell(5, &[gone(&Key::Metadata(machine(1)))]), [], "nobody sees it");
    }
}
