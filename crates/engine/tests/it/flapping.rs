//! Machines that come and go are held off; the units of lost ones do not all move at the same time.

use crate::LAUNCHED;
use crate::cluster::{Cluster, name};
use flota_engine::Reach;
use flota_registry::CordonMode;

/// Machine 2 is lost, and comes back.
fn flap(cluster: &mut Cluster) {
    cluster.disconnect(2);
    cluster.pass(6_000);
    cluster.join(2, &[]);
    cluster.settle();
}

#[test]
fn a_machine_that_comes_and_goes_is_held_off_for_longer_each_time() {
    let mut cluster = Cluster::new(2);
    cluster.launch("a.service", "");
    for (round, seconds) in [10, 20, 40].into_iter().enumerate() {
        cluster.launch("pin.service", "MachineID=00000002");
        assert_eq!(cluster.places("pin.service"), [2]);
        cluster.launch("pin.service", "");
        flap(&mut cluster);
        assert_eq!(cluster.places("pin.service"), [1]);
        let back_at = cluster.now.0 - 1_000;
        let unit = format!("u{round}.service");
        cluster.submit(&unit, "MachineID=00000002", LAUNCHED);
        cluster.pass(back_at + seconds * 1_000 - 100 - cluster.now.0);
        assert!(cluster.places(&unit).is_empty(), "{seconds}");
        cluster.pass(200);
        assert_eq!(cluster.places(&unit), [2], "{seconds}");
        cluster.destroy(&unit);
        cluster.settle();
    }
    let told = "machine 00000002: machine was lost again and again (3 in 10 minutes): nothing new comes to it for 40 s";
    assert_eq!(cluster.notes.last().unwrap(), told);
}

#[test]
fn a_machine_that_people_took_out_of_service_and_bring_back_is_not_held_off() {
    let mut cluster = Cluster::new(2);
    cluster.launch("a.service", "MachineID=00000002");
    flap(&mut cluster);
    cluster.submit("b.service", "MachineID=00000002", LAUNCHED);
    cluster.pass(100);
    assert!(cluster.places("b.service").is_empty());
    cluster.cordon(2, Some(CordonMode::Cordoned));
    cluster.pass(100);
    cluster.cordon(2, None);
    cluster.pass(100);
    assert_eq!(cluster.places("b.service"), [2]);
}

#[test]
fn a_goodbye_is_no_loss() {
    let mut cluster = Cluster::new(2);
    cluster.launch("a.service", "");
    cluster.enlist(2, true);
    cluster.launch("b.service", "");
    assert_eq!(cluster.places("b.service"), [1], "nothing new comes to one that goes down");
    flap(&mut cluster);
    cluster.enlist(2, false);
    cluster.launch("c.service", "MachineID=00000002");
    assert_eq!(cluster.places("c.service"), [2]);
}

#[test]
fn a_loss_is_forgotten_after_ten_minutes() {
    let mut cluster = Cluster::new(2);
    cluster.launch("a.service", "MachineID=00000002");
    flap(&mut cluster);
    cluster.pass(620_000);
    flap(&mut cluster);
    cluster.pass(10_000);
    cluster.launch("b.service", "MachineID=00000002");
    assert_eq!(cluster.places("b.service"), [2], "held off for 10 s, not for 20");
}

/// 120 units on machine 3 of 3, which is lost.
fn a_large_loss(agents: bool) -> Cluster {
    let mut cluster = Cluster::new(1);
    cluster.join(3, &[]);
    cluster.enlist(3, false);
    cluster.settle();
    for number in 0..120 {
        cluster.submit(&format!("u{number}.service"), "MachineID=00000003", LAUNCHED);
    }
    cluster.settle();
    for number in 0..120 {
        cluster.submit(&format!("u{number}.service"), "", LAUNCHED);
    }
    cluster.join(2, &[]);
    cluster.settle();
    cluster.agents = agents;
    cluster.reach.insert((3, None), Reach::Silent);
    cluster.disconnect(3);
    cluster
}

