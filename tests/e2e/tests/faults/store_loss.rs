//! etcd is gone, hangs, is slow, or comes back empty: units run on, changes are refused with the reason.

use std::thread::sleep;
use std::time::{Duration, Instant};

use flota_e2e::{Cluster, eventually, five, in_full_or};

use crate::figures::{in_budget, tell};
use crate::scene::{Load, all_etcd, etcd_leader, members};

/// How long everything may take to be normal after the store is back, in seconds.
const NORMAL_AGAIN: f64 = 5.0;

/// A failing test waits longer than the budget, so that a miss is told with its time.
const PATIENCE: u64 = 60;

#[track_caller]
fn in_time(what: &str, took: Duration) {
    let took = took.as_secs_f64();
    tell(&format!("{what}: normal again after {took:.1} s"));
    in_budget(what, took, NORMAL_AGAIN);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn without_any_etcd_units_run_on_and_starts_are_refused_with_the_reason() {
    let cluster = five();
    let load = Load::start(&cluster);
    let away = in_full_or(300, 30);
    all_etcd(&cluster, "stop");
    let until = Instant::now() + Duration::from_secs(away);
    cluster.m1().write("new.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    while Instant::now() < until {
        for node in [cluster.m1(), cluster.m(5)] {
            let refused = node.run("flota start /root/new.service");
            assert_ne!(refused.code, 0, "{refused}");
            assert!(refused.took < Duration::from_secs(12), "{refused}");
            if node.name == "m1" {
                refused.err_has("cannot reach its store: units run on");
            }
        }
        load.untouched(&cluster, "all of etcd was stopped");
        sleep(Duration::from_secs(3));
    }
    all_etcd(&cluster, "start");
    etcd_leader(&cluster);
    let took = load.normal_again(&cluster, PATIENCE);
    load.untouched(&cluster, "etcd was back");
    in_time(&format!("all of etcd stopped for {away} s, 0 restarts"), took);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_frozen_etcd_leader_touches_no_unit_and_changes_go_on_through_the_others() {
    let cluster = five();
    let load = Load::start(&cluster);
    let frozen = in_full_or(60, 20);
    let leader = etcd_leader(&cluster);
    let began = Instant::now();
    cluster.lab().pause(leader.name, "etcd.service").unwrap();
    // The other two elect another leader within seconds; daemons go over to them.
    let took = load.normal_again(&cluster, PATIENCE);
    tell(&format!("etcd's leader frozen: changes go on after {:.1} s", took.as_secs_f64()));
    while began.elapsed() < Duration::from_secs(frozen) {
        load.untouched(&cluster, "etcd's leader was frozen");
        sleep(Duration::from_secs(1));
    }
    cluster.lab().resume(leader.name, "etcd.service").unwrap();
    let took = load.normal_again(&cluster, PATIENCE);
    load.untouched(&cluster, "etcd's leader was thawed");
    in_time(&format!("etcd's leader frozen for {frozen} s, 0 restarts"), took);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_slow_disk_under_etcds_leader_touches_no_unit() {
    let cluster = five();
    let load = Load::start(&cluster);
    let slow = in_full_or(60, 20);
    let leader = etcd_leader(&cluster);
    cluster.lab().slow_disk(leader.name, Some(4)).unwrap();
    let until = Instant::now() + Duration::from_secs(slow);
    let mut longest = Duration::ZERO;
    while Instant::now() < until {
        // Slow or refused, as it comes; what runs is what matters.
        let asked = cluster.m(5).run("flota list-units --no-legend");
        longest = longest.max(asked.took);
        load.untouched(&cluster, "the disk of etcd's leader was slow");
        sleep(Duration::from_secs(1));
    }
    cluster.lab().slow_disk(leader.name, None).unwrap();
    let took = load.normal_again(&cluster, PATIENCE);
    load.untouched(&cluster, "the disk was fast again");
    in_time(&format!("etcd's leader with 4 writes a second for {slow} s, 0 restarts"), took);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_wiped_etcd_stops_nothing_and_after_the_operators_word_the_machines_put_back_what_they_hold() {
    let cluster = five();
    let load = Load::start(&cluster);
    all_etcd(&cluster, "stop");
    for node in members(&cluster) {
        node.run("rm -r /var/lib/etcd/lab").ok();
    }
    all_etcd(&cluster, "start");
    etcd_leader(&cluster);
    told_everywhere(&cluster);
    let m1 = cluster.m1();
    m1.write("new.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    let refused = m1.run("flota start new.service");
    assert_ne!(refused.code, 0, "{refused}");
    refused.err_has("frozen, nothing can be changed, units run on: the store is empty");
    sleep(Duration::from_secs(in_full_or(60, 10)));
    load.untouched(&cluster, "etcd was wiped");

    m1.run("flota store accept --yes").ok();
    let took = load.normal_again(&cluster, PATIENCE);
    load.untouched(&cluster, "the wiped etcd was accepted");
    in_time("etcd wiped and accepted, 0 restarts", took);
}

/// The daemon of each machine says that this store is not the one it knew.
#[track_caller]
fn told_everywhere(cluster: &Cluster) {
    for node in cluster.nodes() {
        eventually("every machine says why it is frozen", PATIENCE, || {
            let log = node.run("journalctl --boot --unit flota --no-pager --output short-precise --lines 50");
            if log.stdout.contains("FROZEN") { Ok(()) } else { Err(log.to_string()) }
        });
    }
}
