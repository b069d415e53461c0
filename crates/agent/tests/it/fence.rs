//! Exclusive units: up only while the lease holds, down in time when it does not, and nobody else touched.

use super::machine::LEASE;
use super::*;
use flota_agent::{Agent, Event};
use flota_registry::Millis;
use proptest::prelude::*;

const LONE: &str = "lone.service";
const A: &str = "a.service";

/// A schedule with `lone.service` as an exclusive unit and `a.service` as one like any other.
fn with_lone(generation: u64) -> Schedule {
    let mut schedule = schedule(generation, &[(A, 1, LAUNCHED), (LONE, 2, LAUNCHED)]);
    schedule.units.get_mut(&name(LONE)).unwrap().exclusive = true;
    schedule
}

fn renew(machine: &mut FakeMachine) {
    machine.send(Event::LeaseRenewed { sent: machine.now });
}

/// A machine that runs both units, with its lease renewed just now and an empty trace.
#[track_caller]
fn lone() -> FakeMachine {
    let mut machine = machine();
    machine.schedule(&with_lone(1));
    renew(&mut machine);
    machine.pass(200);
    assert_runs(&machine, &[(A, 1), (LONE, 1)]);
    renew(&mut machine);
    machine.trace.clear();
    machine
}

#[test]
fn an_exclusive_unit_starts_only_with_a_good_lease() {
    let mut machine = machine();
    machine.schedule(&with_lone(1));
    machine.pass(10_000);
    assert_runs(&machine, &[(A, 1)]);
    assert!(!machine.is_running(&name(LONE)));
    renew(&mut machine);
    assert_runs(&machine, &[(A, 1), (LONE, 1)]);
    assert!(machine.position("guard lone.service") < machine.position("start lone.service"), "the guard knows first");
}

#[test]
fn a_renewal_that_was_sent_too_long_ago_starts_nothing() {
    let mut machine = machine();
    machine.schedule(&with_lone(1));
    let sent = machine.now;
    machine.pass(3_000);
    machine.send(Event::LeaseRenewed { sent });
    assert!(!machine.is_running(&name(LONE)));
}

#[test]
fn while_renewals_come_nothing_is_stopped() {
    let mut machine = lone();
    for _ in 0..100 {
        machine.pass(1_700);
        renew(&mut machine);
    }
    assert_untouched(&machine);
}

#[test]
fn without_renewals_it_is_stopped_two_seconds_before_the_lease_can_end() {
    let mut machine = lone();
    machine.pass(2_999);
    assert_untouched(&machine);
    machine.pass(1);
    assert!(!machine.is_running(&name(LONE)));
    assert_runs(&machine, &[(A, 1)]);
    machine.pass(600_000);
    assert_eq!((machine.count("stop"), machine.count("kill"), machine.count("start")), (1, 0, 0));
    let reported = machine.last_report().units[&name(LONE)].clone();
    assert_eq!(reported.problem.as_deref(), Some("stopped: exclusive, and the store was out of reach for 3 s"));
    assert!(!reported.started);
}

#[test]
fn what_does_not_stop_is_killed_half_a_second_before_the_lease_can_end() {
    let mut machine = lone();
    machine.stubborn.insert(name(LONE));
    machine.pass(4_499);
    assert_eq!((machine.count("stop"), machine.count("kill")), (1, 0));
    machine.pass(1);
    assert_eq!(machine.count("kill"), 1);
    assert!(!machine.is_running(&name(LONE)));
    machine.pass(60_000);
    assert_eq!((machine.count("stop"), machine.count("kill")), (1, 1), "{:#?}", machine.trace);
}

#[test]
fn with_the_next_lease_it_starts_again() {
    let mut machine = lone();
    machine.pass(60_000);
    assert!(!machine.is_running(&name(LONE)));
    renew(&mut machine);
    machine.pass(1_000);
    let run = machine.runs[&name(LONE)].clone();
    assert_eq!((run.active, run.starts, run.stops), ("active", 2, 1));
    assert_eq!(machine.last_report().units[&name(LONE)].problem, None);
    assert_runs(&machine, &[(A, 1)]);
}

#[test]
fn what_moved_away_meanwhile_does_not_start_again() {
    let mut machine = lone();
    machine.pass(60_000);
    machine.schedule(&schedule(2, &[(A, 1, LAUNCHED)]));
    renew(&mut machine);
    machine.pass(60_000);
    assert_eq!(machine.count("start"), 0);
    assert_eq!(machine.guarded, None, "there is nothing to guard any more");
}

#[test]
fn one_that_ended_by_itself_is_not_started_by_a_fence() {
    let mut machine = lone();
    machine.becomes(&name(LONE), "failed");
    machine.pass(60_000);
    renew(&mut machine);
    machine.pass(60_000);
    assert_eq!((machine.count("start"), machine.count("stop")), (0, 0), "{:#?}", machine.trace);
}

