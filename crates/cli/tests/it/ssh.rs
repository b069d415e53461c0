//! `ssh`, `status` and `journal` with a stand-in for ssh that writes down how it was called and ends with 7.

use crate::cluster::Cluster;

pub const SSH: &str = r#"
line=ssh
for word; do line="$line|$word"; done
echo "$line" >> DIR/ssh.log
exit 7
"#;

const M1: &str = "f1ee0100aaaabbbbccccddddeeeeffff";

fn cluster() -> Cluster {
    let cluster = Cluster::new(2);
    cluster.program("ssh", SSH);
    cluster.flota(&["start", &cluster.service("a.service")]);
    cluster
}

/// Runs a command that must end as ssh does, and returns how ssh was called.
#[track_caller]
fn called(cluster: &Cluster, arguments: &[&str]) -> String {
    let _ = std::fs::remove_file(cluster.path("ssh.log"));
    cluster.fleetctl(arguments).check(7, "", "");
    std::fs::read_to_string(cluster.path("ssh.log")).unwrap().trim_end().to_owned()
}

#[test]
fn ssh_to_machines_and_units() {
    let cluster = cluster();
    for (arguments, expected) in [
        (&["ssh", M1][..], "ssh|--|10.1.1.1"),
        (&["ssh", "f1ee02"], "ssh|--|10.1.1.2"),
        (&["ssh", "a.service", "uptime"], "ssh|--|10.1.1.1|uptime"),
        (&["ssh", "a", "--", "ls", "-l", "/"], "ssh|--|10.1.1.1|ls|-l|/"),
        (&["ssh", "a", "ls", "-l"], "ssh|--|10.1.1.1|ls|-l"),
        (&["ssh", "--machine", "f1ee02", "echo", "hi"], "ssh|--|10.1.1.2|echo|hi"),
        (&["ssh", "--unit=a", "--", "ls", "-l"], "ssh|--|10.1.1.1|ls|-l"),
        (&["ssh", "-A", "--ssh-port=2222", "a"], "ssh|-A|-p|2222|--|10.1.1.1"),
        (&["ssh", "--A", "a"], "ssh|-A|--|10.1.1.1"),
        (&["ssh", "--forward-agent", "--ssh-port=22", "a", "id"], "ssh|-A|-p|22|--|10.1.1.1|id"),
    ] {
        assert_eq!(called(&cluster, arguments), expected, "{arguments:?}");
    }
}

#[test]
fn ssh_options_from_flags_and_environment() {
    let cluster = cluster();
    let flags = ["--ssh-username=core", "--ssh-timeout=2.5", "--strict-host-key-checking=false", "ssh", "a"];
    let expected = "ssh|-o|ConnectTimeout=3|-o|StrictHostKeyChecking=no|-l|core|--|10.1.1.1";
    assert_eq!(called(&cluster, &flags), expected);
    assert_eq!(called(&cluster, &["--strict-host-key-checking", "ssh", "a"]), "ssh|--|10.1.1.1");
    let cluster = cluster.with("FLEETCTL_KNOWN_HOSTS_FILE", Some("/k")).with("FLEETCTL_SSH_USERNAME", Some("u"));
    assert_eq!(called(&cluster, &["ssh", "a"]), "ssh|-o|UserKnownHostsFile=\"/k\"|-l|u|--|10.1.1.1");
    assert_eq!(
        called(&cluster, &["status", "--ssh-username", "v", "a"]),
        "ssh|-o|UserKnownHostsFile=\"/k\"|-l|v|--|10.1.1.1|systemctl status -l a.service"
    );
}

