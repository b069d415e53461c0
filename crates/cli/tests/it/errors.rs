//! What goes wrong: each a clear message, a code that is not zero, and nothing changed.

use expect_test::expect;

use crate::cluster::{Cluster, run};

#[test]
fn no_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    for (verb, what) in [
        (&["list-units"][..], "Error retrieving list of units from repository"),
        (&["list-machines"], "Error retrieving list of active machines"),
        (&["start", "a"], "Error retrieving unit a.service"),
        (&["destroy", "a"], "Error retrieving unit a.service"),
    ] {
        let why = format!("cannot connect to unix://{}: No such file or directory (os error 2)", socket.display());
        let hint = "hint: is flota.service running? try: systemctl status flota\n";
        run("flota", verb, &socket).check(69, "", &format!("{what}: {why}\n{hint}"));
        let expected = match verb {
            ["list-machines"] => format!(
                "{what} from fleet API ({why})\nPossible issues:\n\t* no daemon answers at the endpoint\n\t* the daemon \
                 cannot reach its store\n{hint}"
            ),
            _ => format!("{what}: {why}\n{hint}"),
        };
        run("fleetctl", verb, &socket).check(1, "", &expected);
    }
}

#[test]
fn wrong_endpoints() {
    let cluster = Cluster::new(0);
    let ran = cluster.fleetctl(&["--endpoint", "unix://var/run/x.sock", "list-units"]);
    let expected = "Unable to initialize client: unable to connect to host \"var\" with scheme \"unix\"\n";
    assert!(ran.err.starts_with(expected), "{ran:?}");
    assert_eq!(ran.code, 1);
    let ran = cluster.flota(&["--endpoint", "/run/x.sock", "list-units"]);
    assert!(ran.err.starts_with("Unable to initialize client: URL scheme undefined\nhint: "), "{ran:?}");
    assert_eq!(ran.code, 2);
}

#[test]
fn unknown_units() {
    let cluster = Cluster::new(1);
    for verb in ["stop", "restart", "unload", "destroy"] {
        let expected = "Units not found in registry: nope.service, nada.service\n";
        cluster.flota(&[verb, "nope", "nada"]).check(1, "", expected);
    }
    cluster.flota(&["status", "nope"]).check(1, "", "Unit nope.service does not exist.\n");
    cluster.flota(&["journal", "nope"]).check(1, "", "Unit nope.service does not exist.\n");
    cluster.flota(&["why", "nope"]).check(1, "", "Unit nope.service does not exist.\n");
    cluster.flota(&["cat", "nope"]).check(1, "", "Unit nope.service not found\n");
    cluster.flota(&["start", "nope"]).check(
        1,
        "",
        "Error creating units: unable to find Unit(nope.service) in Registry or on filesystem\n",
    );
    cluster.flota(&["load", "nope@1"]).check(
        1,
        "",
        "Error creating units: unable to find template Unit(nope@.service) in Registry or on filesystem\n",
    );
    assert_eq!(cluster.changes(), [""; 0]);
}

#[test]
fn known_units_are_stopped_beside_unknown_ones() {
    let cluster = Cluster::new(1);
    cluster.flota(&["start", &cluster.service("a.service")]);
    cluster.flota(&["stop", "a", "nope"]).check(
        1,
        "Unit a.service loaded on f1ee0100.../10.1.1.1\n",
        "Units not found in registry: nope.service\nSuccessfully stopped units [a.service].\n",
    );
}

#[test]
fn units_that_are_nowhere() {
    let cluster = Cluster::new(1);
    cluster.flota(&["submit", &cluster.service("a.service")]);
    cluster.flota(&["status", "a"]).check(1, "", "Unit a.service does not appear to be loaded.\n");
    cluster.flota(&["journal", "a"]).check(1, "", "Unit a.service does not appear to be running.\n");
}

#[test]
fn bad_files_are_shown_and_nothing_is_submitted() {
    let cluster = Cluster::new(1);
    let good = cluster.service("good.service");
    let typo = cluster.file("typo.service", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nConflict=x*\n");
    let latin = cluster.file("latin.service", b"[Service]\nExecStart=/bin/echo caf\xe9\n");
    let empty = cluster.file("empty.service", "");
    let ran = cluster.flota(&["start", &good, &typo, &latin, &empty]);
    expect![[r"
        DIR/typo.service:4:1: error: unknown option Conflict in [X-Fleet]
          Conflict=x*
          ^
        hint: did you mean Conflicts?
        DIR/latin.service:2:24: error: byte 0xe9 is not UTF-8
          ExecStart=/bin/echo caf�
                                 ^
        hint: convert the file, for example: iconv -f latin1 -t utf-8
        DIR/empty.service: error: unit file is empty
        hint: a service needs at least [Service] and ExecStart=
        nothing was submitted
    "]]
    .assert_eq(&ran.err);
    assert_eq!((ran.code, ran.out.as_str()), (65, ""));
    assert_eq!(cluster.changes(), [""; 0]);
    assert_eq!(cluster.fleetctl(&["submit", &typo]).code, 1);
}

#[test]
fn files_that_cannot_be_read() {
    let cluster = Cluster::new(1);
    std::fs::create_dir(cluster.path("d.service")).unwrap();
    let ran = cluster.flota(&["submit", cluster.path("d.service").to_str().unwrap()]);
    let expected = "DIR/d.service: error: cannot read unit file: Is a directory (os error 21)\n";
    ran.check(65, "", expected);
    let long = cluster.file("long.service", vec![b'x'; 2_000_000]);
    let ran = cluster.flota(&["submit", &long]);
    assert_eq!(ran.code, 65);
    assert!(ran.err.starts_with("DIR/long.service: error: "), "{ran:?}");
}

#[test]
fn bad_command_lines() {
    let cluster = Cluster::new(1);
    for verb in ["submit", "load", "start", "stop", "restart", "unload", "destroy", "status"] {
        cluster.flota(&[verb]).check(2, "", "No units given\n");
        cluster.fleetctl(&[verb]).check(1, "", "No units given\n");
    }
    cluster.flota(&["cat"]).check(2, "", "One unit file must be provided\n");
    cluster.flota(&["start", "a b"]).check(2, "", "Invalid unit name \"a b\": invalid character ' ' in unit name\n");
    let ran = cluster.fleetctl(&["frob"]);
    ran.check(1, "", "Error: unknown command \"frob\" for \"fleetctl\"\nRun 'fleetctl help' for usage.\n");
    let ran = cluster.flota(&["frob"]);
    assert!(ran.err.contains("unrecognized subcommand 'frob'"), "{ran:?}");
    assert_eq!(ran.code, 2);
}

#[test]
fn help_and_version() {
    let cluster = Cluster::new(0);
    let help = cluster.flota(&["--help"]);
    assert!(help.code == 0 && help.out.contains("A first session:"), "{help:?}");
    assert!(help.out.contains("lab") && help.out.contains("why"));
    let bare = cluster.flota(&[]);
    assert!(bare.code == 2 && bare.err.contains("Usage: flota"), "{bare:?}");
    let bare = cluster.fleetctl(&[]);
    assert!(bare.code == 0 && bare.out.contains("Usage: fleetctl") && !bare.out.contains("  lab"), "{bare:?}");
    let version = format!("fleetctl version {}\n", env!("CARGO_PKG_VERSION"));
    cluster.fleetctl(&["--version"]).check(0, &version, "");
    cluster.fleetctl(&["version"]).check(0, &version, "");
}
