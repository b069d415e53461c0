//! Machines that go and come back; values that cannot be read (promise P1).

use crate::LAUNCHED;
use crate::cluster::{Cluster, id, name};
use flota_engine::Event;
use flota_registry::Key;

/// Two machines with a unit each, led by machine 1.
fn pair() -> Cluster {
    let mut cluster = Cluster::new(2);
    cluster.launch("a.service", "");
    cluster.launch("b.service", "");
    assert_eq!((cluster.places("a.service"), cluster.places("b.service")), (vec![1], vec![2]));
    cluster
}

#[test]
fn within_the_grace_nothing_moves_and_after_it_everything_does() {
    let mut cluster = pair();
    cluster.disconnect(2);
    cluster.pass(4_900);
    assert_eq!(cluster.places("b.service"), [2]);
    cluster.pass(200);
    assert_eq!(cluster.places("b.service"), [1]);
    let cause = cluster.schedule(1).unwrap().units["b.service"].cause.clone();
    assert_eq!(cause, "machine 00000002 was lost; fewest units");
}

#[test]
fn a_machine_that_is_back_in_time_keeps_its_units() {
    let mut cluster = pair();
    for _ in 0..3 {
        cluster.disconnect(2);
        cluster.pass(4_000);
        cluster.join(2, &[]);
        cluster.settle();
    }
    cluster.pass(60_000);
    assert_eq!(cluster.places("b.service"), [2]);
}

#[test]
fn what_no_other_machine_can_take_stays_with_the_lost_one() {
    let mut cluster = pair();
    cluster.launch("pinned.service", "MachineID=00000002");
    cluster.launch("side.service", "MachineOf=pinned.service");
    cluster.disconnect(2);
    cluster.pass(60_000);
    assert_eq!((cluster.places("pinned.service"), cluster.places("b.service")), (vec![2], vec![1]));
    assert_eq!(cluster.places("side.service"), [2]);
    assert_eq!(cluster.unplaced, [name("pinned.service"), name("side.service")]);
}

#[test]
fn a_machine_that_returns_late_does_not_steal() {
    let mut cluster = pair();
    cluster.disconnect(2);
    cluster.pass(60_000);
    cluster.join(2, &[]);
    cluster.pass(60_000);
    assert_eq!(cluster.places("b.service"), [1]);
    assert!(cluster.schedule(2).unwrap().units.is_empty(), "it gives up what moved");
}

#[test]
fn a_new_leader_counts_the_grace_anew() {
    let mut cluster = Cluster::new(3);
    cluster.launch("a.service", "MachineID=00000003");
    cluster.launch("a.service", "");
    cluster.disconnect(3);
    cluster.pass(4_000);
    cluster.disconnect(1);
    cluster.pass(4_500);
    assert_eq!((cluster.leaders(), cluster.places("a.service")), (vec![2], vec![3]));
    cluster.pass(1_000);
    assert_eq!(cluster.places("a.service"), [2]);
}

#[test]
fn two_machines_lost_at_different_times_are_each_given_their_grace() {
    let mut cluster = Cluster::new(3);
    cluster.launch("b.service", "MachineID=00000002");
    cluster.launch("c.service", "MachineID=00000003");
    cluster.launch("b.service", "");
    cluster.launch("c.service", "");
    cluster.disconnect(2);
    cluster.pass(3_000);
    cluster.disconnect(3);
    cluster.pass(2_500);
    assert_eq!((cluster.places("b.service"), cluster.places("c.service")), (vec![1], vec![3]));
    cluster.pass(3_000);
    assert_eq!(cluster.places("c.service"), [1]);
}

#[test]
fn an_unreadable_unit_is_neither_stopped_nor_moved_nor_crowded() {
    let mut cluster = pair();
    cluster.launch("b.service", "Conflicts=x*");
    cluster.store.put_raw(&Key::Unit(name("b.service")), br#"{"v":99}"#, None);
    cluster.settle();
    cluster.launch("x1.service", "MachineID=00000002");
    assert_eq!(cluster.places("b.service"), [2]);
    assert!(cluster.places("x1.service").is_empty());
    // The same for a leader that never could read it.
    cluster.disconnect(1);
    cluster.settle();
    cluster.join(1, &[]);
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.places("b.service")), (vec![2], vec![2]));
    assert!(cluster.places("x1.service").is_empty());
    cluster.launch("b2.service", "Replaces=b.service");
    assert_eq!(cluster.places("b.service"), [2]);
}

#[test]
fn an_unreadable_machine_is_not_a_lost_one() {
    let mut cluster = pair();
    let lease = cluster.nodes[&id(2)].lease;
    cluster.store.put_raw(&Key::Machine(id(2)), br#"{"v":99}"#, Some(lease));
    // A leader that knows it only as unreadable.
    cluster.crash_engine(1);
    cluster.join(1, &[]);
    cluster.pass(60_000);
    assert_eq!(cluster.places("b.service"), [2]);
    cluster.launch("c.service", "");
    assert_eq!(cluster.places("c.service"), [1], "nothing new goes there");
    cluster.disconnect(2);
    cluster.pass(10_000);
    assert_eq!(cluster.places("b.service"), [1], "gone is gone");
}

#[test]
fn an_unreadable_schedule_freezes_everything_until_it_is_readable() {
    let mut cluster = pair();
    let value = cluster.store.get(&Key::Schedule(id(2))).unwrap().value.clone();
    cluster.store.put_raw(&Key::Schedule(id(2)), br#"{"v":99}"#, None);
    cluster.settle();
    let commits = cluster.commits.len();
    cluster.destroy("a.service");
    cluster.submit("c.service", "", LAUNCHED);
    cluster.disconnect(2);
    cluster.pass(60_000);
    assert_eq!((cluster.commits.len(), cluster.frozen.len()), (commits, 1));
    assert!(cluster.frozen[0].contains("upgrade flota"), "{:?}", cluster.frozen);

    cluster.store.put_raw(&Key::Schedule(id(2)), &value, None);
    cluster.settle();
    assert!(cluster.places("a.service").is_empty());
    assert_eq!((cluster.places("b.service"), cluster.places("c.service")), (vec![1], vec![1]));
}

#[test]
fn a_unit_without_its_text_stays_where_it_is() {
    let mut cluster = pair();
    let hash = crate::cluster::file("").hash();
    cluster.store.put_raw(&Key::File(hash), b"not a unit file", None);
    cluster.disconnect(1);
    cluster.settle();
    cluster.join(1, &[]);
    cluster.pass(60_000);
    assert_eq!((cluster.places("a.service"), cluster.places("b.service")), (vec![1], vec![2]));
}

#[test]
fn silence_of_the_store_changes_nothing() {
    let mut cluster = pair();
    let commits = cluster.commits.len();
    cluster.send(1, Event::Disconnected);
    cluster.send(2, Event::Disconnected);
    cluster.pass(3_600_000);
    assert_eq!(cluster.commits.len(), commits);
}
