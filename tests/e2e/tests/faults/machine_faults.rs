//! What goes wrong on one machine: dockerd and systemd's manager restart, the disk is full.

use std::time::Instant;

use flota_e2e::{Cluster, Node, Witness, eventually, five};

use crate::figures::{in_budget, tell};
use crate::scene::Load;

/// How long lists may be behind what systemd says, in seconds.
const RIGHT: f64 = 5.0;

/// What systemd says of Flota's units on a machine: `UNIT ACTIVE SUB` in lines.
fn truth(node: Node<'_>) -> String {
    let show = "systemctl show --property ActiveState,SubState --value $unit | paste -sd ' '";
    node.ask(&format!("cd /var/lib/flota/agent/units && for unit in *; do echo \"$unit $({show})\"; done"))
}

/// What another machine lists of them.
fn listed(cluster: &Cluster, node: Node<'_>) -> String {
    let rows = format!("flota list-units --no-legend --full --fields unit,machine,active,sub | grep {}", node.id);
    let list = cluster.m1().run(&rows).stdout;
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} {}", words[0], words[2], words[3])
    };
    list.lines().map(row).collect::<Vec<_>>().join("\n")
}

/// How long it takes until the list is what systemd says, and stays so.
#[track_caller]
fn lists_are_right(cluster: &Cluster, node: Node<'_>, what: &str) {
    let began = Instant::now();
    let took = eventually("the list says what systemd says", 30, || {
        let (truth, listed) = (truth(node), listed(cluster, node));
        if truth == listed {
            Ok(began.elapsed().as_secs_f64())
        } else {
            Err(format!("systemd: {truth}\nlisted: {listed}"))
        }
    });
    tell(&format!("{what}: lists are right after {took:.1} s"));
    in_budget(what, took, RIGHT);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn after_a_restart_of_dockerd_lists_are_right_and_other_machines_untouched() {
    let cluster = five();
    let load = Load::start(&cluster);
    let m4 = cluster.m(4);
    let others: Vec<Node<'_>> = cluster.nodes().into_iter().filter(|node| node.name != m4.name).collect();
    let witness = Witness::of(&others);
    m4.run("systemctl restart docker.service").ok();
    lists_are_right(&cluster, m4, "restart of dockerd");
    // The unit requires docker.service: systemd itself takes it down and up again with it.
    load.normal_again(&cluster, 30);
    lists_are_right(&cluster, m4, "restart of dockerd, at rest");
    witness.unchanged(&others, "dockerd of another machine was restarted");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn after_a_reexec_of_systemd_lists_are_right_and_nothing_was_restarted() {
    let cluster = five();
    let load = Load::start(&cluster);
    let m4 = cluster.m(4);
    m4.run("systemctl daemon-reexec").ok();
    lists_are_right(&cluster, m4, "daemon-reexec of systemd");
    load.untouched(&cluster, "daemon-reexec of systemd");
    load.normal_again(&cluster, 10);
    // And what changes later is still heard of.
    let unit = m4.ask("cd /var/lib/flota/agent/units && ls -d sleep@*");
    m4.run(&format!("systemctl kill --signal KILL {unit}")).ok();
    lists_are_right(&cluster, m4, "a unit that died after a daemon-reexec");
    cluster.m1().run("flota list-units --no-legend").ok().out_has("failed");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_full_disk_is_reported_and_the_other_machines_go_on() {
    let cluster = five();
    let load = Load::start(&cluster);
    let (m1, m4) = (cluster.m1(), cluster.m(4));
    on_small_disk(m4);
    cluster.together();
    m4.run("cat /dev/zero > /var/lib/flota/filler").code(1).err_has("No space left on device");

    let text = |id: &str| {
        format!("[Service]\nExecStart=/bin/sleep infinity\n#{}\n[X-Fleet]\nMachineID={id}\n", "x".repeat(64 << 10))
    };
    m1.write("there.service", text(m4.id));
    m1.write("elsewhere.service", text(cluster.m(5).id));
    m1.run("flota start --block-attempts 15 elsewhere.service").ok();
    m1.run("flota destroy elsewhere.service").ok();
    let refused = m1.run("flota start --block-attempts 10 there.service");
    assert_ne!(refused.code, 0, "{refused}");
    let said = refused.stderr.lines().find(|line| line.contains("No space left on device"));
    tell(&format!("full disk, reported as: {}", said.unwrap_or_else(|| panic!("not reported: {refused}"))));
    load.others_untouched(&cluster, m4, "a disk was full");

    m4.run("rm /var/lib/flota/filler").ok();
    eventually("the unit starts when there is space again", 60, || {
        let active = m4.run("systemctl is-active there.service");
        if active.code == 0 { Ok(()) } else { Err(active.to_string()) }
    });
    m1.run("flota destroy there.service").ok();
    load.untouched(&cluster, "a disk was full");
    off_small_disk(m4);
    cluster.together();
    load.untouched(&cluster, "the disk was large again");
}

/// Flota's data on a disk of a few megabytes of its own.
fn on_small_disk(node: Node<'_>) {
    node.stop_daemon();
    node.run("mkdir kept && cp --archive /var/lib/flota/. kept").ok();
    node.run("mount -t tmpfs -o size=8m,mode=0755 tmpfs /var/lib/flota").ok();
    node.run("cp --archive kept/. /var/lib/flota && rm -r kept").ok();
    node.start_daemon();
}

fn off_small_disk(node: Node<'_>) {
    node.stop_daemon();
    node.run("mkdir kept && cp --archive /var/lib/flota/. kept && umount /var/lib/flota").ok();
    node.run("cp --archive kept/. /var/lib/flota && rm -r kept").ok();
    node.start_daemon();
}
