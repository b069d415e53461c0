//! Machines taken out of service: cordoned ones get nothing new, drained ones end empty, one step at a time.

use crate::LAUNCHED;
use crate::cluster::{Cluster, id, name};
use flota_registry::CordonMode::{Cordoned, Draining};

/// Three machines with working agents and six units, two on each.
fn six_units() -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.agents = true;
    for number in 1..=6 {
        cluster.launch(&format!("u{number}.service"), "");
    }
    assert_eq!(held(&cluster, 1), ["u1.service", "u4.service"]);
    cluster
}

fn held(cluster: &Cluster, number: u32) -> Vec<String> {
    let units = cluster.schedule(number).map(|schedule| schedule.units).unwrap_or_default();
    units.keys().map(ToString::to_string).collect()
}

#[test]
fn a_cordoned_machine_keeps_what_it_has_and_gets_nothing_new() {
    let mut cluster = six_units();
    cluster.launch("log.service", "Global=true");
    cluster.cordon(2, Some(Cordoned));
    cluster.settle();
    let before = held(&cluster, 2);
    for number in 7..=9 {
        cluster.launch(&format!("u{number}.service"), "");
    }
    cluster.launch("more.service", "Global=true");
    cluster.launch("pinned.service", "MachineID=00000002");
    assert_eq!((held(&cluster, 2), cluster.places("more.service")), (before, vec![1, 3]));
    assert_eq!(cluster.unplaced, [name("pinned.service")]);
    let told = |unit: &str| {
        let found = flota_engine::explain(&cluster.store.snapshot(), &name(unit)).unwrap();
        found.verdicts[1].reasons.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told("pinned.service"), ["machine is cordoned: new disk"]);
    assert_eq!(told("u2.service"), [""; 0], "who is there may stay");
    cluster.cordon(2, None);
    cluster.settle();
    assert_eq!((cluster.places("pinned.service"), cluster.places("more.service")), (vec![2], vec![1, 2, 3]));
}

#[test]
fn a_drained_machine_ends_empty_and_every_move_has_its_cause() {
    let mut cluster = six_units();
    cluster.launch("log.service", "Global=true");
    cluster.cordon(1, Some(Draining));
    cluster.settle();
    assert_eq!(held(&cluster, 1), [""; 0]);
    assert_eq!((cluster.places("u1.service"), cluster.places("u4.service")), (vec![2], vec![3]));
    assert_eq!(cluster.places("log.service"), [2, 3]);
    assert_eq!(cluster.cause(2, "u1.service"), "machine 00000001 is drained; fewest units");
    let commits = cluster.commits.len();
    cluster.pass(600_000);
    assert_eq!(cluster.commits.len(), commits, "and then there is peace");
    cluster.launch("u7.service", "");
    assert_eq!(held(&cluster, 1), [""; 0], "nothing new comes to it");
}

#[test]
fn a_drain_takes_the_next_unit_when_the_last_one_is_active_elsewhere() {
    let mut cluster = six_units();
    cluster.idle_agents = [1, 2, 3].into();
    cluster.cordon(1, Some(Draining));
    cluster.pass(20_000);
    assert_eq!((cluster.places("u1.service"), cluster.places("u4.service")), (vec![2], vec![1]));
    cluster.report(2, "activating");
    cluster.pass(5_000);
    assert_eq!(cluster.places("u4.service"), [1], "on its way up is not up");
    cluster.report(2, "active");
    cluster.settle();
    assert_eq!(cluster.places("u4.service"), [3]);
}

#[test]
fn a_unit_that_does_not_come_up_elsewhere_holds_a_drain_up_for_30_seconds() {
    let mut cluster = six_units();
    cluster.idle_agents = [2].into();
    cluster.cordon(1, Some(Draining));
    cluster.settle();
    cluster.report(2, "failed");
    cluster.pass(28_000);
    assert_eq!(cluster.places("u4.service"), [1]);
    cluster.pass(2_000);
    assert_eq!(cluster.places("u4.service"), [3]);
    let cause = cluster.cause(3, "u4.service");
    let expected = "machine 00000001 is drained (u1.service was not active elsewhere after 30 s); fewest units";
    assert_eq!(cause, expected);
}

