//! Patterns over the units that the cluster has.

use crate::cluster::Cluster;

fn cluster() -> Cluster {
    let cluster = Cluster::new(1);
    cluster.flota(&["submit", &cluster.service("web@.service")]);
    cluster.flota(&["start", "web@1", "web@2", &cluster.service("db.service")]);
    cluster
}

#[test]
fn stop_unload_destroy() {
    let cluster = cluster();
    let ran = cluster.flota(&["stop", "web@*"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{ran:?}");
    assert_eq!(ran.err, "Successfully stopped units [web@1.service web@2.service].\n");
    let ran = cluster.flota(&["unload", "web@?.service", "web@1"]);
    ran.check(
        0,
        "Unit web@1.service inactive\nUnit web@2.service inactive\n",
        "Successfully unloaded units [web@1.service web@2.service].\n",
    );
    cluster.flota(&["destroy", "web@[0-9]"]).check(0, "Destroyed web@1.service\nDestroyed web@2.service\n", "");
    assert_eq!(cluster.flota(&["list-unit-files", "--no-legend", "--fields=unit"]).out, "db.service\nweb@.service\n");
}

#[test]
fn restart_and_cat() {
    let cluster = cluster();
    let ran = cluster.flota(&["restart", "web@*"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{ran:?}");
    let text = "[Service]\nExecStart=/bin/sleep 100\n";
    let expected = format!("# web@1.service\n{text}\n# web@2.service\n{text}");
    cluster.flota(&["cat", "web@[12]*"]).check(0, &expected, "");
    cluster.flota(&["cat", "d*"]).check(0, text, "");
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error() {
    let cluster = cluster();
    let before = cluster.changes();
    for verb in ["stop", "unload", "destroy", "restart", "status", "cat", "journal"] {
        cluster.flota(&[verb, "nope*"]).check(1, "", "No unit matches \"nope*\"\n");
    }
    // Even beside one that matches.
    cluster.flota(&["stop", "web@*", "nope*"]).check(1, "", "No unit matches \"nope*\"\n");
    assert_eq!(cluster.changes(), before);
}

#[test]
fn braces_and_patterns_that_the_shell_left() {
    let cluster = cluster();
    cluster.fleetctl(&["submit", "foo@{1,3}.service"]).check(
        1,
        "",
        "Invalid unit name \"foo@{1,3}.service\": invalid character '{' in unit name\nhint: the shell makes names of \
         braces only where they are not quoted: web@{1..3}.service\n",
    );
    let ran = cluster.flota(&["start", "web@*"]);
    assert!(ran.code == 2 && ran.err.contains("hint: patterns are for units that the cluster has"), "{ran:?}");
}
