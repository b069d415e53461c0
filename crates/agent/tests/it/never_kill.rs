//! Promises P1, P2 and P3 on one machine: silence, restarts and strangers' orders change nothing.

use super::*;
use flota_agent::trust::Known;
use flota_agent::{Event, Held};

#[test]
fn a_daemon_restart_touches_nothing() {
    let mut machine = running();
    machine.restart_daemon();
    machine.pass(60_000);
    assert_untouched(&machine);
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.send(Event::Connected);
    machine.pass(60_000);
    assert_untouched(&machine);
}

#[test]
fn a_daemon_restart_right_after_a_start_touches_nothing() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED)]));
    assert!(!machine.held.started.contains_key(&name("a.service")), "noted a little later, with others");
    machine.restart_daemon();
    machine.pass(1_000);
    assert_untouched(&machine);
    assert!(machine.held.started.contains_key(&name("a.service")));
}

#[test]
fn without_its_memory_a_daemon_leaves_everything_running() {
    let mut machine = running();
    machine.held = Held::default();
    machine.texts = None;
    machine.restart_daemon();
    machine.send(Event::Changed(None));
    machine.pass(60_000);
    assert_untouched(&machine);
    assert_eq!(machine.last_report().units[&name("a.service")].states.active, "active");

    machine.schedule(&schedule(7, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    assert_untouched(&machine);
    assert_eq!(machine.held.started.len(), 2, "taken over as they are");

    machine.schedule(&schedule(8, &[("a.service", 1, LAUNCHED)]));
    assert!(!machine.is_running(&name("b.service")), "now there is an order");
}

#[test]
fn a_reboot_without_the_store_starts_the_last_schedule() {
    let mut machine = running();
    machine.schedule(&schedule(2, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED), ("c.service", 3, LOADED)]));
    machine.pass(1_000);
    machine.texts = None;
    machine.reboot();
    machine.pass(2_900);
    assert!(!machine.is_running(&name("a.service")), "first it waits for the store's word");
    machine.pass(200);
    assert_runs(&machine, &[("a.service", 1), ("b.service", 1)]);
    assert!(!machine.is_running(&name("c.service")));
    assert_eq!(machine.count("files"), 1, "one reload for all links");
    assert!(machine.files.values().all(|(_, linked)| *linked));
}

#[test]
fn a_unit_that_ended_before_the_reboot_starts_at_boot() {
    let mut machine = running();
    machine.becomes(&name("a.service"), "failed");
    machine.reboot();
    machine.pass(3_100);
    assert_runs(&machine, &[("a.service", 1)]);
}

#[test]
fn after_a_reboot_the_stores_word_is_taken_at_once_and_what_moved_does_not_start() {
    let mut machine = running();
    machine.schedule(&schedule(2, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.reboot();
    machine.pass(100);
    machine.schedule(&schedule(3, &[("b.service", 2, LAUNCHED)]));
    machine.pass(100);
    assert_runs(&machine, &[("b.service", 1)]);
    assert!(!machine.trace.iter().any(|effect| effect.contains("start a.service")), "{:?}", machine.trace);
}

#[test]
fn an_older_schedule_is_refused() {
    let mut machine = running();
    machine.schedule(&schedule(5, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.trace.clear();
    machine.schedule(&schedule(4, &[]));
    machine.pass(60_000);
    assert_untouched(&machine);
    assert!(machine.last_report().problem.as_ref().unwrap().contains("generation 4"));
    assert_eq!(machine.agent.generation(), Generation(5));

    machine.schedule(&schedule(4, &[]));
    assert_eq!(machine.count("refused"), 1, "said once");
    machine.schedule(&schedule(6, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    assert_eq!(machine.last_report().problem, None);
}

#[test]
fn another_content_of_the_same_generation_is_refused() {
    let mut machine = running();
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED)]));
    machine.pass(60_000);
    assert_untouched(&machine);
    assert_eq!(machine.count("refused"), 1);
}

#[test]
fn a_schedule_of_another_cluster_is_refused() {
    let mut machine = running();
    let mut foreign = schedule(99, &[]);
    foreign.cluster = "00000000000000000000000000000002".parse().unwrap();
    machine.schedule(&foreign);
    machine.restart_daemon();
    machine.schedule(&foreign);
    machine.pass(60_000);
    assert_untouched(&machine);
    assert_eq!(machine.count("refused"), 1);
}

#[test]
fn silence_changes_nothing() {
    let mut machine = running();
    machine.texts = None;
    machine.send(Event::Connected);
    machine.send(Event::Changed(None));
    machine.send(Event::Tick);
    machine.pass(3_600_000);
    assert_untouched(&machine);
}

#[test]
fn a_late_answer_does_not_undo_a_newer_one() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED)]));
    machine.trace.clear();
    let old = machine.ask_silently();
    let new = machine.ask_silently();
    machine.answer(new, "a.service", "active");
    machine.answer(old, "a.service", "inactive");
    machine.pass(1_000);
    assert_eq!(machine.last_report().units[&name("a.service")].states.active, "active");
}

