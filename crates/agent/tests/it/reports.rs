//! Reports: soon, seldom, and only when there is something new to say.

use super::*;
use flota_agent::Event;

#[test]
fn the_first_is_published_at_once() {
    let machine = machine();
    assert_eq!(machine.reports.len(), 1);
    assert_eq!(machine.last_report().generation, Generation(0));
}

#[test]
fn ten_in_a_second_after_a_short_burst_and_the_last_word_is_published() {
    let mut machine = running();
    machine.reports.clear();
    for round in 0..100 {
        machine.becomes(&name("a.service"), if round % 2 == 0 { "activating" } else { "failed" });
        machine.pass(10);
    }
    machine.pass(1_000);
    assert!((10..=15).contains(&machine.reports.len()), "{}", machine.reports.len());
    let spans = machine.reports.windows(6).map(|six| six[5].0.since(six[0].0));
    assert!(spans.min().unwrap() >= flota_registry::Millis(100), "no more than five at once");
    assert_eq!(machine.last_report().units[&name("a.service")].states.active, "failed");
}

#[test]
fn what_a_start_changes_is_published_without_delay() {
    let mut machine = machine();
    machine.pass(10_000);
    machine.reports.clear();
    let before = machine.now;
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED)]));
    assert_eq!(machine.last_report().units[&name("a.service")].states.active, "active");
    assert_eq!(machine.reports.last().unwrap().0, before, "no report waited");
}

#[test]
fn nothing_new_is_not_published() {
    let mut machine = running();
    machine.reports.clear();
    machine.send(Event::Changed(None));
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(3_600_000);
    assert!(machine.reports.is_empty());
}

#[test]
fn a_new_connection_is_told_everything_again() {
    let mut machine = running();
    let before = machine.last_report().clone();
    machine.reports.clear();
    machine.send(Event::Connected);
    assert_eq!(machine.reports.len(), 1);
    assert_eq!(*machine.last_report(), before);
}

#[test]
fn while_a_unit_is_asked_about_its_last_state_stands() {
    let mut machine = running();
    // Stopped, and the answer about it is still on its way.
    machine.agent_only(schedule(2, &[("a.service", 1, LOADED), ("b.service", 2, LAUNCHED)]));
    let _ = machine.agent.handle(machine.now, Event::Stopped(name("a.service"), flota_agent::JobResult::Done));
    let effects = machine.agent.handle(machine.now, Event::Connected);
    let published = effects.iter().find_map(|effect| match effect {
        flota_agent::Effect::Publish(report) => Some(report.units[&name("a.service")].states.active.clone()),
        _ => None,
    });
    assert_eq!(published.as_deref(), Some("active"));
}

#[test]
fn a_problem_of_the_machine_is_reported() {
    let mut machine = running();
    machine.schedule(&schedule(0, &[]));
    machine.pass(200);
    assert!(machine.last_report().problem.as_ref().unwrap().contains("generation 0"));
}

#[test]
fn what_is_to_leave_is_told_of_before_anybody_knows_how_it_is() {
    let machine = running();
    // A daemon that starts anew under a schedule without the unit, and is connected before systemd has answered.
    let mut agent = flota_agent::Agent::new();
    let installed = |(unit, (hash, linked)): (&flota_unit::UnitName, &(flota_unit::UnitHash, bool))| {
        (unit.clone(), flota_agent::Installed { hash: *hash, linked: *linked })
    };
    let boot = Event::Boot {
        held: flota_agent::Held { schedule: Some(schedule(2, &[("b.service", 2, LAUNCHED)])), ..machine.held.clone() },
        boot_id: machine.held.boot_id.clone(),
        installed: machine.files.iter().map(installed).collect(),
        copies: [].into(),
    };
    let mut effects = agent.handle(machine.now, boot);
    effects.extend(agent.handle(machine.now, Event::Connected));
    let published = effects.iter().rev().find_map(|effect| match effect {
        flota_agent::Effect::Publish(report) => Some(report.clone()),
        _ => None,
    });
    let report = published.unwrap();
    assert_eq!((report.generation, report.units[&name("a.service")].states.active.as_str()), (Generation(2), ""));
}

#[test]
fn a_unit_whose_start_is_under_way_is_not_said_to_be_down_when_it_has_to_leave() {
    let mut machine = running();
    let c = name("c.service");
    machine.hanging.insert(c.clone());
    machine.stubborn.insert(c.clone());
    machine
        .schedule(&schedule(2, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED), ("c.service", 3, LAUNCHED)]));
    // Nobody has seen it activating yet; before that it was seen inactive.
    machine.schedule(&schedule(3, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    let report = machine.last_report();
    assert_eq!(report.generation, Generation(3));
    let active = report.units[&c].states.active.as_str();
    assert!(!matches!(active, "inactive" | "failed"), "{active}: whoever waits for its end takes that for it");
}
