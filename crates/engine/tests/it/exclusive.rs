//! Exclusive units: off the old machine first, then onto the new one.

use crate::LAUNCHED;
use crate::cluster::{Cluster, name};
use flota_engine::Reach;
use flota_registry::CordonMode::{Draining, Removed};
use flota_registry::{ObservedUnit, Report, UnitStates};

/// Three machines with working agents; an exclusive unit runs on the third one, which leads nothing.
fn db_on_3() -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.agents = true;
    (1..=3).for_each(|number| cluster.enlist(number, false));
    cluster.launch("db.service", "Exclusive=true\nMachineID=00000003");
    cluster.launch("db.service", "Exclusive=true");
    assert_eq!(cluster.places("db.service"), [3]);
    assert!(cluster.schedule(3).unwrap().units["db.service"].exclusive);
    cluster
}

/// Machine 3 says that it holds its schedule, and what it sees of the unit.
fn db_is(cluster: &mut Cluster, active: &str) {
    let schedule = cluster.schedule(3).unwrap();
    let states = UnitStates { load: "loaded".to_owned(), active: active.to_owned(), sub: String::new() };
    let hash = Some(crate::cluster::file("Exclusive=true").hash());
    let seen = ObservedUnit { hash, started: true, states, since_unix_ms: None, problem: None };
    let units = [(name("db.service"), seen)].into();
    cluster.publish(3, &Report { generation: schedule.generation, units, problem: None });
}

#[test]
fn it_is_taken_off_then_stopped_then_placed() {
    let mut cluster = db_on_3();
    cluster.idle_agents = [3].into();
    cluster.cordon(3, Some(Draining));
    cluster.pass(10_000);
    assert!(cluster.places("db.service").is_empty(), "off, and its machine has not said that it stopped it");
    db_is(&mut cluster, "deactivating");
    cluster.pass(10_000);
    assert!(cluster.places("db.service").is_empty());
    db_is(&mut cluster, "inactive");
    cluster.settle();
    assert_eq!(cluster.places("db.service"), [1]);
    assert_eq!(cluster.cause(1, "db.service"), "machine 00000003 is drained; fewest units");
    let note = "db.service is exclusive and waits until machine 00000003 says that it is stopped there";
    assert_eq!(cluster.notes, [note]);
}

#[test]
fn a_report_of_before_says_nothing() {
    let mut cluster = db_on_3();
    cluster.idle_agents = [3].into();
    let before = cluster.schedule(3).unwrap().generation;
    cluster.cordon(3, Some(Draining));
    cluster.settle();
    cluster.publish(3, &Report { generation: before, units: Default::default(), problem: None });
    cluster.pass(60_000);
    assert!(cluster.places("db.service").is_empty());
}

#[test]
fn with_working_agents_a_move_takes_no_time() {
    let mut cluster = db_on_3();
    cluster.launch("db.service", "Exclusive=true\nMachineID=00000002");
    assert_eq!(cluster.places("db.service"), [2]);
}

#[test]
fn new_content_is_exchanged_in_place() {
    let mut cluster = db_on_3();
    let before = cluster.recorded.len();
    cluster.launch("db.service", "Exclusive=true\nConflicts=other");
    assert_eq!((cluster.places("db.service"), cluster.recorded.len()), (vec![3], before));
    cluster.launch("db.service", "Conflicts=other");
    assert!(!cluster.schedule(3).unwrap().units["db.service"].exclusive);
    assert_eq!((cluster.places("db.service"), cluster.recorded.len()), (vec![3], before));
}

#[test]
fn a_lost_machine_is_given_the_time_to_fence_itself() {
    let mut cluster = db_on_3();
    cluster.launch("web.service", "MachineID=00000003");
    cluster.launch("web.service", "");
    cluster.reach.extend([((3, None), Reach::Silent), ((3, Some(2)), Reach::Silent)]);
    cluster.disconnect(3);
    cluster.pass(1_100);
    assert_eq!((cluster.places("web.service"), cluster.places("db.service")), (vec![1], vec![3]));
    cluster.pass(5_800);
    assert_eq!(cluster.places("db.service"), [3]);
    cluster.pass(200);
    assert_eq!(cluster.places("db.service"), [2], "lease and two seconds");
    assert_eq!(cluster.cause(2, "db.service"), "machine 00000003 was lost; fewest units");
}

#[test]
fn a_lost_machine_that_is_back_in_time_keeps_it() {
    let mut cluster = db_on_3();
    cluster.disconnect(3);
    cluster.pass(6_500);
    cluster.join(3, &[]);
    cluster.pass(60_000);
    assert_eq!(cluster.places("db.service"), [3]);
}

#[test]
fn a_machine_without_its_daemon_keeps_it() {
    let mut cluster = db_on_3();
    cluster.reach.insert((3, None), Reach::NoDaemon);
    cluster.disconnect(3);
    cluster.pass(600_000);
    assert_eq!(cluster.places("db.service"), [3]);
}