#[test]
fn a_start_that_hangs_is_cut_short() {
    let mut machine = machine();
    machine.hanging.insert(name(LONE));
    machine.schedule(&with_lone(1));
    renew(&mut machine);
    machine.pass(3_000);
    assert_eq!(machine.runs[&name(LONE)].active, "inactive", "{:#?}", machine.trace);
}

#[test]
fn one_on_its_way_out_is_killed_in_time_too() {
    let mut machine = lone();
    machine.stubborn.insert(name(LONE));
    machine.schedule(&schedule(2, &[(A, 1, LAUNCHED)]));
    machine.pass(4_500);
    assert!(!machine.is_running(&name(LONE)));
    assert_eq!((machine.count("stop"), machine.count("kill")), (1, 1));
}

#[test]
fn one_that_a_socket_starts_anew_is_stopped_anew() {
    let mut machine = lone();
    machine.pass(10_000);
    machine.becomes(&name(LONE), "active");
    assert!(!machine.is_running(&name(LONE)));
    assert_eq!(machine.count("stop"), 2);
}

#[test]
fn a_deadline_that_passed_unnoticed_is_not_undone_by_a_late_renewal() {
    let mut machine = lone();
    // The daemon did not run for a while; the guard did.
    machine.now = machine.now.plus(Millis(4_000));
    machine.runs.get_mut(&name(LONE)).unwrap().active = "inactive";
    renew(&mut machine);
    machine.pass(1_000);
    assert!(machine.is_running(&name(LONE)), "it did not end by itself: {:#?}", machine.trace);
}

#[test]
fn a_guard_that_was_told_too_late_counts_as_having_acted() {
    let mut machine = lone();
    machine.pass(2_990);
    let told_late = machine.now.plus(Millis(300));
    // The renewal is in time, its way to the guard is not.
    let _ = machine.agent.handle(machine.now, Event::LeaseRenewed { sent: machine.now });
    machine.now = told_late.plus(Millis(10));
    machine.runs.get_mut(&name(LONE)).unwrap().active = "inactive";
    machine.send(Event::GuardTold { at: told_late });
    machine.pass(100);
    assert!(machine.is_running(&name(LONE)), "{:#?}", machine.trace);
}

#[test]
fn a_daemon_restart_within_the_lease_touches_nothing() {
    let mut machine = lone();
    machine.pass(1_000);
    machine.restart_daemon();
    machine.pass(1_000);
    renew(&mut machine);
    machine.pass(2_000);
    assert_untouched(&machine);
}

#[test]
fn a_daemon_that_starts_has_until_the_old_deadline() {
    let mut machine = lone();
    machine.pass(1_000);
    machine.restart_daemon();
    machine.pass(1_999);
    assert_untouched(&machine);
    machine.pass(1);
    assert!(!machine.is_running(&name(LONE)));
}

#[test]
fn a_daemon_that_starts_too_late_stops_what_still_runs() {
    let mut machine = lone();
    machine.agent = Agent::new();
    machine.now = machine.now.plus(Millis(20_000));
    machine.restart_daemon();
    assert!(!machine.is_running(&name(LONE)));
    machine.pass(60_000);
    assert_eq!(machine.count("kill"), 0, "it stopped at once");
    renew(&mut machine);
    assert!(machine.is_running(&name(LONE)));
}

#[test]
fn a_daemon_that_starts_after_the_guard_acted_starts_the_unit_with_the_next_lease() {
    let mut machine = lone();
    machine.agent = Agent::new();
    machine.now = machine.now.plus(Millis(20_000));
    machine.runs.get_mut(&name(LONE)).unwrap().active = "inactive";
    machine.restart_daemon();
    machine.pass(60_000);
    assert_eq!((machine.count("stop"), machine.count("start")), (0, 0), "{:#?}", machine.trace);
    renew(&mut machine);
    machine.pass(1_000);
    assert!(machine.is_running(&name(LONE)));
}

#[test]
fn a_daemon_that_finds_no_deadline_stops_what_is_exclusive() {
    let mut machine = lone();
    machine.guarded = None;
    machine.restart_daemon();
    assert!(!machine.is_running(&name(LONE)));
    assert_runs(&machine, &[(A, 1)]);
}

#[test]
fn a_reboot_without_the_store_starts_everything_but_exclusive_units() {
    let mut machine = lone();
    machine.texts = None;
    machine.reboot();
    machine.pass(60_000);
    assert_runs(&machine, &[(A, 1)]);
    assert!(!machine.is_running(&name(LONE)));
}

