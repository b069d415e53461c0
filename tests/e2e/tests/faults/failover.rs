//! Machines and leaders that go, by the button or without a word.

use std::thread::sleep;
use std::time::{Duration, Instant};

use flota_e2e::{Beats, Cluster, Node, Witness, eventually, five, holds_for, host_seconds, in_full_or};
use flota_lab::Silent;

use crate::figures::{Times, in_budget, tell};
use crate::scene::{Load, flota_leader, start_beats, units_on};

/// The longest time from a power cut until a unit is active elsewhere, in seconds.
const MOVED: f64 = 10.0;
/// The same for the trial in the middle.
const MOVED_MEDIAN: f64 = 8.0;
/// The same from the order to shut down.
const HANDED_OVER: f64 = 2.0;
/// The longest time without a leader.
const LED_AGAIN: f64 = 6.0;

/// How long the tests wait before they give up; longer than any budget, so that a miss is told with its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Until `unit` is active on another machine than `victim` by that machine's systemd, in seconds from `since`. Its
/// container has said its first word by then, or does so a moment later: both is waited for.
#[track_caller]
fn moved(cluster: &Cluster, unit: &str, victim: &str, since: f64) -> f64 {
    let life = Beats::wait_for_new(cluster, unit, victim, since, PATIENCE);
    let node = cluster.nodes().into_iter().find(|node| node.name == life.machine).unwrap();
    let micros = node.ask(&format!("systemctl show --property ActiveEnterTimestampMonotonic --value {unit}"));
    micros.parse::<f64>().unwrap() / 1e6 - since
}

