//! Units that `MachineOf=` ties together come to one machine, and circles are named.

use crate::cluster::{Cluster, name};
use crate::{INACTIVE, LAUNCHED, LOADED};

/// Three machines; the third alone has a disk.
fn disks() -> Cluster {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[]);
    cluster.join(2, &[]);
    cluster.join(3, &[("disk", "ssd")]);
    cluster.settle();
    cluster
}

#[track_caller]
fn together(cluster: &Cluster, units: &[&str], machine: u32) {
    for unit in units {
        assert_eq!(cluster.places(unit), [machine], "{unit}");
    }
    assert_eq!(flota_sim::broken(&cluster.store.snapshot()), None);
}

fn cause(cluster: &Cluster, machine: u32, unit: &str) -> String {
    cluster.schedule(machine).unwrap().units[unit].cause.clone()
}

#[test]
fn a_socket_and_its_service_land_together() {
    let mut cluster = Cluster::new(3);
    cluster.launch("other.service", "");
    cluster.submit("web.service", "MachineOf=web.socket", LOADED);
    cluster.submit("web.socket", "", LAUNCHED);
    cluster.settle();
    together(&cluster, &["web.service", "web.socket"], 2);
}

#[test]
fn a_peer_goes_where_its_follower_can_be() {
    let mut cluster = disks();
    cluster.submit("app.service", "MachineOf=db.service\nMachineMetadata=disk=ssd", LAUNCHED);
    cluster.submit("db.service", "", LAUNCHED);
    cluster.settle();
    together(&cluster, &["app.service", "db.service"], 3);
    assert_eq!(
        cause(&cluster, 3, "db.service"),
        "fewest units of the machines that its MachineOf group (app.service) can be on"
    );
    assert_eq!(cause(&cluster, 3, "app.service"), "fewest units");
}

#[test]
fn the_ties_count_through_several_units() {
    let mut cluster = disks();
    for (unit, fleet) in [
        ("a.service", ""),
        ("b.service", "MachineOf=a.service"),
        ("c.service", "MachineOf=b.service\nMachineOf=z.service"),
        ("z.service", "MachineMetadata=disk=ssd"),
    ] {
        cluster.submit(unit, fleet, LAUNCHED);
    }
    cluster.settle();
    together(&cluster, &["a.service", "b.service", "c.service", "z.service"], 3);
}

#[test]
fn a_group_avoids_what_only_its_follower_conflicts_with() {
    let mut cluster = Cluster::new(2);
    cluster.launch("loud.service", "Conflicts=quiet*");
    cluster.launch("x.service", "");
    cluster.launch("y.service", "");
    cluster.destroy("y.service");
    cluster.launch("y2.service", "");
    // Machine 1 holds fewer or as many units, and conflicts with the follower alone.
    cluster.submit("base.service", "", LAUNCHED);
    cluster.submit("quiet.service", "MachineOf=base.service", LAUNCHED);
    cluster.settle();
    together(&cluster, &["base.service", "quiet.service"], 2);
}

#[test]
fn of_followers_that_exclude_each_other_as_many_as_can_come_along() {
    let mut cluster = disks();
    cluster.submit("base.service", "", LAUNCHED);
    cluster.submit("f1.service", "MachineOf=base.service\nConflicts=f*", LAUNCHED);
    cluster.submit("f2.service", "MachineOf=base.service\nMachineMetadata=disk=ssd", LAUNCHED);
    cluster.submit("f3.service", "MachineOf=base.service\nMachineMetadata=disk=ssd", LAUNCHED);
    cluster.settle();
    assert_eq!(flota_sim::broken(&cluster.store.snapshot()), None);
    assert_eq!(cluster.places("base.service").len(), 1);
    let placed = ["f1.service", "f2.service", "f3.service"].iter().filter(|unit| !cluster.places(unit).is_empty());
    assert!(placed.count() >= 1);
    let why = cause(&cluster, cluster.places("base.service")[0], "base.service");
    assert!(why.contains("that can take most of its MachineOf group (f1.service, f2.service, f3.service)"), "{why}");
}

