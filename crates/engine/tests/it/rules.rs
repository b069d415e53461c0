//! One machine, what is on it, and one more unit: each rule of placement as a row of a table.

use crate::LAUNCHED;
use crate::cluster::{Cluster, id, name};

/// May the unit join, or what is the first reason why not?
#[track_caller]
fn check(there: &[(&str, &str)], unit: &str, fleet: &str, expected: Option<&str>) {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[("region", "us-west"), ("disk", "ssd")]);
    cluster.settle();
    for (unit, fleet) in there {
        cluster.launch(unit, fleet);
        assert_eq!(cluster.places(unit), [1], "{unit} is there: {fleet}");
    }
    cluster.launch(unit, fleet);
    let reasons = flota_engine::explain(&cluster.store.snapshot(), &name(unit)).unwrap().verdicts[0].reasons.clone();
    let placed = cluster.places(unit) == [1];
    assert_eq!(placed, reasons.is_empty(), "{unit} {fleet:?} beside {there:?}: placed by what `why` says");
    let first = reasons.first().map(ToString::to_string);
    assert_eq!(first.as_deref(), expected, "{unit} {fleet:?} beside {there:?}");
}

/// Each of these joins.
#[track_caller]
fn joins(there: &[(&str, &str)], unit: &str, fleets: &[&str]) {
    for fleet in fleets {
        check(there, unit, fleet, None);
    }
}

#[test]
fn machine_id() {
    let full = format!("MachineID={}", id(1));
    let old = format!("X-ConditionMachineID={}", id(1));
    let boot = format!("X-ConditionMachineBootID={}", id(1));
    joins(&[], "a.service", &["", &full, "MachineID=00000001", &old, &boot, "MachineID=other\nMachineID=\n"]);
    check(&[], "a.service", "MachineID=00000002", Some("MachineID asks for 00000002"));
    check(&[], "a.service", "MachineID=0000000", Some("MachineID asks for 0000000"));
    check(&[], "a.service", "X-ConditionMachineBootID=x", Some("MachineID asks for x"));
    // The modern name wins.
    check(&[], "a.service", "X-ConditionMachineID=00000001\nMachineID=b", Some("MachineID asks for b"));
}

#[test]
fn machine_metadata() {
    joins(
        &[],
        "a.service",
        &[
            "MachineMetadata=region=us-west",
            "X-ConditionMachineMetadata=region=us-west",
            "MachineMetadata=\"region=us-east\" \"region=us-west\"",
            "MachineMetadata=region=us-east\nMachineMetadata=region=us-west",
            "MachineMetadata=\"region=us-west\" \"disk=ssd\"",
            "MachineMetadata=disk=tape\nMachineMetadata=\nMachineMetadata=disk=ssd",
        ],
    );
    let asks = |text: &str| Some(format!("MachineMetadata asks for {text}"));
    for (fleet, expected) in [
        ("MachineMetadata=region=us-east", asks("region=us-east, machine has region=us-west")),
        ("MachineMetadata=az=1", asks("az=1, machine has no az")),
        ("MachineMetadata=\"region=us-west\" \"az=1\"", asks("az=1, machine has no az")),
        (
            "MachineMetadata=region=a\nMachineMetadata=region=b",
            asks("region=a or region=b, machine has region=us-west"),
        ),
        ("MachineMetadata=REGION=us-west", asks("REGION=us-west, machine has no REGION")),
    ] {
        check(&[], "a.service", fleet, expected.as_deref());
    }
}

#[test]
fn machine_of() {
    let there = [("b.service", ""), ("c.service", ""), ("log.service", "Global=true")];
    joins(
        &there,
        "a.service",
        &[
            "MachineOf=b.service",
            "X-ConditionMachineOf=b.service",
            "MachineOf=\"b.service\" \"c.service\"",
            "MachineOf=b.service\nMachineOf=log.service",
            "MachineOf=none.service\nMachineOf=\nMachineOf=c.service",
        ],
    );
    let unwanted = Some("MachineOf asks for none.service, which is neither loaded nor launched");
    check(&there, "a.service", "MachineOf=none.service", unwanted);
    check(&there, "a.service", "MachineOf=\"b.service\" \"none.service\"", unwanted);
    let circle = Some("MachineOf goes in a circle, so none of these can be the first: a.service -> a.service");
    check(&there, "a.service", "MachineOf=a.service", circle);
}