fn left(cluster: &Cluster) -> usize {
    cluster.schedule(3).unwrap().units.len()
}

#[test]
fn only_so_many_units_are_on_their_way_at_the_same_time() {
    let mut cluster = a_large_loss(false);
    cluster.pass(2_000);
    assert_eq!(left(&cluster), 70);
    assert_eq!(cluster.notes, ["units of lost machines wait: 50 others are on their way, the most at once"]);
    assert_eq!(cluster.unplaced, [], "they can be placed, later");
    cluster.report(1, "active");
    cluster.pass(1_000);
    assert_eq!(left(&cluster), 45, "25 of them are active on machine 1");
    cluster.pass(40_000);
    assert_eq!(left(&cluster), 0, "nobody waits for ever");
}

#[test]
fn units_that_come_up_make_room_for_the_next_at_once() {
    let mut cluster = a_large_loss(true);
    cluster.pass(1_500);
    assert_eq!(left(&cluster), 0);
    assert_eq!(cluster.places("u7.service").len(), 1);
    assert_eq!(cluster.store.snapshot().schedules()[&crate::cluster::id(1)].value.units.len(), 60);
    assert!(cluster.unplaced.iter().all(|unit| *unit != name("u7.service")));
}

#[test]
fn a_new_leader_goes_on_holding_off_and_people_can_read_it() {
    let mut cluster = Cluster::new(3);
    cluster.launch("a.service", "MachineID=00000002");
    flap(&mut cluster);
    flap(&mut cluster);
    let notes = |cluster: &Cluster| cluster.store.snapshot().notes().cloned().unwrap_or_default();
    let held = notes(&cluster).held_off;
    assert_eq!(held.values().map(|held| (held.losses, held.span_ms)).collect::<Vec<_>>(), [(2, 20_000)]);
    let why = flota_engine::explain(&cluster.store.snapshot(), &name("a.service")).unwrap();
    assert!(why.verdicts[1].reasons.is_empty(), "who is there stays");

    cluster.disconnect(1);
    cluster.pass(1_000);
    cluster.submit("b.service", "MachineID=00000002", LAUNCHED);
    cluster.pass(18_000);
    assert!(cluster.places("b.service").is_empty());
    let why = flota_engine::explain(&cluster.store.snapshot(), &name("b.service")).unwrap();
    let held_off = "machine was lost (2 in 10 minutes) and is back: nothing new comes to it for 20 s in all";
    let reasons: Vec<String> = why.verdicts[0].reasons.iter().map(ToString::to_string).collect();
    assert_eq!(reasons, [held_off]);
    cluster.pass(5_000);
    assert_eq!(cluster.places("b.service"), [2]);
    assert!(notes(&cluster).held_off.is_empty());
}

#[test]
fn people_can_read_why_a_silent_machine_keeps_its_units_and_what_an_exclusive_one_waits_for() {
    let mut cluster = Cluster::new(3);
    (1..=3).for_each(|number| cluster.enlist(number, false));
    cluster.launch("web.service", "MachineID=00000003");
    cluster.launch("db.service", "Exclusive=true\nMachineID=00000002");
    cluster.reach.insert((3, None), Reach::NoDaemon);
    cluster.disconnect(3);
    cluster.pass(60_000);
    cluster.launch("db.service", "Exclusive=true\nMachineID=00000001");
    let problem = |unit: &str| flota_engine::explain(&cluster.store.snapshot(), &name(unit)).unwrap().problem;
    let suspect = "machine 00000003: its lease is gone, but it can be reached: nothing is moved, what it runs runs on";
    assert_eq!(problem("web.service").as_deref(), Some(suspect));
    let waits = "db.service is exclusive and waits until machine 00000002 says that it is stopped there";
    assert_eq!(problem("db.service").as_deref(), Some(waits));
    cluster.join(3, &[]);
    cluster.settle();
    assert!(cluster.store.snapshot().notes().unwrap().suspects.is_empty());
}
