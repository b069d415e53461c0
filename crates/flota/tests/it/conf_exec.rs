//! `flota conf exec` as a process: the child's start, its signals, its restarts, its end; as the first process of a container.

use std::fs;
use std::process::Command;

use crate::conf_rig::{Place, Running, signal, until};

/// Writes down that it began and what it saw of the file, and each signal; ends with 7 when told to.
const SERVER: &str = "echo begun $(cat OUT/a) >> OUT/log\n\
    trap 'echo HUP $(cat OUT/a) >> OUT/log' HUP\n\
    trap 'echo USR1 >> OUT/log' USR1\n\
    trap 'echo TERM >> OUT/log; exit 7' TERM\n\
    while :; do sleep 0.02; done";

fn started(place: &Place) -> Running {
    let running = place.start(place.flota("exec", &["--", "sh", "-c", SERVER]));
    place.eventually("log", "begun k is 1\n");
    running
}

#[test]
fn the_command_starts_when_its_files_are_there_and_its_exit_code_is_passed_on() {
    let place = Place::with_one("");
    place.keys("other: 1");
    let mut running = place.start(place.flota("exec", &["--", "sh", "-c", "cat OUT/a > OUT/seen; exit 3"]));
    until("the missing key is told", || place.log().contains("/k"));
    assert_eq!(place.names(), [""; 0], "nothing was started");
    place.keys("k: 1");
    assert_eq!(running.ended().code(), Some(3));
    assert_eq!(place.read("seen"), "k is 1\n");
    let ended_by_signal = place.flota("exec", &["--", "sh", "-c", "kill -USR1 $$"]).status().unwrap();
    assert_eq!(ended_by_signal.code(), Some(128 + 10));
    let not_there = place.flota("exec", &["--", "/nowhere/at/all"]).output().unwrap();
    assert_eq!(not_there.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&not_there.stderr).contains("cannot start /nowhere/at/all"));
}

#[test]
fn signals_are_passed_on_and_the_end_of_the_command_is_the_end() {
    let place = Place::with_one("");
    let mut running = started(&place);
    running.signal("USR1");
    place.eventually("log", "begun k is 1\nUSR1\n");
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(7));
    assert_eq!(place.read("log"), "begun k is 1\nUSR1\nTERM\n");
}

#[test]
fn a_change_restarts_a_command_without_a_reload_of_its_own() {
    let place = Place::with_one("");
    let mut running = started(&place);
    place.keys("k: 2");
    place.eventually("log", "begun k is 1\nTERM\nbegun k is 2\n");
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(7));
}

#[test]
fn a_change_signals_a_command_whose_resource_says_so() {
    let place = Place::with_one("signal = \"HUP\"\n");
    let _running = started(&place);
    place.keys("k: 2");
    place.eventually("log", "begun k is 1\nHUP k is 2\n");
}

#[test]
fn hangup_reads_the_settings_again_while_a_command_is_supervised() {
    let place = Place::with_one("signal = \"HUP\"\n");
    place.keys("k: 1\nother: {k: 2}");
    let running = started(&place);
    fs::write(place.path("confd.toml"), "prefix = \"/other\"\n").unwrap();
    running.signal("HUP");
    place.eventually("log", "begun k is 1\nHUP k is 2\n");
    fs::write(place.path("confd.toml"), "prefix = 7\n").unwrap();
    running.signal("HUP");
    until("the mistake is told", || place.log().contains("the settings stay as they are"));
    place.keys("k: 1\nother: {k: 3}");
    place.eventually("log", "begun k is 1\nHUP k is 2\nHUP k is 3\n");
}

#[test]
fn a_command_that_is_told_to_end_in_the_middle_of_a_restart_is_not_started_again() {
    let place = Place::with_one("");
    let slow = SERVER.replace("exit 7", "sleep 1; exit 7");
    let mut running = place.start(place.flota("exec", &["--", "sh", "-c", &slow]));
    place.eventually("log", "begun k is 1\n");
    place.keys("k: 2");
    place.eventually("log", "begun k is 1\nTERM\n");
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(7));
    assert!(!place.read("log").contains("begun k is 2"), "{}", place.read("log"));
}

#[test]
fn as_the_first_process_of_a_container_it_takes_in_orphans_and_passes_signals_on() {
    if !Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).status().unwrap().success() {
        // Only root may.
        return;
    }
    let place = Place::with_one("");
    // The parent of `sleep` is gone at once; `Z` is the state of whom nobody takes in.
    let orphans = "for n in 1 2 3 4 5; do sh -c 'sleep 0.1 & :'; done; sleep 1\n\
        cat /proc/[0-9]*/status > OUT/processes\n";
    let flota = place.flota("exec", &["--", "sh", "-c", &format!("{orphans}{SERVER}")]);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(flota.get_program()).args(flota.get_args());
    command.env("FLOTA_CONF_STATE", place.path("state"));
    let mut running = place.start(command);
    place.eventually("log", "begun k is 1\n");
    let processes = place.read("processes");
    assert!(processes.contains("Pid:\t1\n") && !processes.contains("State:\tZ"), "{processes}");
    let outer = running.child.id();
    let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    signal(children.trim().parse().unwrap(), "TERM");
    assert_eq!(running.ended().code(), Some(7));
    assert!(place.read("log").ends_with("TERM\n"));
}