#[test]
fn units_that_belong_together_leave_together() {
    let mut cluster = Cluster::new(3);
    cluster.agents = true;
    cluster.launch("log.service", "Global=true");
    cluster.launch("db.service", "MachineID=00000001\nGlobal=false");
    cluster.launch("web.service", "MachineOf=db.service\nMachineOf=log.service");
    cluster.launch("side.service", "MachineOf=web.service");
    cluster.launch("alone.service", "");
    cluster.submit("db.service", "Conflicts=alone.service", LAUNCHED);
    cluster.settle();
    assert_eq!((cluster.places("side.service"), cluster.places("alone.service")), (vec![1], vec![2]));
    let commits = cluster.commits.len();
    cluster.cordon(1, Some(Draining));
    cluster.settle();
    for unit in ["db.service", "web.service", "side.service"] {
        assert_eq!(cluster.places(unit), [3], "{unit}");
    }
    assert_eq!(cluster.commits.len(), commits + 2, "one step for the group, one for the global unit");
    assert_eq!(cluster.cause(3, "web.service"), "machine 00000001 is drained; fewest units, with its MachineOf group");
}

#[test]
fn what_no_other_machine_can_take_stays_and_is_told() {
    let mut cluster = six_units();
    cluster.launch("log.service", "Global=true");
    cluster.launch("u1.service", "MachineID=00000001");
    cluster.cordon(1, Some(Draining));
    cluster.settle();
    assert_eq!(held(&cluster, 1), ["log.service", "u1.service"]);
    let note = "machine 00000001 is not drained yet: no other machine can take u1.service";
    assert_eq!(cluster.notes.iter().filter(|said| *said == note).count(), 1, "{:?}", cluster.notes);
    let commits = cluster.commits.len();
    cluster.pass(600_000);
    assert_eq!(cluster.commits.len(), commits);
    cluster.launch("u1.service", "");
    assert_eq!(held(&cluster, 1), [""; 0], "it goes on by itself");
}

#[test]
fn a_drain_that_is_taken_back_stops_where_it_is() {
    let mut cluster = six_units();
    cluster.idle_agents = [1, 2, 3].into();
    cluster.cordon(1, Some(Draining));
    cluster.settle();
    cluster.cordon(1, None);
    cluster.idle_agents.clear();
    cluster.pass(60_000);
    assert_eq!((held(&cluster, 1), cluster.places("u1.service")), (vec!["u4.service".to_owned()], vec![2]));
}

#[test]
fn two_machines_drain_at_the_same_time_and_a_new_leader_goes_on() {
    let mut cluster = six_units();
    cluster.cordon(1, Some(Draining));
    cluster.cordon(2, Some(Draining));
    cluster.disconnect(1);
    cluster.pump();
    cluster.join(1, &[]);
    cluster.pass(60_000);
    assert_ne!(cluster.leaders(), [1]);
    assert_eq!((held(&cluster, 1), held(&cluster, 2), held(&cluster, 3).len()), (vec![], vec![], 6));
}

#[test]
fn reports_that_nobody_waits_for_cause_no_pass_and_those_of_a_drain_do() {
    let mut cluster = six_units();
    assert_eq!(cluster.nodes[&id(1)].engine.deadline(), None);
    cluster.report(2, "failed");
    cluster.pump();
    assert_eq!(cluster.nodes[&id(1)].engine.deadline(), None);
    cluster.report(2, "active");
    cluster.idle_agents = [2].into();
    cluster.cordon(1, Some(Draining));
    cluster.settle();
    cluster.report(3, "active");
    cluster.pump();
    let waits_for = |cluster: &Cluster| cluster.nodes[&id(1)].engine.deadline().unwrap().since(cluster.now).0;
    assert!(waits_for(&cluster) > 10_000, "another machine's report");
    cluster.report(2, "active");
    cluster.pump();
    assert!(waits_for(&cluster) <= 50);
}
