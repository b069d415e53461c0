//! Exclusive units never run twice: the old copy has ended, by its own log, before the new one begins.

use std::thread::sleep;
use std::time::Duration;

use flota_e2e::{Cluster, Node, Witness, cluster, eventually};

/// Writes down when it begins and, twenty times a second, that it is there; all machines of the lab have one clock.
const LONE: &str = "[Service]\nExecStart=/bin/sh -c 'say() { echo $1 $(date +%%s%%3N) >>/root/lone.log; }; say start; \
    while :; do say beat; sleep 0.05; done'\n[X-Flota]\nExclusive=true\nConflicts=store.service\n";
/// Keeps exclusive units off the machine with the store.
const STORE: &str = "[Service]\nExecStart=/bin/sleep infinity\n[X-Flota]\nMachineID=";
/// `kill -9` of a daemon that systemd does not start again, whoever connects.
const KILL_FOR_GOOD: &str = "mkdir -p /run/systemd/system/flota.service.d && \
    printf '[Service]\nRestart=no\n' >/run/systemd/system/flota.service.d/killed.conf && \
    systemctl daemon-reload && systemctl stop flota.socket && systemctl kill --signal=KILL flota.service";
/// Each machine's lease, in milliseconds.
const LEASE: u64 = 5_000;

/// What an exclusive unit wrote on one machine, in milliseconds since 1970.
#[derive(Debug, Default)]
struct Log {
    starts: Vec<u64>,
    last: u64,
}

impl Log {
    #[track_caller]
    fn of(node: Node<'_>) -> Log {
        let mut log = Log::default();
        for line in node.ask("cat /root/lone.log 2>/dev/null; true").lines() {
            let (word, time) = line.split_once(' ').expect("a word and a time");
            log.last = time.parse().expect("milliseconds");
            if word == "start" {
                log.starts.push(log.last);
            }
        }
        log
    }
}

/// Starts `lone.service` on a machine that joined, and a unit like any other beside it; returns that machine, and the
/// other one that can take it.
#[track_caller]
fn lone(cluster: &Cluster) -> (Node<'_>, Node<'_>) {
    let m1 = cluster.m1();
    m1.write("store.service", format!("{STORE}{}\n", m1.id));
    m1.write("lone.service", LONE);
    m1.run("flota start store.service lone.service").ok();
    let place = cluster.place("lone.service").expect("it was started");
    assert_ne!(place.name, "m1");
    let other = if place.name == "m2" { cluster.m3() } else { cluster.m2() };
    m1.write("plain.service", format!("{STORE}{}\n", place.id));
    m1.run("flota start plain.service").ok();
    (place, other)
}

fn now(node: Node<'_>) -> u64 {
    node.ask("date +%s%3N").parse().expect("milliseconds")
}

/// The unit has moved to `to`, and its copy on `from`, whose lease was renewed last before `cut`, ended before the lease
/// could, and before the new one began.
#[track_caller]
#[expect(clippy::print_stdout, reason = "figures for whoever reads the tests' output")]
fn moved(cluster: &Cluster, from: Node<'_>, to: Node<'_>, cut: u64) {
    eventually("it runs on the other machine", 60, || {
        let list = cluster.m1().run("flota list-units --no-legend");
        let here =
            |row: &&str| row.starts_with("lone.service") && row.contains(to.short_id()) && row.contains("running");
        if list.stdout.lines().any(|row| here(&row)) { Ok(()) } else { Err(list.to_string()) }
    });
    // systemd calls it running before it has written its first line.
    let new = eventually("it has begun to write", 10, || {
        let new = Log::of(to);
        if new.starts.is_empty() { Err(format!("{new:?}")) } else { Ok(new) }
    });
    let old = Log::of(from);
    assert_eq!((old.starts.len(), new.starts.len()), (1, 1), "{old:?} {new:?}");
    assert!(old.last > cut, "it ran until it had to");
    println!(
        "the old copy ended {} ms after the cut, the new one began {} ms later",
        old.last - cut,
        new.starts[0].saturating_sub(old.last)
    );
    assert!(old.last < cut + LEASE, "it ran for {} ms after the cut", old.last - cut);
    assert!(old.last < new.starts[0], "two copies: {old:?} {new:?}");
}

/// After the return of the machine nothing of the old copy comes back.
#[track_caller]
fn stays(cluster: &Cluster, from: Node<'_>, to: Node<'_>) {
    cluster.together();
    sleep(Duration::from_secs(5));
    assert_eq!((Log::of(from).starts.len(), Log::of(to).starts.len()), (1, 1));
    assert_eq!(from.run("systemctl is-active lone.service").stdout, "inactive\n");
}

/// The unit beside the exclusive one, which nothing may touch.
#[track_caller]
fn plain(node: Node<'_>) -> String {
    node.ask("systemctl show plain.service -p ActiveState -p MainPID -p InvocationID")
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn the_unit_of_a_machine_that_is_cut_off_ends_before_its_copy_begins() {
    let cluster = cluster();
    let (from, to) = lone(&cluster);
    let before = plain(from);
    cluster.lab().cut(from.name).unwrap();
    let cut = now(from);
    moved(&cluster, from, to, cut);
    assert_eq!(plain(from), before, "no other unit is touched");
    cluster.lab().heal(from.name).unwrap();
    stays(&cluster, from, to);
    assert_eq!(plain(from), before, "no other unit is touched");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn the_guard_ends_the_unit_of_a_machine_whose_daemon_was_killed_while_it_was_cut_off() {
    let cluster = cluster();
    let (from, to) = lone(&cluster);
    let before = plain(from);
    from.run("systemctl is-active flota-fence.service").ok();
    cluster.lab().cut(from.name).unwrap();
    let cut = now(from);
    from.run(KILL_FOR_GOOD).ok();
    moved(&cluster, from, to, cut);
    from.run("! systemctl is-active flota.service && systemctl is-active flota-fence.service").ok();
    assert_eq!(plain(from), before, "no other unit is touched");
    from.run("rm -r /run/systemd/system/flota.service.d && systemctl daemon-reload").ok();
    cluster.lab().heal(from.name).unwrap();
    from.start_daemon();
    stays(&cluster, from, to);
    assert_eq!(plain(from), before, "no other unit is touched");
    eventually("nothing is left to guard", 20, || {
        let guard = from.run("systemctl is-active flota-fence.service");
        if guard.code == 0 { Err(guard.to_string()) } else { Ok(()) }
    });
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn with_the_store_away_only_exclusive_units_stop_and_they_are_back_with_it() {
    let cluster = cluster();
    let (from, _) = lone(&cluster);
    let witness = plain(from);
    cluster.m1().stop_daemon();
    let cut = now(from);
    eventually("it is stopped", 10, || {
        let active = from.run("systemctl is-active lone.service");
        if active.stdout == "inactive\n" { Ok(()) } else { Err(active.to_string()) }
    });
    assert!(Log::of(from).last < cut + LEASE);
    cluster.m1().start_daemon();
    // By what it writes: systemd calls it running before it has written its first line.
    eventually("it runs again", 30, || {
        let log = Log::of(from);
        if log.starts.len() == 2 { Ok(()) } else { Err(format!("{log:?}")) }
    });
    from.run("systemctl is-active lone.service").ok();
    assert_eq!(plain(from), witness, "no other unit is touched");
    assert_eq!(Witness::of(&[from]).len(), 2);
}
