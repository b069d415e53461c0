//! When a pass is made, how much it writes, and what it cleans up.

use crate::cluster::{Cluster, file, id, name};
use crate::{INACTIVE, LAUNCHED, LOADED};
use flota_engine::{Event, Outcome};
use flota_registry::{Generation, Key, LeaseId, Report, collect_files, publish_report};

#[test]
fn no_pass_while_a_commit_is_under_way_or_not_yet_visible() {
    let mut cluster = Cluster::new(1);
    cluster.hold_commits = true;
    cluster.launch("a.service", "");
    cluster.launch("b.service", "");
    cluster.pass(10_000);
    assert_eq!(cluster.held.len(), 1);

    let (writer, ticket, txn) = cluster.held.pop().unwrap();
    cluster.hold_watch = true;
    let outcome = cluster.commit(&writer, &txn);
    cluster.send(1, Event::Finished { ticket, outcome });
    cluster.pass(10_000);
    assert!(cluster.held.is_empty(), "what was written is not seen yet");

    cluster.hold_watch = false;
    cluster.settle();
    assert_eq!(cluster.held.len(), 1);
    let (writer, _, txn) = cluster.held.pop().unwrap();
    assert!(matches!(cluster.commit(&writer, &txn), Outcome::Committed(_)));
    assert_eq!((cluster.places("a.service"), cluster.places("b.service")), (vec![1], vec![1]));
}

#[test]
fn a_commit_of_unknown_outcome_is_made_up_for() {
    for carried_out in [false, true] {
        let mut cluster = Cluster::new(1);
        cluster.hold_commits = true;
        cluster.launch("a.service", "");
        let (writer, ticket, txn) = cluster.held.pop().unwrap();
        cluster.hold_commits = false;
        if carried_out {
            cluster.commit(&writer, &txn);
        }
        cluster.send(1, Event::Finished { ticket, outcome: Outcome::Unknown });
        cluster.settle();
        assert_eq!(cluster.places("a.service"), [1]);
        assert_eq!(cluster.schedule(1).unwrap().generation, Generation(1));
    }
}

#[test]
fn many_changes_at_once_are_one_pass() {
    let mut cluster = Cluster::new(5);
    let commits = cluster.commits.len();
    for number in 0..100 {
        cluster.submit(&format!("u{number}.service"), "", LAUNCHED);
    }
    cluster.settle();
    assert_eq!(cluster.commits.len(), commits + 1);
}

#[test]
fn a_large_change_goes_on_in_the_next_pass() {
    let mut cluster = Cluster::new(250);
    cluster.launch("log.service", "Global=true");
    assert_eq!(cluster.places("log.service").len(), 250);
    assert_eq!(cluster.commits.len(), 3);
    assert_eq!(cluster.recorded.len(), 250, "each decision told once");
    let machine = |number| cluster.schedule(number).unwrap().generation;
    assert_eq!((machine(1), machine(250)), (Generation(1), Generation(1)));
}

#[test]
fn reports_cause_no_pass() {
    let mut cluster = Cluster::new(2);
    cluster.launch("a.service", "");
    let effects = cluster.trace.len();
    for generation in 0..50 {
        let report = Report { generation: Generation(generation), units: Default::default(), problem: None };
        cluster.store.commit(&publish_report(&id(2), &report, LeaseId(2))).unwrap();
        cluster.pump();
        assert_eq!(cluster.nodes[&id(1)].engine.deadline(), None);
    }
    cluster.pass(60_000);
    assert_eq!(cluster.trace.len(), effects);
}

#[test]
fn an_idle_cluster_is_idle() {
    let mut cluster = Cluster::new(3);
    cluster.launch("a.service", "");
    cluster.launch("never.service", "MachineID=ffffffff");
    let effects = cluster.trace.len();
    cluster.pass(3_600_000);
    assert_eq!(cluster.trace.len(), effects);
}

