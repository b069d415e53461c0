//! The usual life of a unit on a machine.

use flota_agent::{Agent, Effect, Event, Installed, Observation, Token};
use flota_registry::{Millis, UnitStates};

use super::*;

const A: &str = "a.service";

#[test]
fn a_loaded_unit_is_installed_and_linked_but_not_started() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(A, 1, LOADED)]));
    assert_eq!(machine.files[&name(A)], (hash(1), true));
    assert_eq!(machine.count("files"), 1);
    assert_eq!(machine.count("start"), 0);
}

#[test]
fn a_launched_unit_is_started_once() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    machine.pass(60_000);
    assert_runs(&machine, &[(A, 1)]);
    assert_eq!(machine.count("files"), 1);
}

#[test]
fn the_schedule_is_on_the_disk_before_anything_is_done() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    let order = ["persist 1", "files install:a.service", "start a.service"].map(|effect| machine.position(effect));
    assert!(order.is_sorted(), "{:#?}", machine.trace);
    assert!(machine.position("persist 1") < machine.position("fetch"), "{:#?}", machine.trace);
}

#[test]
fn many_units_of_one_content_share_one_reload() {
    let mut machine = machine();
    let names: Vec<String> = (0..300).map(|number| format!("web@{number}.service")).collect();
    let units: Vec<_> = names.iter().map(|name| (name.as_str(), 1, LAUNCHED)).collect();
    machine.schedule(&schedule(1, &units));
    machine.pass(1_000);
    assert_eq!((machine.count("files"), machine.count("start"), machine.count("fetch")), (1, 300, 1));
}

#[test]
fn many_units_of_different_content_share_one_reload_too() {
    let mut machine = machine();
    let names: Vec<String> = (1..100).map(|number| format!("u{number}.service")).collect();
    let units: Vec<_> = names.iter().zip(1..).map(|(name, version)| (name.as_str(), version, LAUNCHED)).collect();
    machine.schedule(&schedule(1, &units));
    machine.pass(1_000);
    assert_eq!((machine.count("files"), machine.count("start")), (1, 99));
}

#[test]
fn a_text_that_does_not_come_holds_the_others_up_only_for_a_moment() {
    let mut machine = machine();
    machine.slow_texts.insert(hash(2));
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(200);
    assert_runs(&machine, &[(A, 1)]);
    assert!(!machine.files.contains_key(&name("b.service")));
}

#[test]
fn a_unit_that_ends_by_itself_is_not_started_again() {
    for end in ["inactive", "failed"] {
        let mut machine = running();
        machine.becomes(&name(A), end);
        machine.pass(60_000);
        assert_untouched(&machine);
        assert_eq!(machine.last_report().units[&name(A)].states.active, end);
    }
}

#[test]
fn from_launched_to_loaded_it_stops_and_stays_installed() {
    let mut machine = running();
    machine.schedule(&schedule(2, &[(A, 1, LOADED), ("b.service", 2, LAUNCHED)]));
    assert!(!machine.is_running(&name(A)));
    assert_eq!(machine.files[&name(A)], (hash(1), true));
    assert_eq!((machine.count("stop"), machine.count("files")), (1, 0));

    machine.schedule(&schedule(3, &[(A, 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    assert!(machine.is_running(&name(A)));
    assert_eq!(machine.runs[&name(A)].starts, 2);
    assert_runs(&machine, &[("b.service", 1)]);
}

#[test]
fn a_loaded_unit_that_its_socket_started_is_left_running() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(A, 1, LOADED)]));
    machine.trace.clear();
    machine.becomes(&name(A), "active");
    machine.pass(60_000);
    assert_untouched(&machine);
}