#[test]
fn renewals_by_a_store_whose_schedule_is_refused_do_not_count() {
    let mut machine = lone();
    machine.schedule(&with_lone(2));
    machine.schedule(&with_lone(1));
    renew(&mut machine);
    machine.pass(3_000);
    assert!(!machine.is_running(&name(LONE)));
    assert_runs(&machine, &[(A, 1)]);
}

/// What may happen to a machine.
#[derive(Debug, Clone)]
enum Fate {
    Pass(u64),
    /// A renewal that was sent so long ago.
    Renew(u64),
    /// The daemon does not run for so long; the guard does.
    Freeze(u64),
    Restart,
    Fail,
    /// A socket starts it.
    Socket,
    Stubborn,
    Hang,
    Reschedule(bool),
    ConnectionLost,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => (1..4_000_u64).prop_map(Fate::Pass),
        6 => (0..3_000_u64).prop_map(Fate::Renew),
        1 => (1..20_000_u64).prop_map(Fate::Freeze),
        1 => Just(Fate::Restart),
        1 => Just(Fate::Fail),
        1 => Just(Fate::Socket),
        1 => Just(Fate::Stubborn),
        1 => Just(Fate::Hang),
        2 => any::<bool>().prop_map(Fate::Reschedule),
        1 => Just(Fate::ConnectionLost),
    ]
}

/// The world around one machine: when its lease ends, and a guard that does its duty when the daemon does not run.
struct World {
    machine: FakeMachine,
    lease_ends: Millis,
    generation: u64,
}

impl World {
    fn new() -> World {
        let mut machine = machine();
        machine.schedule(&with_lone(1));
        World { machine, lease_ends: Millis(0), generation: 1 }
    }

    fn meet(&mut self, fate: &Fate) {
        let machine = &mut self.machine;
        match fate {
            Fate::Pass(span) => self.pass(*span),
            Fate::Renew(age) => {
                let sent = Millis(machine.now.0.saturating_sub(*age));
                // A lease that has ended is not renewed, and no renewal was sent before the last one that was answered.
                if self.lease_ends == Millis(0) || (sent <= self.lease_ends && sent.plus(LEASE) >= self.lease_ends) {
                    self.lease_ends = sent.plus(LEASE);
                } else if machine.now > self.lease_ends {
                    self.lease_ends = machine.now.plus(LEASE);
                } else {
                    return;
                }
                let sent = Millis(self.lease_ends.0 - LEASE.0);
                machine.send(Event::LeaseRenewed { sent });
            }
            Fate::Freeze(span) => {
                let end = machine.now.plus(Millis(*span));
                self.freeze(end);
            }
            Fate::Restart => machine.restart_daemon(),
            Fate::Fail if machine.is_running(&name(LONE)) => machine.becomes(&name(LONE), "failed"),
            Fate::Socket if !machine.stubborn.contains(&name(LONE)) && machine.files.contains_key(&name(LONE)) => {
                machine.becomes(&name(LONE), "active");
            }
            Fate::Stubborn => drop(machine.stubborn.insert(name(LONE))),
            Fate::Hang => drop(machine.hanging.insert(name(LONE))),
            Fate::Reschedule(there) => {
                self.generation += 1;
                let without = schedule(self.generation, &[(A, 1, LAUNCHED)]);
                machine.schedule(&if *there { with_lone(self.generation) } else { without });
            }
            Fate::ConnectionLost => machine.send(Event::Changed(None)),
            Fate::Fail | Fate::Socket => {}
        }
        self.check();
    }

    /// The daemon runs, one look at a time.
    fn pass(&mut self, span: u64) {
        let end = self.machine.now.plus(Millis(span));
        while self.machine.now < end {
            let next = self.machine.agent.deadline(self.machine.now).map_or(end, |at| at.min(end));
            self.machine.now = next;
            self.machine.send(Event::Tick);
            self.check();
        }
    }

    /// The daemon does not run.
    fn freeze(&mut self, end: Millis) {
        while self.machine.now < end {
            self.machine.now = self.machine.now.plus(Millis(10));
            self.guard();
            self.check();
        }
    }

    /// What the guard's process would do now.
    fn guard(&mut self) {
        use flota_agent::fence::Duty;
        let Some(guarded) = self.machine.guarded.clone() else { return };
        let duty = guarded.duty(self.machine.now);
        for unit in &guarded.units {
            let Some(run) = self.machine.runs.get_mut(unit) else { continue };
            let stubborn = self.machine.stubborn.contains(unit);
            match duty {
                Duty::Wait(_) => {}
                Duty::Stop(_) if stubborn && run.active == "active" => run.active = "deactivating",
                Duty::Stop(_) if stubborn => {}
                Duty::Stop(_) | Duty::Kill(..) => self.machine.ended(unit),
            }
        }
    }

