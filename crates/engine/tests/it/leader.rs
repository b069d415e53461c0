//! Leadership: one at a time, fenced, and given up without a trace (promise P3).

use flota_engine::{Event, Outcome};

use crate::LAUNCHED;
use crate::cluster::{Cluster, id};

#[test]
fn the_first_to_campaign_leads_and_the_others_follow() {
    let cluster = Cluster::new(3);
    assert_eq!(cluster.leaders(), [1]);
    assert_eq!(cluster.leader_entry().unwrap().value.machine, id(1));
}

#[test]
fn when_the_leader_goes_another_one_takes_over() {
    let mut cluster = Cluster::new(3);
    cluster.disconnect(1);
    cluster.settle();
    assert_eq!(cluster.leaders(), [2]);
    cluster.launch("a.service", "");
    assert_eq!(cluster.places("a.service"), [2]);
}

#[test]
fn a_deposed_leader_that_does_not_know_it_writes_nothing() {
    let mut cluster = Cluster::new(2);
    cluster.hold_commits = true;
    cluster.launch("a.service", "");
    let (old, ticket, txn) = cluster.held.pop().unwrap();
    assert_eq!(old, id(1));

    cluster.lose_lease(1);
    cluster.hold_commits = false;
    cluster.settle();
    assert_eq!(cluster.leaders(), [1, 2], "the old one cannot know yet");
    let outcome = cluster.commit(&old, &txn);
    assert_eq!(outcome, Outcome::Refused);
    let before = cluster.commits.len();
    cluster.send(1, Event::Finished { ticket, outcome });
    cluster.send(1, Event::LeaderChanged(cluster.leader_entry()));
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.commits.len()), (vec![2], before));
}

#[test]
fn a_restarted_daemon_takes_over_its_own_lead() {
    let mut cluster = Cluster::new(2);
    let before = cluster.leader_entry().unwrap();
    cluster.crash_engine(1);
    cluster.join(1, &[]);
    cluster.settle();
    assert_eq!(cluster.leaders(), [1]);
    let after = cluster.leader_entry().unwrap();
    assert!(after.mod_revision > before.mod_revision && after.lease != before.lease);
    cluster.launch("a.service", "");
    assert_eq!(cluster.places("a.service").len(), 1);
}

#[test]
fn a_lost_campaign_is_repeated() {
    let mut cluster = Cluster::new(1);
    cluster.hold_watch = true;
    cluster.disconnect(1);
    cluster.settle();
    cluster.join(1, &[]);
    cluster.settle();
    assert_eq!(cluster.leaders(), [0; 0], "its victory was not seen");
    cluster.hold_watch = false;
    cluster.pass(2_000);
    assert_eq!(cluster.leaders(), [1]);
}

#[test]
fn a_store_that_was_restored_to_less_is_worked_with() {
    let mut cluster = Cluster::new(1);
    for number in 0..50 {
        cluster.launch(&format!("u{number}.service"), "");
    }
    let mut young = Cluster::empty();
    std::mem::swap(&mut cluster.store, &mut young.store);
    cluster.send(1, Event::Disconnected);
    cluster.join(1, &[]);
    cluster.submit("a.service", "", LAUNCHED);
    cluster.settle();
    assert_eq!(cluster.places("a.service"), [1]);
}

#[test]
fn a_snapshot_that_comes_too_late_is_nobodys() {
    let mut cluster = Cluster::new(2);
    let snapshot = cluster.store.snapshot();
    cluster.send(2, Event::Snapshot(Box::new(snapshot)));
    assert_eq!(cluster.nodes[&id(2)].engine.deadline(), None);
}