#[test]
fn conflicts_of_the_new_unit() {
    let there = [("web@1.service", ""), ("db.service", "")];
    joins(&there, "a.service", &["Conflicts=web", "Conflicts=web@?.socket b*", "Conflicts=*\nConflicts="]);
    let conflict = |other: &str| Some(format!("Conflicts matches {other}, which is there"));
    for (fleet, other) in [
        ("Conflicts=web@1.service", "web@1.service"),
        ("X-Conflicts=web@1.service", "web@1.service"),
        ("Conflicts=web@*", "web@1.service"),
        ("Conflicts=web@[0-9].service", "web@1.service"),
        ("Conflicts=web@[^2-9].*", "web@1.service"),
        ("Conflicts=x y d?.service", "db.service"),
        ("Conflicts=\"x\" \"db*\"", "db.service"),
        ("Conflicts=x\nConflicts=db.*", "db.service"),
        ("Conflicts=*", "db.service"),
    ] {
        check(&there, "a.service", fleet, conflict(other).as_deref());
    }
    // Nobody conflicts with himself.
    joins(&[], "web@2.service", &["Conflicts=web@*", "Conflicts=%p@*", "Conflicts=%n"]);
}

#[test]
fn conflicts_of_the_unit_that_is_there() {
    joins(&[("b.service", "Conflicts=c*")], "a.service", &[""]);
    let refused = Some("b.service is there and its Conflicts matches this unit");
    check(&[("b.service", "Conflicts=a*")], "a.service", "", refused);
    check(&[("b.service", "Conflicts=%p a.service")], "a.service", "MachineMetadata=disk=ssd", refused);
    check(&[("b.service", "Global=true\nConflicts=a*")], "a.service", "", refused);
    check(
        &[("b.service", "")],
        "a.service",
        "Global=true\nConflicts=b*",
        Some("Conflicts matches b.service, which is there"),
    );
}

#[test]
fn replaces() {
    joins(&[("b.service", "")], "a.service", &["Replaces=c.service", "Replaces=b.service", "Replaces=b.*"]);
    let replaced = Some("b.service is there and its Replaces matches this unit");
    check(&[("b.service", "Replaces=a.service")], "a.service", "", replaced);
    check(&[("b.service", "Replaces=x\nReplaces=a*")], "a.service", "", replaced);
    // A circle means nothing, to either of them.
    joins(&[("b.service", "Replaces=a.service")], "a.service", &["Replaces=b.service"]);
}

#[test]
fn global() {
    for yes in ["true", "yes", "1", "on", "t", "TRUE"] {
        joins(&[], "a.service", &[&format!("Global={yes}")]);
    }
    joins(&[], "a.service", &["Global=true\nMachineMetadata=disk=ssd", "Global=true\nConflicts=b*"]);
    let why = Some("MachineMetadata asks for disk=hdd, machine has disk=ssd");
    check(&[], "a.service", "Global=true\nMachineMetadata=disk=hdd", why);
}

#[test]
fn five_thousand_units_find_their_places_at_once_and_the_leader_stays() {
    let mut cluster = Cluster::new(4);
    for number in 0..5_000 {
        cluster.submit(&format!("u@{number}.service"), "", LAUNCHED);
    }
    let leaders = cluster.leaders();
    let commits = cluster.commits.len();
    cluster.settle();
    assert_eq!(cluster.unplaced, []);
    let loads: Vec<usize> = (1..=4).map(|number| cluster.schedule(number).unwrap().units.len()).collect();
    assert_eq!(loads, [1250; 4]);
    assert!(cluster.commits.len() - commits <= 2, "{} transactions", cluster.commits.len() - commits);
    let commits = cluster.commits.len();
    cluster.pass(60_000);
    assert_eq!((cluster.leaders(), cluster.commits.len()), (leaders, commits));
}
