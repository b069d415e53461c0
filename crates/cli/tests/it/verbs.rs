//! What the verbs do to units, and what they print.

use crate::cluster::Cluster;

const ON_1: &str = "on f1ee0100.../10.1.1.1";
const ON_2: &str = "on f1ee0200.../10.1.1.2";

#[test]
fn the_life_of_a_unit() {
    let cluster = Cluster::new(2);
    let hello = cluster.service("hello.service");
    cluster.flota(&["submit", &hello]).check(0, "Unit hello.service inactive\n", "");
    cluster.flota(&["submit", &hello]).check(0, "", "");
    cluster.flota(&["load", "hello"]).check(0, &format!("Unit hello.service loaded {ON_1}\n"), "");
    cluster.flota(&["start", "hello"]).check(0, &format!("Unit hello.service launched {ON_1}\n"), "");
    let stopped = format!("Unit hello.service loaded {ON_1}\n");
    cluster.flota(&["stop", "hello"]).check(0, &stopped, "Successfully stopped units [hello.service].\n");
    cluster.flota(&["stop", "hello"]).check(0, "", "Successfully stopped units [].\n");
    let unloaded = "Successfully unloaded units [hello.service].\n";
    cluster.flota(&["unload", "hello"]).check(0, "Unit hello.service inactive\n", unloaded);
    cluster.flota(&["stop", "hello"]).check(1, "", "Unable to stop unit hello.service in state inactive\n");
    cluster.flota(&["cat", "hello"]).check(0, "[Service]\nExecStart=/bin/sleep 100\n", "");
    cluster.flota(&["destroy", "hello"]).check(0, "Destroyed hello.service\n", "");
    assert_eq!(
        cluster.changes(),
        [
            "PUT hello.service file inactive",
            "PUT hello.service state loaded",
            "PUT hello.service state launched",
            "PUT hello.service state loaded",
            "PUT hello.service state inactive",
            "DELETE hello.service",
        ]
    );
}

#[test]
fn start_submits_and_fleetctl_tells_of_it() {
    let cluster = Cluster::new(1);
    let hello = cluster.service("hello.service");
    let expected = format!("Unit hello.service inactive\nUnit hello.service launched {ON_1}\n");
    cluster.fleetctl(&["start", &hello]).check(0, &expected, "");
    cluster.flota(&["start", &hello]).check(0, &format!("Unit hello.service launched {ON_1}\n"), "");
}

