//! A machine whose lease is gone is lost only when nobody can reach it.

use crate::cluster::{Cluster, id};
use flota_engine::{Event, Reach};

/// Three machines that can be asked after, led by the first; the third one holds a unit, and its lease is gone.
fn one_missing(by_leader: Option<Reach>, by_other: Option<Reach>) -> Cluster {
    let mut cluster = Cluster::new(3);
    (1..=3).for_each(|number| cluster.enlist(number, false));
    cluster.launch("a.service", "MachineID=00000003");
    cluster.launch("a.service", "");
    finds(&mut cluster, by_leader, by_other);
    cluster.disconnect(3);
    cluster
}

fn finds(cluster: &mut Cluster, by_leader: Option<Reach>, by_other: Option<Reach>) {
    cluster.reach.clear();
    cluster.reach.extend(by_leader.map(|found| ((3, None), found)));
    cluster.reach.extend(by_other.map(|found| ((3, Some(2)), found)));
}

const SILENT: Option<Reach> = Some(Reach::Silent);

#[test]
fn a_machine_that_nobody_reaches_is_lost_after_the_grace() {
    let mut cluster = one_missing(SILENT, SILENT);
    cluster.pass(990);
    assert_eq!((cluster.places("a.service"), cluster.asked.clone()), (vec![3], vec![(3, None), (3, Some(2))]));
    cluster.pass(20);
    assert_eq!(cluster.places("a.service"), [1]);
    cluster.pass(600_000);
    assert_eq!(cluster.asked.len(), 2, "what is lost is asked after no more");
}

#[test]
fn a_machine_that_somebody_reaches_keeps_its_units_for_ever() {
    for (by_leader, by_other) in [
        (Some(Reach::Alive), SILENT),
        (SILENT, Some(Reach::Alive)),
        (Some(Reach::NoDaemon), SILENT),
        (SILENT, Some(Reach::NoDaemon)),
        (Some(Reach::Alive), None),
    ] {
        let mut cluster = one_missing(by_leader, by_other);
        cluster.pass(600_000);
        assert_eq!(cluster.places("a.service"), [3], "{by_leader:?} {by_other:?}");
        let rounds = cluster.asked.len() / 2;
        assert!((100..=301).contains(&rounds), "asked after every two or three seconds: {rounds}");
        cluster.launch("b.service", "");
        assert_eq!(cluster.places("b.service"), [1], "nothing new goes there");
    }
}

#[test]
fn one_that_answered_is_lost_when_it_is_silent_twice_in_a_row() {
    let mut cluster = one_missing(Some(Reach::NoDaemon), SILENT);
    cluster.pass(60_500);
    finds(&mut cluster, SILENT, SILENT);
    cluster.pass(2_000);
    assert_eq!(cluster.places("a.service"), [3], "one bad moment");
    finds(&mut cluster, SILENT, Some(Reach::Alive));
    cluster.pass(2_000);
    finds(&mut cluster, SILENT, SILENT);
    cluster.pass(2_000);
    assert_eq!(cluster.places("a.service"), [3], "and another one");
    cluster.pass(2_000);
    assert_eq!(cluster.places("a.service"), [1]);
}

#[test]
fn questions_that_are_never_answered_keep_no_dead_machine_alive() {
    let mut cluster = one_missing(None, None);
    cluster.pass(2_900);
    assert_eq!(cluster.places("a.service"), [3]);
    cluster.pass(200);
    assert_eq!(cluster.places("a.service"), [1]);
}

#[test]
fn a_machine_that_says_goodbye_is_handed_over_at_once() {
    let mut cluster = one_missing(Some(Reach::Alive), Some(Reach::Alive));
    cluster.join(3, &[]);
    cluster.settle();
    cluster.enlist(3, true);
    cluster.settle();
    assert_eq!(cluster.places("a.service"), [3], "as long as it has its lease");
    cluster.disconnect(3);
    cluster.pass(50);
    assert_eq!(cluster.places("a.service"), [1]);
}

#[test]
fn a_new_leader_asks_anew() {
    let mut cluster = one_missing(SILENT, SILENT);
    cluster.pass(500);
    cluster.reach.insert((3, None), Reach::Alive);
    cluster.disconnect(1);
    cluster.pass(30_000);
    assert_eq!((cluster.leaders(), cluster.places("a.service")), (vec![2], vec![3]));
}

#[test]
fn an_answer_about_a_machine_that_is_back_changes_nothing() {
    let mut cluster = one_missing(None, None);
    cluster.pass(100);
    cluster.join(3, &[]);
    cluster.settle();
    cluster.send(1, Event::Probed { machine: id(3), through: None, found: Reach::Silent });
    cluster.pass(60_000);
    assert_eq!(cluster.places("a.service"), [3]);
}

#[test]
fn when_many_vanish_at_once_the_questions_are_bounded_and_all_are_asked_after() {
    let mut cluster = Cluster::new(400);
    (1..=400).for_each(|number| cluster.enlist(number, false));
    cluster.settle();
    cluster.launch("log.service", "Global=true");
    (3..=400).for_each(|number| cluster.lose_lease(number));
    cluster.pass(2_000);
    assert_eq!(cluster.asked.len(), 256);
    cluster.pass(60_000);
    let after: std::collections::BTreeSet<u32> = cluster.asked.iter().map(|(machine, _)| *machine).collect();
    assert_eq!(after.len(), 398);
}
