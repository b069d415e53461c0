//! Daemons and stores die, stop and restart; no unit does.

use std::thread::sleep;
use std::time::Duration;

use flota_e2e::{Cluster, InUse, Node, Witness, cluster, eventually, texts};

/// A plain unit and a container on each machine, what the list says of them, and their processes.
fn six_units() -> (InUse, String, Witness) {
    let cluster = cluster();
    cluster.start_everywhere("sleep", texts::SLEEP);
    cluster.start_everywhere("web", texts::WEB);
    for node in cluster.nodes() {
        cluster.page_answers(node, 20);
    }
    let list = cluster.all_running(6, 10);
    let witness = Witness::of(&cluster.nodes());
    assert_eq!(witness.len(), 9, "six units, three of them with containers: {witness:?}");
    (cluster, list, witness)
}

/// The daemons are back, the list is right, and no process has changed.
#[track_caller]
fn as_before(cluster: &Cluster, list: &str, witness: &Witness, after: &str) {
    cluster.together();
    for node in cluster.nodes() {
        eventually("every machine lists what it listed before", 10, || {
            let now = node.run("flota list-units --no-legend");
            if now.stdout == list { Ok(()) } else { Err(now.to_string()) }
        });
    }
    witness.unchanged(&cluster.nodes(), after);
}

fn daemon_pid(node: Node<'_>) -> String {
    node.ask("systemctl show --property MainPID --value flota.service")
}

/// `kill -9`, and a wait for the daemon that systemd starts instead.
#[track_caller]
fn kill_daemons(nodes: &[Node<'_>]) {
    let before: Vec<String> = nodes.iter().map(|node| daemon_pid(*node)).collect();
    for (node, pid) in nodes.iter().zip(&before) {
        node.run(&format!("kill -9 {pid}")).ok();
    }
    for (node, pid) in nodes.iter().zip(&before) {
        eventually("systemd starts the daemon again", 10, || {
            let active = node.run("systemctl is-active flota.service");
            let now = daemon_pid(*node);
            if active.stdout == "active\n" && now != *pid { Ok(()) } else { Err(format!("process {now}: {active}")) }
        });
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn kill_9_of_every_daemon_touches_no_unit() {
    let (cluster, list, witness) = six_units();
    for round in 1..=3 {
        kill_daemons(&cluster.nodes());
        as_before(&cluster, &list, &witness, &format!("kill -9 of all daemons, round {round}"));
    }
    kill_daemons(&[cluster.m1()]);
    as_before(&cluster, &list, &witness, "kill -9 of the store's daemon alone");
    kill_daemons(&[cluster.m2()]);
    as_before(&cluster, &list, &witness, "kill -9 of a joined daemon alone");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn stopping_and_restarting_daemons_touches_no_unit() {
    let (cluster, list, witness) = six_units();
    for node in cluster.nodes() {
        node.stop_daemon();
    }
    sleep(Duration::from_secs(3));
    witness.unchanged(&cluster.nodes(), "all daemons stopped");
    for node in cluster.nodes() {
        node.start_daemon();
    }
    as_before(&cluster, &list, &witness, "all daemons were stopped and started");

    for node in cluster.nodes() {
        node.run("systemctl restart flota.service").ok();
        as_before(&cluster, &list, &witness, &format!("a restart of the daemon of {}", node.name));
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_store_that_is_away_stops_changes_and_nothing_else() {
    let (cluster, list, witness) = six_units();
    let m2 = cluster.m2();
    cluster.m1().stop_daemon();
    // Longer than the lease and the grace of machines.
    for _ in 0..4 {
        sleep(Duration::from_secs(5));
        witness.unchanged(&cluster.nodes(), "the store was away");
        let asked = m2.run("flota list-units");
        asked
            .code(69)
            .out("")
            .err_has("flota cannot reach its store: units run on, but nothing can be read or changed");
        assert!(asked.took < Duration::from_secs(12), "{asked}");
    }
    m2.run("flota stop sleep@1").code(69).out("").err_has("flota cannot reach its store");
    cluster.m1().start_daemon();
    as_before(&cluster, &list, &witness, "the store came back");
    // Should the new leader hold the absence against anybody, it would show after the grace.
    sleep(Duration::from_secs(6));
    as_before(&cluster, &list, &witness, "the store had been back for a while");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_store_that_hangs_is_told_of_soon_and_touches_no_unit() {
    let (cluster, list, witness) = six_units();
    let others = [cluster.m2(), cluster.m3()];
    let theirs = Witness::of(&others);
    // Its machine stands still, and so answers nothing and refuses nothing; longer than lease and grace.
    cluster.lab().freeze("m1").unwrap();
    for _ in 0..3 {
        let asked = cluster.m2().run("flota list-units");
        asked.code(69).out("");
        assert!(asked.took < Duration::from_secs(12), "{asked}");
        sleep(Duration::from_secs(4));
        theirs.unchanged(&others, "the store hung");
    }
    cluster.lab().thaw("m1").unwrap();
    as_before(&cluster, &list, &witness, "the store hung for a while");
}