#[test]
fn a_group_that_fits_nowhere_leaves_the_peer_where_it_can_be() {
    let mut cluster = disks();
    cluster.submit("base.service", "", LAUNCHED);
    cluster.submit("odd.service", "MachineOf=base.service\nMachineMetadata=disk=tape", LAUNCHED);
    cluster.settle();
    assert_eq!(cluster.places("base.service"), [1]);
    assert_eq!(cluster.unplaced, [name("odd.service")]);
    let why = cause(&cluster, 1, "base.service");
    assert_eq!(why, "fewest units; no machine can take any of its MachineOf group (odd.service) with it");
}

#[test]
fn a_group_of_a_lost_machine_moves_together() {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[]);
    cluster.join(2, &[("disk", "ssd")]);
    cluster.join(3, &[("disk", "ssd")]);
    cluster.launch("x.service", "");
    cluster.submit("app.service", "MachineOf=db.service\nMachineMetadata=disk=ssd", LAUNCHED);
    cluster.submit("db.service", "", LAUNCHED);
    cluster.settle();
    together(&cluster, &["app.service", "db.service"], 2);
    cluster.disconnect(2);
    cluster.pass(10_000);
    for unit in ["app.service", "db.service"] {
        assert_eq!(cluster.places(unit), [3], "{unit}");
    }
}

#[track_caller]
fn reasons(cluster: &Cluster, unit: &str) -> Vec<String> {
    let found = flota_engine::explain(&cluster.store.snapshot(), &name(unit)).unwrap();
    found.verdicts[0].reasons.iter().map(ToString::to_string).collect()
}

#[test]
fn circles_of_machine_of_are_named() {
    for circle in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
        let mut cluster = Cluster::new(2);
        for (unit, next) in circle.iter().zip(circle.iter().cycle().skip(1)) {
            cluster.submit(&format!("{unit}.service"), &format!("MachineOf={next}.service"), LAUNCHED);
        }
        cluster.submit("good.service", "", LAUNCHED);
        cluster.settle();
        assert_eq!(cluster.unplaced.len(), circle.len());
        assert_eq!(cluster.places("good.service"), [1], "others are placed");
        let names: Vec<String> = circle.iter().chain([&"a"]).map(|unit| format!("{unit}.service")).collect();
        assert_eq!(
            reasons(&cluster, "a.service"),
            [format!("MachineOf goes in a circle, so none of these can be the first: {}", names.join(" -> "))]
        );
        let commits = cluster.commits.len();
        cluster.pass(60_000);
        assert_eq!(cluster.commits.len(), commits);

        // Opened, it is placed.
        cluster.launch("a.service", "");
        for unit in circle {
            assert_eq!(cluster.places(&format!("{unit}.service")).len(), 1);
        }
    }
}

#[test]
fn a_unit_that_hangs_on_a_circle_waits_for_its_peer() {
    let mut cluster = Cluster::new(1);
    cluster.submit("a.service", "MachineOf=b.service", LAUNCHED);
    cluster.submit("b.service", "MachineOf=a.service", LAUNCHED);
    cluster.submit("c.service", "MachineOf=a.service", LAUNCHED);
    cluster.settle();
    assert_eq!(reasons(&cluster, "c.service"), ["MachineOf asks for a.service, which is not scheduled there"]);
}

#[test]
fn a_peer_that_nobody_wants_is_told_from_one_that_is_elsewhere() {
    let mut cluster = Cluster::new(2);
    cluster.submit("idle.service", "", INACTIVE);
    cluster.submit("a.service", "MachineOf=idle.service\nMachineOf=none.service", LAUNCHED);
    cluster.settle();
    let expected =
        ["idle", "none"].map(|peer| format!("MachineOf asks for {peer}.service, which is neither loaded nor launched"));
    assert_eq!(reasons(&cluster, "a.service"), expected);
}

#[test]
fn circles_of_replaces_are_named_in_the_cause() {
    let mut cluster = Cluster::new(1);
    cluster.launch("a.service", "Replaces=b.service");
    cluster.launch("b.service", "Replaces=a.service");
    assert_eq!(
        cause(&cluster, 1, "b.service"),
        "fewest units; its Replaces goes in a circle and means nothing: b.service -> a.service -> b.service"
    );
}
