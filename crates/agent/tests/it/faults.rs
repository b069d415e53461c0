//! One unit's trouble: reported, tried again where that helps, and nobody else's.

use super::*;
use flota_agent::{Event, JobResult};

const A: &str = "a.service";
const B: &str = "b.service";

#[test]
fn a_failed_installation_is_tried_again_ever_more_slowly() {
    let mut machine = machine();
    machine.broken_files.insert(name(A));
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED), (B, 2, LAUNCHED)]));
    machine.pass(500);
    assert_runs(&machine, &[(B, 1)]);
    assert_eq!(machine.last_report().units[&name(A)].problem.as_deref(), Some("disk is full"));
    machine.trace.clear();
    machine.pass(600_000);
    assert!((10..20).contains(&machine.count("files")), "{}", machine.count("files"));

    machine.broken_files.clear();
    machine.pass(60_000);
    assert_runs(&machine, &[(A, 1), (B, 1)]);
    assert_eq!(machine.last_report().units[&name(A)].problem, None);
}

#[test]
fn new_content_does_not_wait_for_the_retry_of_the_old_one() {
    let mut machine = machine();
    machine.broken_files.insert(name(A));
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    machine.pass(40_000);
    machine.broken_files.clear();
    machine.schedule(&schedule(2, &[(A, 3, LAUNCHED)]));
    assert_runs(&machine, &[(A, 1)]);
}

#[test]
fn what_a_failed_installation_left_is_removed_with_the_unit() {
    let mut machine = machine();
    machine.broken_files.insert(name(A));
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    // Half-way: the file is there and systemd knows it, but the operation was reported as failed.
    machine.files.insert(name(A), (hash(1), true));
    machine.broken_files.clear();
    machine.schedule(&schedule(2, &[]));
    assert!(machine.files.is_empty(), "{:#?}", machine.trace);
}

#[test]
fn a_failed_start_is_reported_and_left_to_systemd() {
    let mut machine = machine();
    machine.broken_starts.insert(name(A));
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    machine.pass(600_000);
    assert_eq!(machine.runs[&name(A)].starts, 1);
    assert_eq!(machine.last_report().units[&name(A)].problem.as_deref(), Some("exit status 1"));

    // `Restart=` succeeds later.
    machine.becomes(&name(A), "active");
    machine.pass(1_000);
    assert_eq!(machine.last_report().units[&name(A)].problem, None);
    assert_eq!(machine.count("start"), 1);
}

#[test]
fn a_stop_that_is_refused_is_tried_again_ever_more_slowly() {
    let mut machine = running();
    machine.broken_stops.insert(name(A));
    machine.schedule(&schedule(2, &[(B, 2, LAUNCHED)]));
    machine.pass(600_000);
    assert!((10..20).contains(&machine.count("stop")), "{}", machine.count("stop"));
    assert_eq!(machine.last_report().units[&name(A)].problem.as_deref(), Some("stop refused"));
    assert_runs(&machine, &[(B, 1)]);
}

#[test]
fn a_lost_stop_is_asked_for_again_once_the_unit_was_looked_at() {
    let mut machine = running();
    machine.agent_only(schedule(2, &[(B, 2, LAUNCHED)]));
    machine.send(Event::Stopped(name(A), JobResult::Lost));
    assert!(machine.position("observe a.service") < machine.position("stop a.service"));
    assert!(!machine.is_running(&name(A)));
}

#[test]
fn a_lost_start_is_not_repeated_when_the_unit_runs() {
    let mut machine = machine();
    machine.hanging.insert(name(A));
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    machine.becomes(&name(A), "active");
    machine.send(Event::Started(name(A), JobResult::Lost));
    machine.pass(1_000);
    assert_eq!(machine.count("start"), 1);
    assert!(machine.held.started.contains_key(&name(A)));
}

#[test]
fn a_start_that_hangs_can_be_stopped() {
    for then in [schedule(2, &[(A, 1, LOADED)]), schedule(2, &[])] {
        let mut machine = machine();
        machine.hanging.insert(name(A));
        machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
        machine.pass(1_000);
        machine.schedule(&then);
        machine.pass(1_000);
        assert_eq!((machine.count("start"), machine.count("stop")), (1, 1));
        assert_eq!(machine.runs[&name(A)].active, "inactive");
        assert_eq!(machine.files.contains_key(&name(A)), !then.units.is_empty());
    }
}

#[test]
fn a_start_whose_end_the_daemon_missed_can_be_stopped() {
    let mut machine = machine();
    machine.hanging.insert(name(A));
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    machine.runs.get_mut(&name(A)).unwrap().active = "active";
    machine.hanging.clear();
    machine.texts = None;
    // The daemon ends before it hears of the start, and is back only after the user's stop.
    machine.agent = flota_agent::Agent::new();
    machine.restart_with(schedule(2, &[(A, 1, LOADED)]));
    assert!(!machine.is_running(&name(A)), "{:#?}", machine.trace);
}

#[test]
fn a_unit_that_is_not_flotas_is_left_alone() {
    let mut machine = machine();
    machine.foreign.insert(name(A));
    machine.becomes(&name(A), "active");
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED), (B, 2, LAUNCHED)]));
    machine.pass(10_000);
    assert_eq!(machine.files.keys().collect::<Vec<_>>(), [&name(B)]);
    let reported = machine.last_report().units[&name(A)].clone();
    assert!(reported.problem.unwrap().contains("not Flota's"));
    assert_eq!((reported.hash, reported.states.active.as_str()), (None, "active"));

    machine.trace.clear();
    machine.schedule(&schedule(2, &[(B, 2, LAUNCHED)]));
    machine.pass(60_000);
    assert_untouched(&machine);
    assert!(machine.is_running(&name(A)));
}

#[test]
fn what_a_purge_left_running_is_adopted_where_its_content_is_wanted() {
    let mut machine = machine();
    for unit in [A, B] {
        machine.copies.insert(name(unit), hash(1));
        machine.becomes(&name(unit), "active");
    }
    machine.restart_daemon();
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED), (B, 2, LAUNCHED)]));
    machine.pass(10_000);
    assert_eq!(machine.files.keys().collect::<Vec<_>>(), [&name(A)]);
    assert_eq!((machine.count("start"), machine.count("stop")), (0, 0));
    let reported = machine.last_report().units.clone();
    assert_eq!((reported[&name(A)].hash, &reported[&name(A)].problem), (Some(hash(1)), &None));
    assert!(reported[&name(B)].problem.as_ref().unwrap().contains("not Flota's"));
}

#[test]
fn a_foreign_unit_is_looked_at_ever_more_slowly_until_it_is_gone() {
    let mut machine = machine();
    machine.foreign.insert(name(A));
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    machine.pass(600_000);
    assert!((5..25).contains(&machine.count("observe")), "{}", machine.count("observe"));
    machine.foreign.clear();
    machine.pass(61_000);
    assert_runs(&machine, &[(A, 1)]);
}