#[test]
fn a_goodbye_and_a_removal_wait_as_long() {
    for removed in [false, true] {
        let mut cluster = db_on_3();
        if removed {
            cluster.cordon(3, Some(Removed));
        } else {
            cluster.enlist(3, true);
        }
        cluster.disconnect(3);
        cluster.pass(6_900);
        assert_eq!(cluster.places("db.service"), [3]);
        cluster.pass(200);
        assert_eq!(cluster.places("db.service"), [1]);
    }
}

#[test]
fn a_living_machine_that_is_removed_stops_it_first() {
    let mut cluster = db_on_3();
    cluster.idle_agents = [3].into();
    cluster.cordon(3, Some(Removed));
    cluster.pass(10_000);
    assert!(cluster.places("db.service").is_empty());
    cluster.idle_agents.clear();
    cluster.settle();
    assert_eq!(cluster.places("db.service"), [1]);
}

#[test]
fn one_that_was_taken_off_a_machine_which_then_vanishes_waits_for_the_fence() {
    let mut cluster = db_on_3();
    cluster.idle_agents = [3].into();
    cluster.cordon(3, Some(Draining));
    cluster.settle();
    cluster.disconnect(3);
    cluster.pass(6_900);
    assert!(cluster.places("db.service").is_empty());
    cluster.pass(200);
    assert_eq!(cluster.places("db.service"), [1]);
}

#[test]
fn a_new_leader_does_not_know_where_it_was_and_waits_for_all_reports() {
    let mut cluster = db_on_3();
    cluster.idle_agents = [3].into();
    cluster.cordon(3, Some(Draining));
    cluster.settle();
    cluster.disconnect(1);
    cluster.pass(60_000);
    assert_eq!((cluster.leaders(), cluster.places("db.service")), (vec![2], vec![]));
    cluster.idle_agents.clear();
    cluster.report(3, "active");
    cluster.settle();
    assert_eq!(cluster.places("db.service"), [2]);
}

#[test]
fn its_group_follows_it() {
    let mut cluster = db_on_3();
    cluster.launch("web.service", "MachineOf=db.service");
    cluster.launch("other.service", "Exclusive=true\nMachineOf=db.service");
    cluster.cordon(3, Some(Draining));
    cluster.settle();
    for unit in ["db.service", "web.service", "other.service"] {
        assert_eq!(cluster.places(unit), [1], "{unit}");
    }
}

#[test]
fn one_that_nobody_ever_ran_is_placed_at_once() {
    let mut cluster = Cluster::new(2);
    cluster.launch("log.service", "Global=true");
    cluster.submit("db.service", "Exclusive=true", LAUNCHED);
    cluster.settle();
    assert_eq!(cluster.places("db.service"), [1], "although no machine has ever reported");
}

#[test]
fn a_global_unit_that_becomes_exclusive_goes_on_in_one_place_as_it_was_until_it_is_down_everywhere_else() {
    let mut cluster = Cluster::new(3);
    cluster.agents = true;
    cluster.launch("db.service", "Global=true");
    assert_eq!(cluster.places("db.service"), [1, 2, 3]);
    cluster.idle_agents = [3].into();
    cluster.launch("db.service", "Exclusive=true");
    cluster.pass(60_000);
    assert_eq!(cluster.places("db.service"), [1]);
    let kept = cluster.schedule(1).unwrap().units["db.service"].clone();
    assert_eq!((kept.hash, kept.exclusive), (crate::cluster::file("Global=true").hash(), false), "as it was");
    let note = "db.service is exclusive and waits until machine 00000003 says that it is stopped there";
    assert!(cluster.notes.iter().any(|it| it == note), "{:?}", cluster.notes);
    cluster.idle_agents.clear();
    cluster.settle();
    let now = cluster.schedule(1).unwrap().units["db.service"].clone();
    assert_eq!((now.hash, now.exclusive), (crate::cluster::file("Exclusive=true").hash(), true));
    assert_eq!(cluster.places("db.service"), [1]);
}

#[test]
fn a_unit_that_becomes_exclusive_where_it_runs_alone_is_exchanged_at_once() {
    let mut cluster = Cluster::new(3);
    cluster.agents = true;
    cluster.launch("db.service", "");
    cluster.launch("db.service", "Exclusive=true");
    assert!(cluster.schedule(1).unwrap().units["db.service"].exclusive);
}

#[test]
fn a_lost_machine_that_comes_back_before_the_leader_hears_of_it_keeps_it() {
    let mut cluster = db_on_3();
    cluster.reach.extend([((3, None), Reach::Silent), ((3, Some(2)), Reach::Silent)]);
    cluster.disconnect(3);
    cluster.pass(6_900);
    cluster.hold_watch = true;
    cluster.join(3, &[]);
    cluster.pass(200);
    assert_eq!(cluster.commits.last(), Some(&flota_engine::Outcome::Refused), "its lease lives again");
    cluster.hold_watch = false;
    cluster.pass(60_000);
    assert_eq!(cluster.places("db.service"), [3]);
}