/// Its power is back, it has given everything up, and nothing that had moved was touched by that.
#[track_caller]
fn returns(cluster: &Cluster, victim: Node<'_>, units: &[String]) {
    let others: Vec<Node<'_>> = cluster.nodes().into_iter().filter(|node| node.name != victim.name).collect();
    let witness = Witness::of(&others);
    cluster.lab().start(victim.name, &mut Silent).unwrap();
    cluster.together();
    eventually("the returned machine has given up what moved", 15, || {
        let left = victim.run("ls /var/lib/flota/agent/units");
        if left.stdout.is_empty() { Ok(()) } else { Err(left.to_string()) }
    });
    witness.unchanged(&others, "the lost machine returned");
    for unit in units {
        Beats::of(cluster, unit).never_two();
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn what_a_machine_without_power_ran_is_active_elsewhere_within_ten_seconds() {
    let cluster = five();
    let units = start_beats(&cluster, 10);
    // With a member of etcd and without, the leader of either among them.
    let victims = [4, 2, 5, 1, 3].into_iter().cycle().take(in_full_or(10, 2) as usize);
    let mut slowest = Vec::new();
    for victim in victims.map(|number| cluster.m(number)) {
        let lost = units_on(&cluster, &units, victim.name);
        assert!(!lost.is_empty(), "{} had nothing to lose", victim.name);
        let leads = flota_leader(&cluster, cluster.asked()).is_some_and(|leader| leader.name == victim.name);
        let since = host_seconds();
        cluster.lab().kill(victim.name).unwrap();
        let times: Vec<f64> = lost.iter().map(|unit| moved(&cluster, unit, victim.name, since)).collect();
        let longest = Times::of(times).max();
        let (count, name) = (lost.len(), victim.name);
        tell(&format!(
            "power off {name}{}: {count} units, the last after {longest:.1} s",
            if leads { " (the leader)" } else { "" }
        ));
        slowest.push(longest);
        returns(&cluster, victim, &units);
    }
    let times = Times::of(slowest);
    tell(&format!("power off: {}", times.in_words()));
    in_budget("the slowest move", times.max(), MOVED);
    in_budget("the median of moves", times.median(), MOVED_MEDIAN);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_that_shuts_down_hands_over_within_two_seconds() {
    let cluster = five();
    let units = start_beats(&cluster, 10);
    let mut slowest = Vec::new();
    for victim in [4, 2].map(|number| cluster.m(number)) {
        let handed = units_on(&cluster, &units, victim.name);
        assert!(!handed.is_empty(), "{} had nothing to hand over", victim.name);
        let since = host_seconds();
        // As one types it; the answer does not survive the machine.
        victim.run("systemctl poweroff --no-block").ok();
        let times: Vec<f64> = handed.iter().map(|unit| moved(&cluster, unit, victim.name, since)).collect();
        let longest = Times::of(times).max();
        tell(&format!("shut down {}: {} units, the last after {longest:.1} s", victim.name, handed.len()));
        slowest.push(longest);
        cluster.lab().power_off(victim.name, PATIENCE).ok();
        returns(&cluster, victim, &[]);
    }
    let times = Times::of(slowest);
    tell(&format!("graceful shutdown: {}", times.in_words()));
    in_budget("the slowest handing over", times.max(), HANDED_OVER);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn when_the_leader_dies_another_leads_within_six_seconds_and_no_unit_is_touched() {
    let cluster = five();
    let load = Load::start(&cluster);
    let mut times = Vec::new();
    for _ in 0..in_full_or(5, 2) {
        let leader = flota_leader(&cluster, cluster.m1()).expect("a leader");
        let asked = cluster.nodes().into_iter().find(|node| node.name != leader.name).unwrap();
        let began = Instant::now();
        // systemd would start it again at once, and the same machine could lead on.
        let at_once =
            "systemctl stop flota.socket; systemctl kill --signal KILL flota.service; systemctl stop flota.service";
        leader.run(at_once).ok();
        eventually("another machine leads", PATIENCE.as_secs(), || {
            let now = flota_leader(&cluster, asked).filter(|now| now.name != leader.name);
            now.map(|_| ()).ok_or_else(|| format!("{} leads, or nobody", leader.name))
        });
        times.push(began.elapsed().as_secs_f64());
        // Its machine answers that its daemon is gone: nothing moves.
        holds_for(in_full_or(30, 12), || load.untouched(&cluster, "the leader was killed"));
        leader.start_daemon();
        cluster.together();
    }
    load.untouched(&cluster, "the leaders were killed");
    load.normal_again(&cluster, 10);
    let times = Times::of(times);
    tell(&format!("kill -9 of the leader, another one leads: {}", times.in_words()));
    in_budget("the longest time without a leader", times.max(), LED_AGAIN);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn kill_9_of_daemons_and_a_minute_without_one_restart_no_unit() {
    let cluster = five();
    let load = Load::start(&cluster);
    for node in cluster.nodes() {
        node.run("systemctl kill --signal KILL flota.service").ok();
    }
    cluster.together();
    load.untouched(&cluster, "kill -9 of all daemons");
    load.normal_again(&cluster, 10);

    // One that stays away: its machine refuses connections, and so it lives.
    let m4 = cluster.m(4);
    m4.stop_daemon();
    let away = in_full_or(60, 20);
    holds_for(away, || {
        load.untouched(&cluster, "a daemon was away");
        sleep(Duration::from_secs(1));
    });
    m4.start_daemon();
    cluster.together();
    load.untouched(&cluster, "the daemon was back");
    let back = load.normal_again(&cluster, 10);
    tell(&format!(
        "kill -9 of all daemons, one away for {away} s: 0 restarts, 0 moves; normal {:.1} s after",
        back.as_secs_f64()
    ));
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_that_flaps_gets_nothing_new_for_a_while_and_says_so() {
    let cluster = five();
    let units = start_beats(&cluster, 10);
    let m5 = cluster.m(5);
    for loss in 1..=2 {
        cluster.lab().kill("m5").unwrap();
        let row = format!("flota list-machines --no-legend --fields machine,state | grep {}", m5.short_id());
        eventually("the machine counts as lost", 30, || {
            let known = cluster.m1().run(&row);
            if known.stdout.contains("ready") { Err(known.to_string()) } else { Ok(()) }
        });
        sleep(Duration::from_secs(5));
        cluster.lab().start("m5", &mut Silent).unwrap();
        cluster.together();
        // Only there could it go.
        let name = format!("only{loss}.service");
        let text = format!("[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nMachineID={}\n", m5.id);
        cluster.m1().write(&name, text);
        let began = Instant::now();
        cluster.m1().run(&format!("flota start --no-block {name}")).ok();
        let leader = flota_leader(&cluster, cluster.m1()).expect("a leader");
        let log = leader.run("journalctl --boot --unit flota --no-pager --output cat");
        log.ok().out_has("machine was lost").out_has(&format!("nothing new comes to it for {} s", 10 * loss));
        eventually("the held off machine gets it in the end", 60, || {
            let active = m5.run(&format!("systemctl is-active {name}"));
            if active.code == 0 { Ok(()) } else { Err(active.to_string()) }
        });
        let (held, took) = (10 * loss, began.elapsed().as_secs_f64());
        tell(&format!("flapping, loss {loss}: held off for {held} s, a new unit came {took:.1} s after its start"));
    }
    assert!(units_on(&cluster, &units, "m5").is_empty(), "a unit has moved to a flapping machine");
}
