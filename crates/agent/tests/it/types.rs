//! The types of units, and that the trouble of one is no other's.

use super::*;

const SERVICE: &str = "web.service";
const SOCKET: &str = "web.socket";

fn problem(machine: &FakeMachine, unit: &str) -> Option<String> {
    machine.last_report().units[&name(unit)].problem.clone()
}

#[test]
fn every_type_is_installed_started_and_stopped() {
    for kind in ["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice"] {
        let unit = format!("x.{kind}");
        let mut machine = machine();
        machine.schedule(&schedule(1, &[(&unit, 1, LAUNCHED)]));
        machine.pass(1_000);
        assert_runs(&machine, &[(&unit, 1)]);
        machine.schedule(&schedule(2, &[(&unit, 1, LOADED)]));
        assert!(!machine.is_running(&name(&unit)), "{unit}");
        machine.schedule(&schedule(3, &[]));
        machine.pass(1_000);
        assert!(machine.files.is_empty(), "{unit}: {:#?}", machine.trace);
    }
}

#[test]
fn a_socket_does_not_start_its_service() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(SERVICE, 1, LOADED), (SOCKET, 2, LAUNCHED)]));
    machine.pass(60_000);
    assert_runs(&machine, &[(SOCKET, 1)]);
    assert!(!machine.is_running(&name(SERVICE)));
}

#[test]
fn a_service_waits_until_its_socket_is_open() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(SERVICE, 1, LAUNCHED), (SOCKET, 2, LAUNCHED), ("a.service", 3, LAUNCHED)]));
    machine.pass(1_000);
    assert_runs(&machine, &[(SOCKET, 1), (SERVICE, 1), ("a.service", 1)]);
    assert!(machine.position("start a.service") < machine.position("start web.socket"), "others do not wait");

    machine.reboot();
    machine.pass(10_000);
    assert_runs(&machine, &[(SOCKET, 1), (SERVICE, 1)]);
}

#[test]
fn what_came_before_its_service_starts_when_that_comes() {
    for kind in ["socket", "timer", "path"] {
        let unit = format!("web.{kind}");
        let mut machine = machine();
        machine.broken_starts.insert(name(&unit));
        machine.schedule(&schedule(1, &[(&unit, 2, LAUNCHED)]));
        machine.pass(60_000);
        assert_eq!(machine.count("start"), 1, "trying again without the service is no answer");
        machine.broken_starts.clear();
        machine.schedule(&schedule(2, &[(SERVICE, 1, LAUNCHED), (&unit, 2, LAUNCHED)]));
        machine.pass(1_000);
        assert_runs(&machine, &[(&unit, 2), (SERVICE, 1)]);
        assert_eq!(problem(&machine, &unit), None);
    }
}

#[test]
fn a_socket_that_hangs_or_fails_does_not_hold_its_service_up_for_ever() {
    let mut machine = machine();
    machine.hanging.insert(name(SOCKET));
    machine.schedule(&schedule(1, &[(SERVICE, 1, LAUNCHED), (SOCKET, 2, LAUNCHED)]));
    machine.pass(9_000);
    assert_eq!(machine.count("start"), 1);
    machine.pass(2_000);
    assert_runs(&machine, &[(SERVICE, 1)]);

    let mut machine = crate::machine();
    machine.broken_starts.insert(name(SOCKET));
    machine.schedule(&schedule(1, &[(SERVICE, 1, LAUNCHED), (SOCKET, 2, LAUNCHED)]));
    machine.pass(1_000);
    assert_runs(&machine, &[(SERVICE, 1)]);
}

#[test]
fn a_service_does_not_wait_for_new_content_of_its_socket_while_the_store_is_away() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(SERVICE, 1, LAUNCHED), (SOCKET, 2, LAUNCHED)]));
    machine.pass(1_000);
    machine.texts = None;
    machine.agent_only(schedule(2, &[(SERVICE, 1, LAUNCHED), (SOCKET, 3, LAUNCHED)]));
    machine.reboot();
    machine.pass(10_000);
    assert_runs(&machine, &[(SERVICE, 1)]);
}

#[test]
fn a_daemon_restart_leaves_a_socket_activated_service_alone() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[(SERVICE, 1, LOADED), (SOCKET, 2, LAUNCHED)]));
    machine.becomes(&name(SERVICE), "active");
    machine.restart_with(schedule(2, &[(SERVICE, 1, LOADED), (SOCKET, 2, LAUNCHED), ("b.service", 3, LOADED)]));
    machine.pass(60_000);
    assert!(machine.is_running(&name(SERVICE)));
    assert_eq!(machine.count("stop"), 0);
}