#[test]
fn a_text_that_nothing_refers_to_is_removed() {
    let mut cluster = Cluster::new(1);
    let (old, new) = (file("Conflicts=old").hash(), file("Conflicts=new").hash());
    cluster.submit("a.service", "Conflicts=old", LOADED);
    cluster.submit("b.service", "Conflicts=old", INACTIVE);
    cluster.settle();
    cluster.launch("a.service", "Conflicts=new");
    assert!(cluster.store.get(&Key::File(old)).is_some(), "b still has it");
    cluster.destroy("b.service");
    cluster.settle();
    assert!(cluster.store.get(&Key::File(old)).is_none());
    assert!(cluster.store.get(&Key::File(new)).is_some());
}

#[test]
fn no_text_is_removed_while_a_unit_cannot_be_read() {
    let mut cluster = Cluster::new(1);
    cluster.launch("a.service", "Conflicts=x");
    cluster.store.put_raw(&Key::Unit(name("b.service")), br#"{"v":99}"#, None);
    cluster.destroy("a.service");
    cluster.settle();
    assert!(cluster.store.get(&Key::File(file("Conflicts=x").hash())).is_some());
}

#[test]
fn a_text_that_a_submit_touched_meanwhile_is_kept() {
    let mut cluster = Cluster::new(1);
    let hash = file("Conflicts=x").hash();
    cluster.submit("a.service", "Conflicts=x", INACTIVE);
    cluster.settle();
    cluster.hold_commits = true;
    cluster.destroy("a.service");
    cluster.settle();
    let (writer, ticket, txn) = cluster.held.pop().unwrap();
    assert_eq!(txn.ops.len(), collect_files(flota_registry::Fence { mod_revision: 0 }, &[(hash, 0)]).ops.len());
    cluster.submit("b.service", "Conflicts=x", LAUNCHED);
    assert_eq!(cluster.commit(&writer, &txn), Outcome::Refused);
    cluster.hold_commits = false;
    cluster.send(1, Event::Finished { ticket, outcome: Outcome::Refused });
    cluster.settle();
    assert!(cluster.store.get(&Key::File(hash)).is_some());
    assert_eq!(cluster.places("b.service"), [1]);
}

#[test]
#[ignore = "a measurement: run with --release -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "it measures the time of a pass and tells it")]
fn a_pass_over_5000_units_on_50_machines() {
    let mut cluster = Cluster::new(50);
    for number in 0..5_000 {
        let conflicts = format!("Conflicts=u{}@*", number % 100);
        cluster.submit(&format!("u{}@{number}.service", number % 100), &conflicts, LAUNCHED);
    }
    cluster.pump();
    let timed_pass = |cluster: &mut Cluster, what: &str| {
        cluster.now = cluster.now.plus(flota_registry::Millis(2));
        let engine = &mut cluster.nodes.get_mut(&id(1)).unwrap().engine;
        let start = std::time::Instant::now();
        let effects = engine.handle(cluster.now, Event::Tick);
        println!("{what} {} ms", start.elapsed().as_millis());
        effects
    };
    let effects = timed_pass(&mut cluster, "first placement");
    let schedules = effects.iter().find_map(|effect| match effect {
        flota_engine::Effect::Commit { txn, .. } => Some(txn.ops.len()),
        _ => None,
    });
    assert_eq!(schedules, Some(50), "all of it in one pass");
    let flota_engine::Effect::Commit { ticket, txn } = effects.into_iter().next().unwrap() else { panic!("a commit") };
    let outcome = cluster.commit(&id(1), &txn);
    cluster.send(1, Event::Finished { ticket, outcome });
    cluster.settle();
    assert_eq!(cluster.unplaced, []);
    cluster.submit("one.service", "", LAUNCHED);
    cluster.pump();
    let effects = timed_pass(&mut cluster, "steady pass");
    assert!(effects.iter().any(|effect| matches!(effect, flota_engine::Effect::Commit { .. })));
}
