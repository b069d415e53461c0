//! Global flags, short forms, and what fleet's command line got wrong.

use crate::cluster::Cluster;

fn cluster() -> Cluster {
    let cluster = Cluster::new(1);
    cluster.flota(&["start", &cluster.service("a.service")]);
    cluster
}

const LISTED: &str = "f1ee0100aaaabbbbccccddddeeeeffff\n";

#[test]
fn documented_short_forms_work() {
    let cluster = cluster();
    for flag in ["-l", "--l", "--full", "--full=true", "-l=true"] {
        let ran = cluster.fleetctl(&["list-machines", flag, "--no-legend", "--fields=machine"]);
        ran.check(0, LISTED, "");
    }
    let ran = cluster.fleetctl(&["list-machines", "--full=false", "--no-legend=1", "--fields=machine"]);
    ran.check(0, "f1ee0100...\n", "");
    let ran = cluster.fleetctl(&["list-units", "-l", "--no-legend", "--fields=hash"]);
    ran.check(0, "1c6fb6f3684bafb0c173d8b8b957ceff031180c1\n", "");
}

#[test]
fn debug_works_on_the_command_line() {
    let cluster = cluster();
    for flag in ["--debug", "--debug=true"] {
        let ran = cluster.fleetctl(&[flag, "list-machines", "--no-legend", "-l", "--fields=machine"]);
        ran.check(0, LISTED, "DEBUG endpoint unix://DIR/api.sock\n");
    }
    let ran = cluster.with("FLEETCTL_DEBUG", Some("true")).fleetctl(&[
        "list-machines",
        "-l",
        "--fields=machine",
        "--no-legend",
    ]);
    ran.check(0, LISTED, "DEBUG endpoint unix://DIR/api.sock\n");
}

#[test]
fn usage_errors_never_exit_zero() {
    let cluster = cluster();
    for arguments in [
        &["frob"][..],
        &["--frob", "list-units"],
        &["list-units", "--frob"],
        &["list-units", "-x"],
        &["status", "--no-block", "a"],
        &["start", "--block-attempts=x", "a"],
        &["start", "--block-attempts=-1", "a"],
        &["journal", "--lines=many", "a"],
        &["journal"],
        &["ssh", "--ssh-port=0x", "a"],
        &["fd-forward"],
        &["list-units", "--full=maybe"],
        &["--endpoint"],
        &["--debug=maybe", "list-units"],
        &["st", "a"],
        &["submit"],
        &["cat"],
    ] {
        let ran = cluster.fleetctl(arguments);
        assert!(ran.code == 1 && ran.out.is_empty() && !ran.err.is_empty(), "{arguments:?}: {ran:?}");
        let ran = cluster.flota(arguments);
        assert!(ran.code == 2 && ran.out.is_empty() && !ran.err.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn drivers_and_tls() {
    let cluster = cluster();
    let api = cluster.fleetctl(&["--driver=API", "list-machines", "-l", "--fields=machine", "--no-legend"]);
    api.check(0, LISTED, "");
    let ran = cluster.fleetctl(&["--driver", "foo", "list-units"]);
    ran.check(1, "", "Unable to initialize client: unrecognized driver \"foo\"\n");
    let ran = cluster.fleetctl(&["--driver=etcd", "list-units"]);
    ran.check(
        1,
        "",
        "Unable to initialize client: driver \"etcd\" is not offered, only the daemon speaks to the store\nhint: leave \
         out --driver and FLEETCTL_DRIVER, and name a daemon with --endpoint unix:///run/flota/api.sock\n",
    );
    let ran = cluster.fleetctl(&["--ca-file=/ca.pem", "list-units"]);
    let tls = "Unable to initialize client: --ca-file is given, but the API has no TLS\n";
    assert!(ran.code == 1 && ran.err.starts_with(tls), "{ran:?}");
    let ran = cluster.fleetctl(&["--endpoint=https://x", "list-units"]);
    assert!(ran.err.ends_with("hint: the API has no TLS; reach a daemon elsewhere through ssh, with --tunnel HOST\n"));
}

#[test]
fn flags_without_effect_are_accepted() {
    let cluster = cluster();
    let ran = cluster.fleetctl(&[
        "--etcd-key-prefix=/_coreos.com/fleet/",
        "--request-timeout=3.0",
        "--experimental-api",
        "--etcd-cafile=/a",
        "--etcd-certfile=/b",
        "--etcd-keyfile=/c",
        "list-machines",
        "-l",
        "--no-legend",
        "--fields=machine",
    ]);
    ran.check(0, LISTED, "");
    cluster.fleetctl(&["submit", "--sign", "a"]).check(0, "", "");
}

#[test]
fn only_the_first_endpoint_is_used() {
    let cluster = cluster();
    let list = format!("unix://{},http://127.0.0.1:1", cluster.path("api.sock").display());
    let ran = cluster.fleetctl(&["--endpoint", &list, "list-machines", "-l", "--no-legend", "--fields=machine"]);
    let warning = "WARNING: multiple endpoints provided but only the first (unix://DIR/api.sock) is used\n";
    ran.check(0, LISTED, warning);
    let cluster = cluster.with("FLEETCTL_ENDPOINT", Some("unix:///nowhere/api.sock"));
    assert!(cluster.fleetctl(&["list-units"]).err.contains("cannot connect to unix:///nowhere/api.sock"));
}

#[test]
fn version_and_help_in_all_their_forms() {
    let cluster = Cluster::new(0);
    let version = format!("fleetctl version {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["--version"][..], &["-v"], &["version"], &["vers"]] {
        cluster.fleetctl(arguments).check(0, &version, "");
    }
    for arguments in [&["--help"][..], &["-h"], &["--h"], &["help"], &[]] {
        let ran = cluster.fleetctl(arguments);
        assert!(ran.code == 0 && ran.out.contains("Usage: fleetctl") && ran.err.is_empty(), "{arguments:?}: {ran:?}");
    }
    for arguments in [&["help", "start"][..], &["start", "--help"], &["start", "--h"]] {
        let ran = cluster.fleetctl(arguments);
        assert!(ran.code == 0 && ran.out.contains("--block-attempts"), "{arguments:?}: {ran:?}");
    }
    assert_eq!(cluster.fleetctl(&["help", "frob"]).code, 1);
}

#[test]
fn verify_is_deprecated() {
    for ran in [Cluster::new(0).fleetctl(&["verify", "a"]), Cluster::new(0).flota(&["verify"])] {
        let expected = "WARNING: verify is deprecated: fleet gave up signed units, there is nothing to verify\n";
        ran.check(2, "", expected);
    }
}
