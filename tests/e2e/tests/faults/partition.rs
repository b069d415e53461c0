//! Cables that are cut, one way or both, or that lose and delay what they carry.

use std::thread::sleep;
use std::time::{Duration, Instant};

use flota_e2e::{Beats, Cluster, Life, Witness, eventually, five, host_seconds, in_full_or};
use flota_lab::CableFault;

use crate::figures::{in_budget, tell};
use crate::scene::{start_beats, start_exclusive_beats, units_on};

/// How long the old copies may go on after the cable is whole again, in seconds.
const GIVEN_UP: f64 = 15.0;

/// How long a unit may take to move; an exclusive one waits for the end of the old holder's lease and more.
const PATIENCE: Duration = Duration::from_secs(60);

/// The machine that is cut off; it has no member of etcd.
const VICTIM: &str = "m4";

/// Cuts the machine off for a minute (or less) and heals it: its units have moved once, the old copies were stopped
/// after the healing, and exclusive units never ran twice at once.
#[track_caller]
fn cut_off(fault: CableFault, what: &str) {
    let cluster = five();
    let shared = start_beats(&cluster, 10);
    let exclusive = start_exclusive_beats(&cluster, 10);
    let [shared_there, exclusive_there] = [&shared, &exclusive].map(|units| units_on(&cluster, units, VICTIM));
    assert!(!shared_there.is_empty() && !exclusive_there.is_empty(), "{VICTIM} has both kinds of units");

    let (cut, began) = (host_seconds(), Instant::now());
    cluster.lab().damage(VICTIM, fault).unwrap();
    for (units, kind) in [(&shared_there, "shared"), (&exclusive_there, "exclusive")] {
        let lives = units.iter().map(|unit| Beats::wait_for_new(&cluster, unit, VICTIM, cut, PATIENCE));
        let last = lives.map(|life| life.from - cut).fold(0.0, f64::max);
        tell(&format!("{what}: {kind} units elsewhere after {last:.1} s"));
    }
    sleep(Duration::from_secs(in_full_or(60, 20)).saturating_sub(began.elapsed()));
    // It is cut off, not told anything: what may run twice does.
    for unit in &shared_there {
        let beats = Beats::of(&cluster, unit);
        assert!(beats.alive(Some(VICTIM)).is_some(), "stopped before the network was back: {beats:#?}");
    }
    let healed = host_seconds();
    cluster.lab().heal(VICTIM).unwrap();
    cluster.together();
    let given_up = shared_there.iter().map(|unit| given_up(&cluster, unit).until - healed).fold(0.0, f64::max);
    tell(&format!("{what}: old copies gone {given_up:.1} s after the healing"));
    in_budget("old copies after the healing", given_up, GIVEN_UP);
    // Should anything move back, it would by now.
    sleep(Duration::from_secs(5));
    for unit in shared.iter().chain(&exclusive) {
        once_more_at_most(&cluster, unit, shared_there.contains(unit) || exclusive_there.contains(unit));
    }
    for unit in &exclusive {
        Beats::of(&cluster, unit).never_two();
    }
}

/// The end of the unit's life on the machine that was cut off.
#[track_caller]
fn given_up(cluster: &Cluster, unit: &str) -> Life {
    eventually("the old copy is stopped after the healing", 30, || {
        let beats = Beats::of(cluster, unit);
        let old = beats.lives.iter().find(|life| life.machine == VICTIM && life.stopped);
        old.cloned().ok_or_else(|| format!("{beats:#?}"))
    })
}

/// A unit of the lost machine has had two lives, the second elsewhere; any other unit one.
#[track_caller]
fn once_more_at_most(cluster: &Cluster, unit: &str, moved: bool) {
    let beats = Beats::of(cluster, unit);
    let machines: Vec<&str> = beats.lives.iter().map(|life| life.machine.as_str()).collect();
    match (moved, &machines[..]) {
        (true, [first, second]) if *first == VICTIM && *second != VICTIM => {}
        (false, [only]) if *only != VICTIM => {}
        _ => panic!("restarted or moved more than once: {beats:#?}"),
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_cut_off_both_ways_moves_once_and_exclusive_units_never_run_twice() {
    cut_off(CableFault::Cut, "cut both ways");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_that_hears_nothing_moves_once_and_exclusive_units_never_run_twice() {
    cut_off(CableFault::Deaf, "cut one way, deaf");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_that_nobody_hears_moves_once_and_exclusive_units_never_run_twice() {
    cut_off(CableFault::Mute, "cut one way, mute");
}

/// A fifth of all packets is lost each way and the rest is late by 200 ms each way, for minutes: nothing moves, though all
/// of it could.
#[track_caller]
fn slow_and_lossy(machine: &str) {
    let cluster = five();
    let units = start_beats(&cluster, 10);
    assert!(!units_on(&cluster, &units, machine).is_empty(), "{machine} has something to lose");
    let witness = Witness::of(&cluster.nodes());
    let time = in_full_or(300, 40);
    cluster.lab().damage(machine, CableFault::Lossy(20)).unwrap();
    let delay = cluster.lab().delay(machine, Duration::from_millis(200)).unwrap();
    let until = Instant::now() + Duration::from_secs(time);
    while Instant::now() < until {
        witness.unchanged(&cluster.nodes(), "loss and delay");
        sleep(Duration::from_secs(1));
    }
    drop(delay);
    cluster.lab().heal(machine).unwrap();
    cluster.together();
    sleep(Duration::from_secs(5));
    witness.unchanged(&cluster.nodes(), "loss and delay were over");
    for unit in &units {
        assert_eq!(Beats::of(&cluster, unit).lives.len(), 1, "{unit} has run in one place");
    }
    tell(&format!("20 % loss and 200 ms delay on {machine} for {time} s: 0 moves, 0 restarts"));
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn loss_and_delay_on_a_machine_move_nothing() {
    slow_and_lossy("m5");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn loss_and_delay_on_a_member_of_etcd_move_nothing() {
    slow_and_lossy("m2");
}