#[test]
fn an_answer_from_before_a_job_does_not_count_after_it() {
    let mut machine = running();
    let before = machine.ask_silently();
    // Stopped: what is known is out of date, and the unit is asked about anew before anything else is done.
    machine.schedule(&schedule(2, &[("b.service", 2, LAUNCHED)]));
    machine.schedule(&schedule(3, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    let starts = machine.runs[&name("a.service")].starts;
    machine.answer(before, "a.service", "inactive");
    machine.pass(1_000);
    assert_eq!(machine.runs[&name("a.service")].starts, starts, "{:#?}", machine.trace);
}

fn known(incarnation: u64, revision: i64) -> Known {
    Known { cluster: schedule(1, &[]).cluster, incarnation, revision, store: None }
}

#[test]
fn an_older_schedule_counts_only_from_a_store_that_people_accepted_and_only_once() {
    let mut machine = running();
    machine.send(Event::Believed(known(0, 50)));
    machine.schedule(&schedule(9, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.schedule(&schedule(4, &[("a.service", 1, LAUNCHED)]));
    machine.pass(1_000);
    assert_untouched(&machine);

    machine.send(Event::Believed(known(1, 20)));
    machine.schedule(&schedule(4, &[("a.service", 1, LAUNCHED)]));
    assert!(!machine.is_running(&name("b.service")), "the accepted store does not know of it");
    assert_eq!(machine.runs[&name("a.service")].starts, 1, "what both have runs on");
    machine.schedule(&schedule(3, &[]));
    machine.pass(1_000);
    assert!(machine.is_running(&name("a.service")), "from now on generations count again");
    machine.restart_daemon();
    machine.schedule(&schedule(3, &[]));
    machine.pass(1_000);
    assert!(machine.is_running(&name("a.service")), "after a restart too");
}

#[test]
fn another_clusters_schedule_is_refused_even_from_a_store_that_people_accepted() {
    let mut machine = running();
    machine.send(Event::Believed(known(1, 20)));
    let other = "000000000000000000000000000000ee".parse().unwrap();
    machine.schedule(&Schedule { cluster: other, ..schedule(99, &[]) });
    machine.pass(1_000);
    assert_untouched(&machine);
}

#[test]
fn the_stores_revision_is_kept_on_the_disk_every_few_seconds_and_with_each_schedule() {
    let mut machine = running();
    machine.send(Event::Believed(known(0, 50)));
    assert_eq!(machine.held.known, Some(known(0, 50)), "which store it is, at once");
    for revision in 51..=90 {
        machine.send(Event::Believed(known(0, revision)));
        machine.pass(100);
    }
    assert_eq!(machine.held.known, Some(known(0, 50)), "4 s later");
    machine.pass(1_100);
    assert_eq!(machine.held.known, Some(known(0, 90)));
    machine.send(Event::Believed(known(0, 95)));
    machine.schedule(&schedule(2, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED), ("c.service", 3, LOADED)]));
    assert_eq!(machine.held.known, Some(known(0, 95)));
}
