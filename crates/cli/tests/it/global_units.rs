//! Global units: every machine is shown, where fleet showed nothing.

use crate::{cluster::Cluster, ssh::SSH};

fn cluster() -> Cluster {
    let cluster = Cluster::new(2);
    cluster.program("ssh", SSH);
    let path = cluster.file("g.service", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\n");
    cluster.flota(&["start", &path]).check(0, "Triggered global unit g.service start\n", "");
    cluster
}

#[test]
fn list_units_shows_every_machine() {
    let cluster = cluster();
    cluster.flota(&["list-units"]);
    cluster.fleetctl(&["list-units", "--no-legend"]).check(
        0,
        "g.service\tf1ee0100.../10.1.1.1\tactive\trunning\ng.service\tf1ee0200.../10.1.1.2\tactive\trunning\n",
        "",
    );
}

#[test]
fn status_and_journal_show_every_machine() {
    let cluster = cluster();
    let titles = "==> g.service on f1ee0100.../10.1.1.1 <==\n==> g.service on f1ee0200.../10.1.1.2 <==\n";
    cluster.fleetctl(&["status", "g"]).check(7, "", titles);
    cluster.fleetctl(&["journal", "g"]).check(7, "", titles);
    let log = std::fs::read_to_string(cluster.path("ssh.log")).unwrap();
    let expected = ["10.1.1.1|systemctl", "10.1.1.2|systemctl", "10.1.1.1|journalctl", "10.1.1.2|journalctl"];
    let found: Vec<&str> = log.lines().map(|line| line["ssh|--|".len()..].split(' ').next().unwrap()).collect();
    assert_eq!(found, expected);
    // Followed all at once.
    cluster.fleetctl(&["journal", "-f", "g"]).check(7, "", "");
    assert_eq!(std::fs::read_to_string(cluster.path("ssh.log")).unwrap().lines().count(), 6);
}

#[test]
fn ssh_asks_which_machine() {
    cluster().fleetctl(&["ssh", "g"]).check(
        1,
        "",
        "Unable to proceed: global unit g.service is on 2 machines\nhint: choose one with: fleetctl ssh --machine \
         f1ee0100aaaabbbbccccddddeeeeffff\n",
    );
}

#[test]
fn restart_waits_for_the_stop_on_every_machine() {
    let cluster = cluster();
    cluster.flota(&["restart", "g"]).check(0, "Triggered global unit g.service restart\n", "");
    assert_eq!(cluster.hasty(), [""; 0]);
    assert_eq!(cluster.changes().last().unwrap(), "PUT g.service state launched");
}