#[test]
fn what_ssh_cannot_find() {
    let cluster = cluster();
    let none = "Unable to proceed: could not find matching unit or machine\n";
    for arguments in [&["ssh", "nope"][..], &["ssh", "--machine=nope"], &["ssh", "--unit=nope"], &["ssh", "x y"]] {
        cluster.fleetctl(arguments).check(1, "", none);
    }
    for arguments in [&["ssh", "f1ee"][..], &["ssh", "--machine=f1"]] {
        let ran = cluster.fleetctl(arguments);
        assert!(
            ran.err.starts_with("Unable to proceed: found more than one machine\nhint: they are f1ee0100"),
            "{ran:?}"
        );
        assert_eq!(ran.code, 1);
    }
    let both = "Both machine and unit flags provided, please specify only one.\n";
    cluster.fleetctl(&["ssh", "--machine=f1ee01", "--unit=a"]).check(1, "", both);
    cluster.flota(&["ssh"]).check(2, "", "Provide one machine or unit.\n");
    cluster.flota(&["start", &cluster.service("f1ee01.service")]);
    cluster.fleetctl(&["ssh", "f1ee01"]).check(
        1,
        "",
        "Unable to proceed: ambiguous argument, both machine and unit found for \"f1ee01\"\nhint: say which with \
         --machine f1ee01 or --unit f1ee01\n",
    );
    assert_eq!(called(&cluster, &["ssh", "--unit", "f1ee01"]), "ssh|--|10.1.1.1");
    cluster.flota(&["submit", &cluster.service("idle.service")]);
    cluster.flota(&["ssh", "idle"]).check(1, "", "Unable to proceed: unit idle.service is on no machine\n");
    cluster.machine("0000aaaa", "");
    let ran = cluster.flota(&["ssh", "0000"]);
    assert!(ran.code == 1 && ran.err.starts_with("Could not determine address of machine.\n"), "{ran:?}");
}

#[test]
fn on_this_machine_nothing_goes_through_ssh() {
    let cluster = Cluster::new(1).with("SHELL", Some("/bin/sh"));
    let Ok(id) = std::fs::read_to_string("/etc/machine-id") else { return };
    cluster.machine(id.trim(), "10.1.1.9");
    assert_eq!(cluster.fleetctl(&["ssh", "--machine", id.trim(), "exit", "5"]).code, 5);
    // There is no ssh to be found, so a word to another machine fails.
    let ran = cluster.fleetctl(&["ssh", M1, "exit 5"]);
    assert_eq!((ran.code, ran.err.starts_with("cannot run ssh: ")), (1, true), "{ran:?}");
}

#[test]
fn status_and_journal_run_on_the_units_machine() {
    let cluster = cluster();
    for (arguments, expected) in [
        (&["status", "a"][..], "systemctl status -l a.service"),
        (&["journal", "a"], "journalctl --unit a.service --no-pager -n 10 --output short"),
        (
            &["journal", "--lines", "3", "--output=cat", "--sudo", "a"],
            "sudo journalctl --unit a.service --no-pager -n 3 --output cat",
        ),
        (&["journal", "-f", "a"], "journalctl --unit a.service --no-pager -n 10 --output short -f"),
        (&["journal", "--f", "a"], "journalctl --unit a.service --no-pager -n 10 --output short -f"),
        (&["journal", "--follow", "a"], "journalctl --unit a.service --no-pager -n 10 --output short -f"),
    ] {
        assert_eq!(called(&cluster, arguments), format!("ssh|--|10.1.1.1|{expected}"), "{arguments:?}");
    }
    let port = called(&cluster, &["journal", "--ssh-port=2222", "a"]);
    assert!(port.starts_with("ssh|-p|2222|--|10.1.1.1|journalctl"), "{port}");
}

#[test]
fn status_of_several_units() {
    let cluster = cluster();
    cluster.flota(&["start", &cluster.service("b.service")]);
    let ran = cluster.fleetctl(&["status", "a", "b"]);
    // The line between them; what systemctl says does not come through here.
    ran.check(7, "\n", "");
    assert_eq!(std::fs::read_to_string(cluster.path("ssh.log")).unwrap().lines().count(), 2);
    std::fs::remove_file(cluster.path("ssh.log")).unwrap();
    assert_eq!(
        cluster.flota(&["journal", "?"]).err,
        "==> a.service on f1ee0100.../10.1.1.1 <==\n==> b.service on f1ee0100.../10.1.1.1 <==\n"
    );
}