    /// At no time is the exclusive unit up after its lease can have ended, and nothing else is ever touched.
    #[track_caller]
    fn check(&self) {
        let lone = self.machine.runs.get(&name(LONE)).map_or("", |run| run.active);
        let up = matches!(lone, "active" | "activating" | "deactivating");
        assert!(
            !up || self.machine.now < self.lease_ends,
            "{lone} at {} with a lease until {}: {:#?}",
            self.machine.now.0,
            self.lease_ends.0,
            self.machine.trace
        );
        let a = &self.machine.runs.get(&name(A));
        assert!(a.is_none_or(|a| (a.active, a.starts, a.stops) == ("active", 1, 0)), "{:#?}", self.machine.trace);
    }

    /// Everything is well again: the unit runs if it is scheduled and did not end by itself.
    #[track_caller]
    fn recovers(mut self) {
        self.machine.stubborn.clear();
        self.machine.hanging.clear();
        self.machine.kill(name(LONE));
        self.generation += 1;
        self.machine.schedule(&schedule(self.generation, &[(A, 1, LAUNCHED)]));
        for _ in 0..50 {
            self.meet(&Fate::Renew(0));
            self.pass(1_000);
        }
        self.generation += 1;
        self.machine.schedule(&with_lone(self.generation));
        for _ in 0..10 {
            self.meet(&Fate::Renew(0));
            self.pass(1_000);
        }
        assert!(self.machine.is_running(&name(LONE)), "{:#?}", self.machine.trace);
        assert_runs(&self.machine, &[(A, 1)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn no_exclusive_unit_is_up_after_its_lease_can_have_ended(fates in prop::collection::vec(fate(), 1..60)) {
        let mut world = World::new();
        for fate in &fates {
            world.meet(fate);
        }
        world.recovers();
    }
}

fn believed(incarnation: u64) -> Event {
    let cluster = CLUSTER.parse().unwrap();
    Event::Believed(flota_agent::trust::Known { cluster, incarnation, revision: 1, store: None })
}

/// A machine in a store that people have just accepted, with this schedule.
#[track_caller]
fn accepts(machine: &mut FakeMachine, schedule: &Schedule) {
    machine.send(believed(1));
    machine.schedule(schedule);
    renew(machine);
}

#[track_caller]
fn hold_on(machine: &mut FakeMachine, span: u64) {
    for _ in 0..span / 100 {
        machine.pass(100);
        renew(machine);
    }
}

#[test]
fn in_an_accepted_store_it_starts_only_when_another_machine_must_have_ended_it() {
    let mut machine = machine();
    machine.send(believed(0));
    accepts(&mut machine, &with_lone(1));
    hold_on(&mut machine, 6_900);
    assert!(!machine.is_running(&name(LONE)), "a lease and two seconds have not passed");
    assert_runs(&machine, &[(A, 1)]);
    hold_on(&mut machine, 200);
    assert_runs(&machine, &[(LONE, 1)]);
}

#[test]
fn a_daemon_that_restarts_meanwhile_waits_anew() {
    let mut machine = machine();
    accepts(&mut machine, &with_lone(1));
    hold_on(&mut machine, 5_000);
    machine.restart_daemon();
    machine.schedule(&with_lone(1));
    renew(&mut machine);
    hold_on(&mut machine, 6_500);
    assert!(!machine.is_running(&name(LONE)));
    hold_on(&mut machine, 1_000);
    assert_runs(&machine, &[(LONE, 1)]);
    machine.restart_daemon();
    machine.schedule(&with_lone(1));
    renew(&mut machine);
    hold_on(&mut machine, 1_000);
    assert_runs(&machine, &[(LONE, 1)]);
    assert_eq!(machine.count("stop"), 0);
}

#[test]
fn what_runs_and_is_still_this_machines_runs_on_in_an_accepted_store() {
    let mut machine = lone();
    accepts(&mut machine, &with_lone(1));
    hold_on(&mut machine, 20_000);
    assert_untouched(&machine);
}

#[test]
fn what_an_accepted_store_gives_to_another_machine_is_down_when_the_old_lease_ends() {
    let mut machine = lone();
    machine.stubborn.insert(name(LONE));
    let lease_ends = machine.now.plus(LEASE);
    accepts(&mut machine, &schedule(1, &[(A, 1, LAUNCHED)]));
    while machine.now.plus(Millis(100)) < lease_ends {
        hold_on(&mut machine, 100);
    }
    assert!(!machine.is_running(&name(LONE)), "{:#?}", machine.trace);
    assert_eq!(machine.count("kill"), 1);
    assert_runs(&machine, &[(A, 1)]);
}
