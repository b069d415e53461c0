//! Many units at once.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use flota_e2e::{Cluster, Node, five};

use crate::figures::tell;
use crate::scene::{endpoints, etcdctl};

/// Units that go anywhere.
const PLAIN: usize = 600;
/// Groups of units that exclude each other, as many in each as there are machines.
const GROUPS: usize = 20;
/// How often systemd may read its unit files again for one order of the leader.
const RELOADS: usize = 3;
/// How long all of them may take to be active, on this host.
const PATIENCE: Duration = Duration::from_secs(400);

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn seven_hundred_units_with_a_hundred_conflicts_are_all_placed_with_few_reloads() {
    let cluster = five();
    let m1 = cluster.m1();
    let machines = cluster.nodes().len();
    let service = "[Service]\nExecStart=/bin/sleep infinity\n";
    m1.write("plain@.service", service);
    let mut names = String::new();
    for number in 1..=PLAIN {
        let _ = write!(names, " plain@{number}");
    }
    for group in 1..=GROUPS {
        m1.write(&format!("group{group}@.service"), format!("{service}[X-Fleet]\nConflicts=group{group}@*\n"));
        for number in 1..=machines {
            let _ = write!(names, " group{group}@{number}");
        }
    }
    let total = PLAIN + GROUPS * machines;
    let before: Vec<(usize, u64)> =
        cluster.nodes().into_iter().map(|node| (reloads(node), generation(&cluster, node))).collect();
    let began = Instant::now();
    // By itself: on a busy host it takes longer than a command of these tests may.
    m1.run(&format!(
        "systemd-run --quiet --collect --unit launch --working-directory /root flota start --no-block{names}"
    ))
    .ok();
    let accepted = waiting_for(began, || (m1.run("systemctl is-active launch.service").code != 0).then_some(()));
    let took = waiting_for(began, || {
        let active = m1.run("flota list-units --no-legend --fields unit,active | grep -c ' active$'");
        (active.stdout.trim() == total.to_string()).then_some(())
    });
    tell(&format!(
        "{total} units started with one command: accepted in {:.1} s, active after {:.1} s",
        accepted.as_secs_f64(),
        took.as_secs_f64()
    ));
    for (node, (reloads_before, generation_before)) in cluster.nodes().into_iter().zip(before) {
        let reloads = reloads(node) - reloads_before;
        let passes = (generation(&cluster, node) - generation_before) as usize;
        tell(&format!("{}: {reloads} reloads in {passes} orders", node.name));
        assert!(reloads <= RELOADS * passes, "{}: {reloads} reloads in {passes} orders", node.name);
        assert_groups_apart(node);
    }
}

/// Looks until there is something to see; how long after `began` that was.
#[track_caller]
fn waiting_for(began: Instant, mut look: impl FnMut() -> Option<()>) -> Duration {
    loop {
        if look().is_some() {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// How often systemd has read its unit files since the machine's boot, by its own log.
fn reloads(node: Node<'_>) -> usize {
    let count = node.run("journalctl --boot --no-pager --output cat _PID=1 | grep --count '^Reloading'");
    count.stdout.trim().parse().unwrap()
}

/// How many orders the leader has given to the machine.
fn generation(cluster: &Cluster, node: Node<'_>) -> u64 {
    let key = format!("get /flota/v1/schedules/{} --print-value-only", node.id);
    let schedule = etcdctl(cluster.m1(), &endpoints(cluster), &key).stdout;
    let schedule: serde_json::Value = serde_json::from_str(&schedule).unwrap_or_default();
    schedule["generation"].as_u64().unwrap_or_default()
}

/// Of each group one unit runs here.
fn assert_groups_apart(node: Node<'_>) {
    let groups = node.ask("systemctl list-units --no-legend --plain 'group*@*.service' | cut -d@ -f1 | sort | uniq -c");
    let rows: Vec<&str> = groups.lines().map(str::trim).collect();
    assert_eq!(rows.len(), GROUPS, "{}: {groups}", node.name);
    assert!(rows.iter().all(|row| row.starts_with("1 ")), "{}: {groups}", node.name);
}