#[test]
fn results_for_programs() {
    let cluster = Cluster::new(1);
    let hello = cluster.service("hello.service");
    let expected =
        concat!(r#"{"unit":"hello.service","result":"launched","machineID":"f1ee0100aaaabbbbccccddddeeeeffff"}"#, "\n");
    cluster.flota(&["start", "--output", "json", &hello]).check(0, expected, "");
    let expected = "{\"unit\":\"hello.service\",\"result\":\"destroyed\"}\n";
    cluster.flota(&["destroy", "--output=json", "hello"]).check(0, expected, "");
}

#[test]
fn instances_come_from_the_template_beside_them_or_in_the_cluster() {
    let cluster = Cluster::new(3);
    let template = cluster.file(
        "web@.service",
        "[Service]\nExecStart=/bin/web %i\n[X-Fleet]\nConflicts=web@*\nMachineMetadata=n=1 n=2\n",
    );
    let one = cluster.path("web@1.service");
    let ran = cluster.flota(&["start", one.to_str().unwrap()]);
    assert!(
        ran.code == 65 && ran.err.starts_with("DIR/web@.service:5:17: error: "),
        "a malformed value must not pass: {ran:?}"
    );
    cluster.file(
        "web@.service",
        "[Service]\nExecStart=/bin/web %i\n[X-Fleet]\nConflicts=web@*\nMachineMetadata=\"n=1\" \"n=2\"\n",
    );
    let ran = cluster.flota(&["start", one.to_str().unwrap()]);
    ran.check(0, &format!("Unit web@1.service launched {ON_1}\n"), "");
    cluster.flota(&["submit", &template]).check(0, "Unit web@.service inactive\n", "");
    cluster.flota(&["start", "web@2"]).check(0, &format!("Unit web@2.service launched {ON_2}\n"), "");
    // A third one finds no place; the reason stands there for each machine, and the code says so.
    let ran = cluster.flota(&["start", "web@3"]);
    expect_test::expect![[r"
        Error starting unit web@3.service: no machine can take it
          f1ee0100.../10.1.1.1: conflicts with web@1.service
          f1ee0200.../10.1.1.2: conflicts with web@2.service
          f1ee0300.../10.1.1.3: its metadata does not match
        hint: it stays launched and goes to the first machine that can take it; give up with: flota unload web@3.service
    "]]
    .assert_eq(&ran.err);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert_eq!(cluster.fleetctl(&["start", "web@3"]).code, 1);
    cluster.flota(&["start", "web@"]).check(
        1,
        "",
        "cannot activate template \"web@.service\"\nhint: start an instance of it, such as web@1.service\n",
    );
}

#[test]
fn several_units_each_with_its_own_end() {
    let cluster = Cluster::new(1);
    let paths = ["a.service", "fail.service", "once.service"].map(|name| cluster.service(name));
    let ran = cluster.flota(&["start", &paths[0], &paths[1], &paths[2]]);
    let out = format!("Unit a.service launched {ON_1}\nUnit once.service launched {ON_1}\n");
    let err = format!(
        "Error starting unit fail.service: it failed (failed/failed) {ON_1}\nhint: see why with: flota journal \
         fail.service\nUnit once.service is not running: it has ended, or one of its conditions is not met\n"
    );
    ran.check(4, &out, &err);
}

#[test]
fn a_unit_that_only_restarts_has_not_started() {
    let cluster = Cluster::new(1);
    let ran = cluster.flota(&["start", &cluster.service("loop.service")]);
    assert_eq!((ran.code, ran.out.as_str()), (4, ""));
    assert!(ran.err.starts_with("Error starting unit loop.service: it ends and systemd starts it again"), "{ran:?}");
}

#[test]
fn a_daemon_that_refuses_for_a_moment_is_waited_for() {
    let cluster = Cluster::new(1);
    let ran = cluster.flota(&["start", &cluster.service("flaky.service")]);
    ran.check(0, &format!("Unit flaky.service launched {ON_1}\n"), "");
}

#[test]
fn the_error_of_the_machine_is_told() {
    let cluster = Cluster::new(1);
    let ran = cluster.flota(&["start", &cluster.service("broken.service")]);
    assert_eq!(ran.code, 4);
    let expected = format!("Error starting unit broken.service: cannot link the unit file {ON_1}\n");
    assert!(ran.err.starts_with(&expected), "{ran:?}");
}

#[test]
fn what_is_active_only_for_a_moment_has_failed() {
    let cluster = Cluster::new(1);
    let ran = cluster.flota(&["start", &cluster.service("brief.service")]);
    assert_eq!((ran.code, ran.out.as_str()), (4, ""));
    assert!(ran.err.starts_with("Error starting unit brief.service: it failed (failed/failed)"), "{ran:?}");
}

#[test]
fn without_machines_and_with_attempts() {
    let cluster = Cluster::new(0);
    let a = cluster.service("a.service");
    let ran = cluster.flota(&["start", &a]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.starts_with("Error starting unit a.service: the cluster has no machines\n"), "{ran:?}");
    let ran = cluster.fleetctl(&["start", "--block-attempts=1", &a]);
    let expected = "Error starting unit a.service: still waiting for a machine that fits after 2 s";
    assert!(ran.err.starts_with(expected), "{ran:?}");
    assert_eq!(ran.code, 1);
    assert_eq!(cluster.flota(&["start", "--block-attempts=1", &a]).code, 5);
}

#[test]
fn without_waiting() {
    let cluster = Cluster::new(1);
    let a = cluster.service("a.service");
    cluster.flota(&["start", "--no-block", &a]).check(0, "Triggered unit a.service start\n", "");
    let stopped = "Successfully stopped units [a.service].\n";
    cluster.flota(&["stop", "--no-block", "a"]).check(0, "Triggered unit a.service stop\n", stopped);
}

#[test]
fn global_units_are_not_waited_for() {
    let cluster = Cluster::new(1);
    let path = cluster.file("g.service", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\n");
    cluster.flota(&["start", &path]).check(0, "Triggered global unit g.service start\n", "");
    let stopped = "Successfully stopped units [g.service].\n";
    cluster.flota(&["stop", "g"]).check(0, "Triggered global unit g.service stop\n", stopped);
    cluster.flota(&["destroy", "g"]).check(0, "Destroyed g.service\n", "");
}

#[test]
fn what_somebody_else_changed_in_between_is_not_overwritten() {
    let cluster = Cluster::new(1);
    let raced = cluster.service("raced.service");
    let refused = "Error creating units: unit raced.service was changed by somebody else in this moment; nothing was \
                   overwritten\nhint: look at it with: flota cat raced.service; then try again\n";
    cluster.flota(&["submit", &raced]).check(1, "", refused);
    assert!(cluster.changes().is_empty(), "no PUT came through");
}

#[test]
fn a_changed_file_is_told_and_replaced_on_request() {
    let cluster = Cluster::new(1);
    let a = cluster.service("a.service");
    cluster.flota(&["start", &a]);
    cluster.flota(&["submit", "--replace", &a]).check(0, "", "Found same Unit(a.service) in Registry, nothing to do\n");
    cluster.file("a.service", "[Service]\nExecStart=/bin/sleep 200\n");
    let warning = "WARNING: Unit a.service in registry differs from local unit file DIR/a.service. Add --replace to \
                   override.\n";
    cluster.flota(&["start", &a]).check(0, &format!("Unit a.service launched {ON_1}\n"), warning);
    let refused = "can not replace Unit(a.service) in state 'launched', use the appropriate command\n";
    cluster.flota(&["load", "--replace", &a]).check(1, "", refused);
    cluster.flota(&["start", "--replace", &a]).check(0, &format!("Unit a.service launched {ON_1}\n"), "");
    assert_eq!(cluster.flota(&["cat", "a"]).out, "[Service]\nExecStart=/bin/sleep 200\n");
}

#[test]
fn why() {
    let cluster = Cluster::new(1);
    cluster.flota(&["submit", &cluster.service("a.service")]);
    let ran = cluster.flota(&["why", "a"]);
    expect_test::expect![[r"
        a.service: should be inactive, is on no machine

        MACHINE               ELIGIBLE  REASON
        f1ee0100.../10.1.1.1  yes       -
    "]]
    .assert_eq(&ran.out);
    assert!(cluster.flota(&["why", "a", "--output=json"]).out.contains("\"eligible\": true"));
}
