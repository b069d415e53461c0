//! `restart`, which in fleet restarted nothing.

use crate::cluster::Cluster;

const ON_1: &str = "on f1ee0100.../10.1.1.1";

fn cluster(names: &[&str]) -> Cluster {
    let cluster = Cluster::new(1);
    for name in names {
        cluster.flota(&["start", &cluster.service(name)]);
    }
    cluster
}

#[test]
fn restart_stops_waits_and_starts() {
    let cluster = cluster(&["a.service", "b.service"]);
    let before = cluster.changes().len();
    let out = format!("Unit a.service launched {ON_1}\nUnit b.service launched {ON_1}\n");
    cluster.fleetctl(&["restart", "a", "b"]).check(0, &out, "");
    // Both are stopped at the same time, and none is started before systemd has stopped it.
    let expected = ["a.service state loaded", "b.service state loaded", "a.service state launched"];
    let expected = expected.map(|change| format!("PUT {change}"));
    assert_eq!(cluster.changes()[before..before + 3], expected);
    assert_eq!(cluster.changes().len(), before + 4);
    assert_eq!(cluster.hasty(), [""; 0]);
    let json = "{\"unit\":\"a.service\",\"result\":\"launched\",\"machineID\":\"f1ee0100aaaabbbbccccddddeeeeffff\"}\n";
    cluster.flota(&["restart", "--output=json", "a"]).check(0, json, "");
}

#[test]
fn a_loaded_unit_is_started() {
    let cluster = Cluster::new(1);
    cluster.flota(&["load", &cluster.service("a.service")]);
    cluster.flota(&["restart", "a"]).check(0, &format!("Unit a.service launched {ON_1}\n"), "");
}

#[test]
fn what_cannot_be_restarted() {
    let cluster = cluster(&["a.service"]);
    cluster.flota(&["submit", &cluster.service("idle.service")]);
    let expected = "Unable to restart unit idle.service in state inactive\nUnits not found in registry: nope.service\n";
    let out = format!("Unit a.service launched {ON_1}\n");
    cluster.flota(&["restart", "idle", "nope", "a"]).check(1, &out, expected);
    cluster.fleetctl(&["restart", "idle"]).check(1, "", expected.split_inclusive('\n').next().unwrap());
}

#[test]
fn a_unit_that_does_not_stop_in_time_stays_wanted() {
    let cluster = cluster(&["stuck.service"]);
    let ran = cluster.flota(&["restart", "--block-attempts=1", "stuck"]);
    assert_eq!((ran.code, ran.out.as_str()), (5, ""));
    let expected =
        "Error stopping unit stuck.service: still waiting for systemd to stop it (deactivating/stop-sigterm)";
    assert!(ran.err.starts_with(expected), "{ran:?}");
    assert_eq!(cluster.changes().last().unwrap(), "PUT stuck.service state launched");
}

#[test]
fn a_unit_that_fails_when_it_is_started_again() {
    let cluster = cluster(&["a.service", "fail.service"]);
    let ran = cluster.flota(&["restart", "a", "fail"]);
    assert_eq!((ran.code, ran.out), (4, format!("Unit a.service launched {ON_1}\n")));
    assert!(ran.err.starts_with("Error starting unit fail.service: it failed (failed/failed)"), "{}", ran.err);
}
