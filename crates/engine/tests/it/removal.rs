//! Machines that people remove: all that they had goes, and then all that is known of them.

use crate::cluster::{Cluster, id};
use flota_registry::CordonMode::Removed;
use flota_registry::Key;

fn three() -> Cluster {
    let mut cluster = Cluster::new(3);
    (1..=3).for_each(|number| cluster.enlist(number, false));
    cluster.launch("a.service", "MachineID=00000003");
    cluster.launch("a.service", "");
    cluster.launch("pinned.service", "MachineID=00000003");
    cluster.launch("log.service", "Global=true");
    cluster
}

fn is_known(cluster: &Cluster, number: u32) -> bool {
    let kinds = [Key::Schedule, Key::Report, Key::Metadata, Key::Member, Key::Cordon];
    kinds.iter().any(|kind| cluster.store.get(&kind(id(number))).is_some())
}

#[test]
fn a_dead_machine_that_is_removed_is_forgotten() {
    let mut cluster = three();
    cluster.disconnect(3);
    cluster.pass(60_000);
    assert_eq!((cluster.places("a.service"), cluster.places("pinned.service")), (vec![1], vec![3]));
    assert!(is_known(&cluster, 3), "dead is not removed");
    cluster.cordon(3, Some(Removed));
    cluster.settle();
    assert!(!is_known(&cluster, 3));
    assert!(cluster.places("pinned.service").is_empty());
    assert_eq!(cluster.places("log.service"), [1, 2]);
    let gone = cluster.recorded.iter().find(|it| it.unit.as_str() == "pinned.service" && it.to.is_none()).unwrap();
    assert_eq!(gone.cause, "machine 00000003 is removed");
    let commits = cluster.commits.len();
    cluster.pass(600_000);
    assert_eq!(cluster.commits.len(), commits);
}

#[test]
fn a_machine_whose_daemon_is_broken_can_be_removed() {
    let mut cluster = three();
    cluster.reach.insert((3, None), flota_engine::Reach::NoDaemon);
    cluster.disconnect(3);
    cluster.pass(600_000);
    assert_eq!(cluster.places("a.service"), [3]);
    cluster.cordon(3, Some(Removed));
    cluster.settle();
    assert_eq!(cluster.places("a.service"), [1]);
    assert_eq!(cluster.cause(1, "a.service"), "machine 00000003 is removed; fewest units");
    assert!(!is_known(&cluster, 3));
}

#[test]
fn a_living_machine_that_is_removed_gives_everything_up_and_is_forgotten_when_it_goes() {
    let mut cluster = three();
    cluster.agents = true;
    cluster.cordon(3, Some(Removed));
    cluster.settle();
    assert_eq!((cluster.places("a.service"), cluster.places("log.service")), (vec![1], vec![1, 2]));
    assert!(cluster.schedule(3).unwrap().units.is_empty());
    cluster.pass(600_000);
    assert!(is_known(&cluster, 3), "as long as it is there");
    cluster.launch("b.service", "");
    assert_ne!(cluster.places("b.service"), [3]);
    cluster.disconnect(3);
    cluster.settle();
    assert!(!is_known(&cluster, 3));
}

#[test]
fn a_removed_machine_that_comes_again_is_a_new_one() {
    let mut cluster = three();
    cluster.disconnect(3);
    cluster.cordon(3, Some(Removed));
    cluster.pass(60_000);
    cluster.join(3, &[]);
    cluster.settle();
    assert_eq!((cluster.places("pinned.service"), cluster.places("log.service")), (vec![3], vec![1, 2, 3]));
}

#[test]
fn a_frozen_machine_stops_all_placement_once_and_aloud() {
    let mut cluster = three();
    let lease = cluster.nodes[&id(2)].lease;
    let pair = cluster.store.get(&Key::Machine(id(2))).unwrap().value.clone();
    let text = String::from_utf8(pair.clone()).unwrap();
    let frozen = text.replacen('{', "{\"frozen\":\"the store is older than what it has seen\",", 1);
    cluster.store.put_raw(&Key::Machine(id(2)), frozen.as_bytes(), Some(lease));
    cluster.settle();
    let commits = cluster.commits.len();
    cluster.disconnect(3);
    cluster.launch("b.service", "");
    cluster.pass(60_000);
    assert_eq!(cluster.commits.len(), commits);
    assert_eq!(cluster.frozen, ["machine 00000002 takes no orders: the store is older than what it has seen"]);
    let why = flota_engine::explain(&cluster.store.snapshot(), &"b.service".parse().unwrap()).unwrap();
    assert!(why.problem.unwrap().contains("placement stands still: machine 00000002 takes no orders"));
    cluster.store.put_raw(&Key::Machine(id(2)), &pair, Some(lease));
    cluster.settle();
    assert_eq!((cluster.places("a.service").len(), cluster.places("b.service").len()), (1, 1));
}

#[test]
fn a_removed_machine_that_may_run_an_exclusive_unit_is_forgotten_once_it_must_have_stopped_it() {
    let mut cluster = three();
    cluster.agents = true;
    cluster.launch("db.service", "Exclusive=true\nMachineID=00000003");
    cluster.idle_agents = [3].into();
    cluster.cordon(3, Some(Removed));
    cluster.settle();
    assert!(cluster.places("db.service").is_empty());
    cluster.disconnect(3);
    cluster.pass(6_900);
    assert!(is_known(&cluster, 3));
    cluster.pass(200);
    assert!(!is_known(&cluster, 3), "and nothing else had to happen for that");
}