#[test]
fn a_finished_unit_that_is_stopped_and_launched_starts_again() {
    let mut machine = running();
    machine.becomes(&name(A), "inactive");
    machine.schedule(&schedule(2, &[(A, 1, LOADED), ("b.service", 2, LAUNCHED)]));
    assert_eq!(machine.count("stop"), 0);
    machine.schedule(&schedule(3, &[(A, 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    assert_eq!(machine.runs[&name(A)].starts, 2);
}

/// A daemon that starts where `A` was launched, and has not heard yet what runs; with the question that it asked.
fn unanswered() -> (Agent, Token) {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(A, 1, LAUNCHED)]));
    let mut agent = Agent::new();
    let installed = [(name(A), Installed { hash: hash(1), linked: true })].into();
    let boot = Event::Boot { held: machine.held, boot_id: "another".to_owned(), installed, copies: [].into() };
    let token = agent.handle(Millis(1), boot).into_iter().find_map(|effect| match effect {
        Effect::Observe { token, .. } => Some(token),
        _ => None,
    });
    (agent, token.unwrap())
}

/// What the agent does when it hears that `A` is in this state.
fn answered(agent: &mut Agent, token: Token, active: &str) -> Vec<Effect> {
    let states = UnitStates { load: "loaded".to_owned(), active: active.to_owned(), sub: String::new() };
    let units = vec![Observation { unit: name(A), states, since_unix_ms: None }];
    agent.handle(Millis(4), Event::Observed { token, units })
}

#[test]
fn a_unit_that_is_loaded_and_launched_before_anything_is_known_of_it_starts() {
    let (mut agent, token) = unanswered();
    let _ = agent.handle(Millis(2), Event::Schedule(schedule(2, &[(A, 1, LOADED)])));
    let _ = agent.handle(Millis(3), Event::Schedule(schedule(3, &[(A, 1, LAUNCHED)])));
    let effects = answered(&mut agent, token, "inactive");
    assert!(effects.contains(&Effect::Start(name(A))), "{effects:?}");
}

#[test]
fn a_unit_that_an_earlier_daemon_was_stopping_is_not_taken_for_running() {
    let (mut agent, token) = unanswered();
    let _ = agent.handle(Millis(3), Event::Schedule(schedule(1, &[(A, 1, LAUNCHED)])));
    let effects = answered(&mut agent, token, "deactivating");
    assert!(effects.contains(&Effect::Start(name(A))), "{effects:?}");
}

#[test]
fn an_unscheduled_unit_stops_leaves_and_is_forgotten() {
    let mut machine = running();
    machine.schedule(&schedule(2, &[("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    assert!(machine.position("stop a.service") < machine.position("files remove:a.service"));
    assert!(!machine.is_running(&name(A)) && !machine.files.contains_key(&name(A)));
    assert!(!machine.last_report().units.contains_key(&name(A)));
    assert!(!machine.held.started.contains_key(&name(A)));
    assert_runs(&machine, &[("b.service", 1)]);
}

#[test]
fn new_content_is_here_before_the_old_one_stops() {
    let mut machine = running();
    machine.texts.as_mut().unwrap().remove(&hash(3));
    machine.schedule(&schedule(2, &[(A, 3, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(60_000);
    assert_untouched(&machine);

    machine.texts = Some(all_texts());
    machine.send(flota_agent::Event::Connected);
    machine.pass(1_000);
    let order = ["fetch", "stop a.service", "files install:a.service", "start a.service"];
    assert!(order.map(|effect| machine.position(effect)).is_sorted(), "{:#?}", machine.trace);
    assert_eq!(machine.files[&name(A)], (hash(3), true));
    assert_eq!(machine.runs[&name(A)].starts, 2);
    assert_runs(&machine, &[("b.service", 1)]);
}

#[test]
fn a_unit_wanted_again_while_it_stops_ends_up_running() {
    let mut machine = running();
    machine.agent_only(schedule(2, &[("b.service", 2, LAUNCHED)]));
    machine.schedule(&schedule(3, &[(A, 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.runs.get_mut(&name(A)).unwrap().active = "inactive";
    machine.send(flota_agent::Event::Stopped(name(A), flota_agent::JobResult::Done));
    machine.pass(1_000);
    assert!(machine.is_running(&name(A)), "{:#?}", machine.trace);
}

#[test]
fn jobs_beyond_the_limit_get_their_turn() {
    let mut machine = machine();
    let names: Vec<String> = (0..200).map(|number| format!("web@{number}.service")).collect();
    let units: Vec<_> = names.iter().map(|name| (name.as_str(), 1, LAUNCHED)).collect();
    machine.schedule(&schedule(1, &units));
    assert_eq!(machine.runs.values().filter(|run| run.active == "active").count(), 200);
}

#[test]
fn starts_that_hang_do_not_keep_the_others_waiting() {
    let mut machine = machine();
    let names: Vec<String> = (0..200).map(|number| format!("web@{number:03}.service")).collect();
    let units: Vec<_> = names.iter().map(|name| (name.as_str(), 1, LAUNCHED)).collect();
    machine.hanging = names.iter().take(100).map(|text| name(text)).collect();
    machine.schedule(&schedule(1, &units));
    assert_eq!(machine.count("start"), 64, "no more at once");
    machine.pass(30_000);
    assert_eq!(machine.runs.values().filter(|run| run.active == "active").count(), 100);
    assert!(machine.runs.values().all(|run| run.starts == 1));
}