#[test]
fn what_runs_in_a_slice_outlives_changes_of_the_slice() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[("x.slice", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.schedule(&schedule(2, &[("x.slice", 3, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    assert_eq!(machine.files[&name("x.slice")].0, hash(3));
    machine.schedule(&schedule(3, &[("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    assert!(!machine.files.contains_key(&name("x.slice")));
    assert_eq!(machine.count("stop"), 0, "a slice takes down with it what runs in it");
}

#[test]
fn a_bad_install_section_is_told_and_stops_nothing() {
    let mut machine = machine();
    machine.bad_installs.insert(name("a.service"));
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    assert_runs(&machine, &[("a.service", 1), ("b.service", 1)]);
    assert_eq!(problem(&machine, "a.service").as_deref(), Some("bad [Install]"));
    assert_eq!(problem(&machine, "b.service"), None);
    assert_eq!(machine.count("files"), 1, "trying again is no answer");

    machine.bad_installs.clear();
    machine.schedule(&schedule(2, &[("a.service", 3, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(1_000);
    assert_eq!(problem(&machine, "a.service"), None);
}

#[test]
fn one_bad_unit_holds_no_other_up() {
    let mut machine = machine();
    let bad = ["a.service", "b.mount", "c.service", "d.service", "e.service", "f.service"].map(name);
    machine.bad_installs.insert(bad[0].clone());
    machine.unloadable = [(bad[1].clone(), "bad-setting"), (bad[2].clone(), "masked")].into();
    machine.broken_files.insert(bad[3].clone());
    machine.broken_starts.insert(bad[4].clone());
    machine.texts.as_mut().unwrap().remove(&hash(50));
    let good: Vec<String> = (0..20).map(|number| format!("good{number}.service")).collect();
    let mut units: Vec<_> = good.iter().map(|unit| (unit.as_str(), 1, LAUNCHED)).collect();
    units.extend(bad[..5].iter().map(|unit| (unit.as_str(), 2, LAUNCHED)));
    units.push((bad[5].as_str(), 50, LAUNCHED));
    machine.schedule(&schedule(1, &units));
    machine.pass(5_000);
    let expected: Vec<_> = good.iter().map(|unit| (unit.as_str(), 1)).collect();
    assert_runs(&machine, &expected);
    for unit in &bad {
        assert!(problem(&machine, unit.as_str()).is_some(), "{unit}");
    }

    // Nor do they hold up what comes later, and they leave when they are told to.
    machine.broken_files.clear();
    machine.unloadable.clear();
    machine.schedule(&schedule(2, &[(good[0].as_str(), 1, LAUNCHED), ("new.service", 3, LAUNCHED)]));
    machine.pass(1_000);
    assert_runs(&machine, &[(good[0].as_str(), 1), ("new.service", 1)]);
    assert_eq!(machine.files.len(), 2, "{:#?}", machine.trace);
}

#[test]
fn a_masked_unit_is_said_to_be_masked() {
    let mut machine = machine();
    machine.unloadable.insert(name("a.service"), "masked");
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED)]));
    machine.pass(200);
    assert!(problem(&machine, "a.service").unwrap().contains("systemctl unmask"));
    assert!(machine.files.is_empty());

    machine.unloadable.clear();
    machine.pass(10_000);
    assert_runs(&machine, &[("a.service", 1)]);
}

#[test]
fn a_file_that_systemd_does_not_load_is_a_problem_even_when_it_is_not_to_run() {
    let mut machine = machine();
    machine.schedule(&schedule(1, &[("x.mount", 1, LOADED)]));
    machine.unloadable.insert(name("x.mount"), "bad-setting");
    machine.send(flota_agent::Event::Changed(None));
    machine.pass(200);
    let why = problem(&machine, "x.mount").unwrap();
    assert_eq!(why, "systemd cannot load it (bad-setting): `systemctl status x.mount` on its machine says why");
}

#[test]
fn a_text_that_the_store_does_not_have_is_a_problem_and_asked_for_ever_more_slowly() {
    let mut machine = machine();
    machine.texts.as_mut().unwrap().remove(&hash(2));
    machine.schedule(&schedule(1, &[("a.service", 1, LAUNCHED), ("b.service", 2, LAUNCHED)]));
    machine.pass(100);
    assert_runs(&machine, &[("a.service", 1)]);
    let why = problem(&machine, "b.service").unwrap();
    assert_eq!(why, format!("its unit file {} is not in the store", hash(2).short()));
    machine.pass(10 * 60_000);
    assert!((10..20).contains(&machine.count("fetch")), "{}", machine.count("fetch"));

    machine.texts = Some(all_texts());
    machine.pass(60_000);
    assert_runs(&machine, &[("b.service", 1)]);
    assert_eq!(problem(&machine, "b.service"), None);
}
