//! Where units go, and that they stay there.

use crate::cluster::{Cluster, file, id, name};
use crate::{INACTIVE, LAUNCHED, LOADED};
use flota_registry::{Generation, TargetState};

#[test]
fn the_fewest_units_win_then_the_lowest_id() {
    let mut cluster = Cluster::new(3);
    for (unit, machine) in [("a", 1), ("b", 2), ("c", 3), ("d", 1), ("e", 2)] {
        let unit = format!("{unit}.service");
        cluster.launch(&unit, "");
        assert_eq!(cluster.places(&unit), [machine], "{unit}");
    }
}

#[test]
fn a_new_machine_moves_nothing() {
    let mut cluster = Cluster::new(1);
    for number in 0..10 {
        cluster.submit(&format!("u{number}.service"), "", LAUNCHED);
    }
    cluster.settle();
    let before = cluster.schedule(1);
    cluster.join(2, &[]);
    cluster.settle();
    assert_eq!((cluster.schedule(1), cluster.schedule(2)), (before, None));
    cluster.launch("new.service", "");
    assert_eq!(cluster.places("new.service"), [2]);
}

#[test]
fn a_destroyed_or_inactive_unit_leaves() {
    let mut cluster = Cluster::new(2);
    cluster.launch("a.service", "");
    cluster.launch("b.service", "");
    cluster.destroy("a.service");
    cluster.submit("b.service", "", INACTIVE);
    cluster.settle();
    assert!(cluster.places("a.service").is_empty() && cluster.places("b.service").is_empty());
    let last = cluster.recorded.last().unwrap();
    assert_eq!((last.from.clone(), last.to.clone()), (Some(id(2)), None));
    assert_eq!(last.cause, "no longer wanted");
}

#[test]
fn target_and_content_change_in_place() {
    let mut cluster = Cluster::new(3);
    cluster.submit("a.service", "", LOADED);
    cluster.settle();
    assert_eq!(cluster.schedule(1).unwrap().units["a.service"].target, TargetState::Loaded);
    cluster.launch("b.service", "");
    cluster.launch("a.service", "Conflicts=x.service");
    let schedule = cluster.schedule(1).unwrap();
    let unit = &schedule.units["a.service"];
    assert_eq!((unit.hash, unit.target), (file("Conflicts=x.service").hash(), TargetState::Launched));
    assert_eq!(schedule.generation, Generation(2));
    assert_eq!(unit.cause, "fewest units", "why it is here, still");
}

#[test]
fn a_template_is_kept_but_never_placed() {
    let mut cluster = Cluster::new(1);
    cluster.launch("web@.service", "");
    cluster.launch("web@1.service", "");
    assert_eq!(cluster.schedule(1).unwrap().units.keys().collect::<Vec<_>>(), [&name("web@1.service")]);
}

#[test]
fn an_unplaceable_unit_says_why_for_each_machine() {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[("disk", "hdd")]);
    cluster.join(2, &[]);
    cluster.launch("a.service", "MachineMetadata=disk=ssd");
    assert_eq!(cluster.unplaced, [name("a.service")]);
    let found = flota_engine::explain(&cluster.store.snapshot(), &name("a.service")).unwrap();
    let words: Vec<_> = found.verdicts.iter().map(|it| (it.machine.clone(), it.reasons[0].to_string())).collect();
    let expected = [
        "MachineMetadata asks for disk=ssd, machine has disk=hdd",
        "MachineMetadata asks for disk=ssd, machine has no disk",
    ];
    assert_eq!(words, [(id(1), expected[0].to_owned()), (id(2), expected[1].to_owned())]);

    cluster.launch("b.service", "");
    assert_eq!(cluster.unplaced.len(), 1, "said once");
    cluster.join(3, &[("disk", "ssd")]);
    cluster.settle();
    assert_eq!(cluster.places("a.service"), [3]);
    assert_eq!(cluster.schedule(3).unwrap().units["a.service"].cause, "fewest units");
}

#[test]
fn a_full_machine_takes_no_more_but_keeps_what_it_has() {
    let mut cluster = Cluster::new(1);
    for number in 0..=flota_engine::MAX_UNITS_PER_MACHINE {
        cluster.submit(&format!("u{number:04}.service"), "", LAUNCHED);
    }
    cluster.settle();
    assert_eq!(cluster.schedule(1).unwrap().units.len(), flota_engine::MAX_UNITS_PER_MACHINE);
    assert_eq!(cluster.unplaced, [name("u2000.service")]);
    let why =
        |unit: &str| flota_engine::explain(&cluster.store.snapshot(), &name(unit)).unwrap().verdicts[0].reasons.len();
    assert_eq!((why("u2000.service"), why("u0000.service")), (1, 0));
}
