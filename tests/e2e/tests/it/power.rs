//! Machines that lose their power, for good or for a while.

use std::collections::BTreeMap;

use flota_e2e::{Cluster, Witness, cluster, eventually, holds_for, texts};
use flota_lab::Silent;

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_lost_machines_instance_moves_and_the_machine_gives_it_up_when_it_returns() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.write("web@.service", texts::WEB);
    m1.run("flota start web@1 web@2").ok();
    let place = |number: u8| cluster.place(&format!("web@{number}.service")).unwrap();
    // The one that is lost must not be the one with the store.
    let (lost, stays) = if place(1).name == "m1" { (2, 1) } else { (1, 2) };
    let (victim, keeper) = (place(lost), place(stays));
    let third = cluster.nodes().into_iter().find(|node| ![victim.name, keeper.name].contains(&node.name)).unwrap();
    cluster.page_answers(victim, 20);
    cluster.page_answers(keeper, 20);
    let untouched = Witness::of(&[keeper]);

    cluster.lab().kill(victim.name).unwrap();
    let page = cluster.page_answers(third, 30);
    assert!(page.starts_with(&format!("Flota web {lost} in container ")), "{page}");
    let unit = format!("web@{lost}.service");
    eventually("the list shows it on the third machine", 5, || {
        let list = m1.run("flota list-units");
        let row = format!("{unit}  {}  active  running", third.legend());
        if list.stdout.contains(&row) { Ok(()) } else { Err(list.to_string()) }
    });
    m1.run(&format!("flota why {unit}")).ok().out_has("cause: ").out_has("was lost").out_has(&victim.id[..8]);
    untouched.unchanged(&[keeper], "another machine was lost");

    let moved = Witness::of(&[third]);
    cluster.lab().start(victim.name, &mut Silent).unwrap();
    cluster.together();
    let container = format!("web-{lost}");
    holds_for(5, || one_copy(&cluster, &container, third.name));
    eventually("the returned machine has given the unit up", 10, || {
        let left = victim.run("ls /var/lib/flota/agent/units /run/systemd/system | grep web@");
        if left.stdout.is_empty() { Ok(()) } else { Err(left.to_string()) }
    });
    // Not even for a moment was there a second copy.
    let log = victim.ask(&format!("journalctl --boot --no-pager --output cat --unit {unit}"));
    assert!(!log.contains("Start"), "the returned machine started what had moved:\n{log}");
    assert_eq!(cluster.place(&unit).unwrap().name, third.name, "the returned machine took the unit back");
    moved.unchanged(&[third], "the lost machine returned");
    untouched.unchanged(&[keeper], "the lost machine returned");
}

/// The container runs on that machine and on no other.
#[track_caller]
fn one_copy(cluster: &Cluster, container: &str, on: &str) {
    for node in cluster.nodes() {
        let runs = node.containers().iter().any(|name| name == container);
        assert_eq!(runs, node.name == on, "{container} on {}", node.name);
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn machines_boot_alone_while_the_store_is_gone() {
    let cluster = cluster();
    let (m1, m2, m3) = (cluster.m1(), cluster.m2(), cluster.m3());
    cluster.start_everywhere("sleep", texts::SLEEP);
    cluster.start_everywhere("web", texts::WEB);
    let list = cluster.all_running(6, 10);
    cluster.nodes().into_iter().for_each(|node| drop(cluster.page_answers(node, 20)));
    let first = Witness::of(&[m1]);

    m1.stop_daemon();
    // Power out at one, a clean reboot at the other.
    cluster.lab().kill(m3.name).unwrap();
    cluster.lab().start(m3.name, &mut Silent).unwrap();
    cluster.lab().reboot(m2.name, &mut Silent).unwrap();
    for node in [m2, m3] {
        cluster.page_answers(node, 30);
        eventually("both units run", 10, || {
            let active = node.run("systemctl is-active 'sleep@*.service' 'web@*.service'");
            if active.stdout == "active\nactive\n" { Ok(()) } else { Err(active.to_string()) }
        });
        node.run("flota list-units").code(69).err_has("cannot reach its store");
    }
    let alone = Witness::of(&[m2, m3]);
    assert_eq!(alone.len(), 6, "two units and a container on each: {alone:?}");

    m1.start_daemon();
    cluster.together();
    assert_eq!(cluster.all_running(6, 10), list, "units have moved");
    alone.unchanged(&[m2, m3], "the store came back");
    first.unchanged(&[m1], "the store came back");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn after_a_power_cut_of_the_whole_cluster_everything_runs_where_it_was() {
    let cluster = cluster();
    cluster.start_everywhere("sleep", texts::SLEEP);
    cluster.start_everywhere("web", texts::WEB);
    let list = cluster.all_running(6, 10);
    let files = cluster.m1().ask("flota list-unit-files");
    let boots = boot_ids(&cluster);

    for node in cluster.nodes() {
        cluster.lab().kill(node.name).unwrap();
    }
    cluster.power_on();
    cluster.together();
    assert_eq!(cluster.all_running(6, 30), list, "units have moved");
    assert_eq!(cluster.m1().ask("flota list-unit-files"), files);
    for node in cluster.nodes() {
        cluster.page_answers(node, 20);
    }
    let again = boot_ids(&cluster);
    assert!(boots.iter().all(|(name, id)| again[name] != *id), "a machine kept its power: {boots:?} {again:?}");
}

fn boot_ids(cluster: &Cluster) -> BTreeMap<String, String> {
    let id = |node: flota_e2e::Node<'_>| node.ask("cat /proc/sys/kernel/random/boot_id");
    cluster.nodes().into_iter().map(|node| (node.name.to_owned(), id(node))).collect()
}
