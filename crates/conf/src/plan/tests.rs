//! What the plan does with what happens.

use super::*;
use crate::keys::{Read, Reads};
use crate::resource::Reload;

fn reload(line: &str) -> Reload {
    Reload::Command(line.to_owned())
}

fn spec(lines: &[&str]) -> GroupSpec {
    GroupSpec { has_checks: false, reloads: lines.iter().map(|line| (reload(line), 0)).collect(), rollback: false }
}

fn reads(key: &str) -> Reads {
    let mut reads = Reads::default();
    reads.add(Read::Key(key.to_owned()));
    reads
}

/// A planner whose groups are carried through at once: group N reads `/N`.
struct Driver {
    planner: Planner,
    now: u64,
    log: Vec<String>,
    reload_ok: bool,
    check_ok: bool,
    staged: bool,
    /// How long a commit takes.
    commit_takes: u64,
}

impl Driver {
    fn new(specs: Vec<GroupSpec>) -> Driver {
        Driver {
            planner: Planner::new(Policy::default(), specs),
            now: 0,
            log: Vec::new(),
            reload_ok: true,
            check_ok: true,
            staged: true,
            commit_takes: 0,
        }
    }

    fn event(&mut self, event: Event) {
        let mut effects = self.planner.handle(Millis(self.now), event);
        while !effects.is_empty() {
            let mut next = Vec::new();
            for effect in effects {
                let Some(event) = self.carry_out(effect) else { continue };
                next.extend(self.planner.handle(Millis(self.now), event));
            }
            effects = next;
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        let names = |groups: &[GroupId]| groups.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
        match effect {
            Effect::Render(groups) => {
                self.log.push(format!("render {}", names(&groups)));
                let rendering = if self.staged { Rendering::Staged } else { Rendering::Failed };
                let each = |id: GroupId| (id, rendering.clone(), reads(&format!("/{}", id.0)));
                Some(Event::Rendered(groups.into_iter().map(each).collect()))
            }
            Effect::Check(id) => {
                self.log.push(format!("check {}", id.0));
                Some(Event::Checked(id, self.check_ok))
            }
            Effect::Discard(id) => {
                self.log.push(format!("discard {}", id.0));
                None
            }
            Effect::Commit(groups) => {
                self.log.push(format!("commit {}", names(&groups)));
                self.now += self.commit_takes;
                Some(Event::Committed(groups.into_iter().map(|id| (id, true)).collect()))
            }
            Effect::Reload(reload) => {
                self.log.push(format!("reload {reload}"));
                Some(Event::Reloaded(reload, self.reload_ok))
            }
            Effect::RollBack(reload, groups) => {
                self.log.push(format!("roll back {}", names(&groups)));
                Some(Event::RolledBack(reload))
            }
            Effect::Settle(id) => {
                self.log.push(format!("settle {}", id.0));
                None
            }
        }
    }

    /// Lets time pass, with a tick whenever one is due.
    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        while let Some(Millis(at)) = self.planner.wake().filter(|at| at.0 <= end) {
            self.now = self.now.max(at);
            self.event(Event::Tick);
        }
        self.now = end;
    }

    fn change(&mut self, key: &str) {
        self.event(Event::Changed(vec![key.to_owned()]));
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

#[test]
fn all_groups_of_a_start_commit_together_and_each_reload_runs_once() {
    let mut driver = Driver::new(vec![spec(&["a"]), spec(&["a"]), spec(&["b"]), spec(&[])]);
    driver.event(Event::Everything);
    let wanted =
        ["render 0,1,2,3", "commit 0,1,2,3", "settle 3", "reload a", "reload b", "settle 0", "settle 1", "settle 2"];
    assert_eq!(driver.told(), wanted);
    assert!(driver.planner.is_idle());
}

#[test]
fn only_groups_that_read_a_key_are_rendered_for_it() {
    let mut driver = Driver::new(vec![spec(&[]), spec(&[])]);
    driver.event(Event::Everything);
    driver.told();
    driver.pass(1_000);
    driver.change("/1");
    assert_eq!(driver.told(), ["render 1", "commit 1", "settle 1"]);
    driver.change("/other");
    assert!(driver.told().is_empty());
}

#[test]
fn two_hundred_quick_changes_are_two_renderings_and_two_reloads() {
    let mut driver = Driver::new(vec![spec(&["a"])]);
    driver.event(Event::Everything);
    driver.told();
    driver.pass(1_000);
    for _ in 0..200 {
        driver.change("/0");
        driver.pass(3);
    }
    driver.pass(1_000);
    let told = driver.told();
    assert_eq!(told.iter().filter(|line| line.starts_with("render")).count(), 2, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("reload")).count(), 2, "{told:?}");
}

#[test]
fn a_burst_on_a_busy_machine_is_still_one() {
    let mut driver = Driver::new(vec![spec(&["a"])]);
    driver.event(Event::Everything);
    driver.pass(1_000);
    driver.told();
    for _ in 0..4 {
        for _ in 0..50 {
            driver.change("/0");
        }
        driver.pass(150);
    }
    driver.pass(1_000);
    assert_eq!(driver.told().iter().filter(|line| line.starts_with("reload")).count(), 2);
}

#[test]
fn what_changes_during_a_slow_commit_is_collected_after_it() {
    let mut driver = Driver { commit_takes: 120, ..Driver::new(vec![spec(&["a"])]) };
    driver.event(Event::Everything);
    driver.pass(1_000);
    driver.told();
    for _ in 0..200 {
        driver.change("/0");
        driver.pass(1);
    }
    driver.pass(1_000);
    assert_eq!(driver.told().iter().filter(|line| line.starts_with("render")).count(), 2);
}

#[test]
fn a_burst_that_stutters_is_waited_for_longer_and_longer() {
    let mut driver = Driver::new(vec![spec(&["a"])]);
    driver.event(Event::Everything);
    driver.pass(1_000);
    driver.told();
    for _ in 0..8 {
        for _ in 0..5 {
            driver.change("/0");
            driver.pass(5);
        }
        driver.pass(55);
    }
    driver.pass(1_000);
    let renderings = driver.told().iter().filter(|line| line.starts_with("render")).count();
    assert!(renderings <= 3, "{renderings}");
}

#[test]
fn single_changes_one_after_the_other_are_not_waited_for_longer_and_longer() {
    let mut driver = Driver::new(vec![spec(&[])]);
    driver.event(Event::Everything);
    driver.pass(10);
    driver.told();
    for _ in 0..20 {
        driver.change("/0");
        driver.pass(60);
        assert_eq!(driver.told().len(), 3, "rendered, committed, settled");
    }
}

#[test]
fn changes_without_an_end_are_rendered_every_second() {
    let mut driver = Driver::new(vec![spec(&[])]);
    driver.event(Event::Everything);
    driver.told();
    for _ in 0..300 {
        driver.pass(10);
        driver.change("/0");
    }
    let renderings = driver.told().iter().filter(|line| line.starts_with("render")).count();
    assert!((2..=4).contains(&renderings), "{renderings}");
}

#[test]
fn a_failed_rendering_is_tried_again_later_and_later() {
    let mut driver = Driver::new(vec![spec(&[])]);
    driver.staged = false;
    driver.event(Event::Everything);
    driver.pass(7_500);
    assert_eq!(driver.told().len(), 4, "at 0, 1, 3 and 7 seconds");
    assert_eq!(driver.planner.health(GroupId(0)), Health::Failed);
    driver.staged = true;
    driver.change("/0");
    assert_eq!(driver.told(), ["render 0", "commit 0", "settle 0"]);
    assert_eq!(driver.planner.health(GroupId(0)), Health::Ok);
}

#[test]
fn a_failed_check_keeps_the_files_and_no_other_group_waits() {
    let mut driver = Driver::new(vec![GroupSpec { has_checks: true, ..spec(&["a"]) }, spec(&[])]);
    driver.check_ok = false;
    driver.event(Event::Everything);
    let told = driver.told();
    assert!(told.contains(&"discard 0".to_owned()) && told.contains(&"commit 1".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line.starts_with("reload")), "{told:?}");
    driver.check_ok = true;
    driver.pass(1_000);
    assert_eq!(driver.told(), ["render 0", "check 0", "commit 0", "reload a", "settle 0"]);
}

#[test]
fn a_failed_reload_is_owed_until_it_succeeds() {
    let mut driver = Driver::new(vec![spec(&["a"])]);
    driver.reload_ok = false;
    driver.event(Event::Everything);
    driver.pass(3_500);
    assert_eq!(driver.told(), ["render 0", "commit 0", "reload a", "reload a", "reload a"]);
    assert_eq!(driver.planner.health(GroupId(0)), Health::ReloadFailed);
    driver.reload_ok = true;
    driver.pass(5_000);
    assert_eq!(driver.told(), ["reload a", "settle 0"]);
    assert_eq!(driver.planner.health(GroupId(0)), Health::Ok);
}

#[test]
fn with_rollback_the_files_return_and_the_reload_runs_again() {
    let mut driver = Driver::new(vec![GroupSpec { rollback: true, ..spec(&["a"]) }]);
    driver.reload_ok = false;
    driver.event(Event::Everything);
    assert_eq!(driver.told(), ["render 0", "commit 0", "reload a", "roll back 0", "reload a", "settle 0"]);
    assert_eq!(driver.planner.health(GroupId(0)), Health::Failed);
    driver.reload_ok = true;
    driver.pass(1_000);
    assert_eq!(driver.told(), ["render 0", "commit 0", "reload a", "settle 0"]);
}

#[test]
fn what_an_earlier_life_owed_is_reloaded_after_the_first_rendering() {
    let mut planner = Planner::new(Policy::default(), vec![spec(&["a"])]);
    assert_eq!(planner.handle(Millis(0), Event::Begin(vec![GroupId(0)])), [Effect::Render(vec![GroupId(0)])]);
    let rendered = Event::Rendered(vec![(GroupId(0), Rendering::Same, Reads::default())]);
    assert_eq!(planner.handle(Millis(1), rendered), [Effect::Reload(reload("a"))]);
}

#[test]
fn a_reload_waits_for_all_groups_that_share_it() {
    let checked = GroupSpec { has_checks: true, ..spec(&["a"]) };
    let mut planner = Planner::new(Policy::default(), vec![checked, spec(&["a"])]);
    let _ = planner.handle(Millis(0), Event::Everything);
    let both = [0, 1].map(|at| (GroupId(at), Rendering::Staged, Reads::default()));
    let effects = planner.handle(Millis(1), Event::Rendered(both.to_vec()));
    assert_eq!(effects, [Effect::Commit(vec![GroupId(1)]), Effect::Check(GroupId(0))]);
    assert_eq!(planner.handle(Millis(2), Event::Committed(vec![(GroupId(1), true)])), []);
    assert_eq!(planner.handle(Millis(3), Event::Checked(GroupId(0), true)), [Effect::Commit(vec![GroupId(0)])]);
    assert_eq!(planner.handle(Millis(4), Event::Committed(vec![(GroupId(0), true)])), [Effect::Reload(reload("a"))]);
}

#[test]
fn after_a_stop_nothing_begins_and_what_runs_is_waited_for() {
    let mut planner = Planner::new(Policy::default(), vec![spec(&["a"])]);
    let _ = planner.handle(Millis(0), Event::Everything);
    let _ = planner.handle(Millis(0), Event::Rendered(vec![(GroupId(0), Rendering::Staged, reads("/0"))]));
    let _ = planner.handle(Millis(0), Event::Committed(vec![(GroupId(0), true)]));
    assert_eq!(planner.handle(Millis(1), Event::Stop), []);
    assert!(!planner.is_idle(), "the reload runs");
    assert_eq!(planner.handle(Millis(2), Event::Changed(vec!["/0".to_owned()])), []);
    assert_eq!(planner.handle(Millis(2), Event::Reloaded(reload("a"), true)), [Effect::Settle(GroupId(0))]);
    assert!(planner.is_idle());
}

#[test]
fn once_means_that_nothing_is_tried_again() {
    let mut planner = Planner::new(Policy::once(), vec![spec(&["a"])]);
    let _ = planner.handle(Millis(0), Event::Everything);
    let _ = planner.handle(Millis(0), Event::Rendered(vec![(GroupId(0), Rendering::Staged, reads("/0"))]));
    let _ = planner.handle(Millis(0), Event::Committed(vec![(GroupId(0), true)]));
    assert_eq!(planner.handle(Millis(1), Event::Reloaded(reload("a"), false)), []);
    assert!(planner.is_idle());
    assert_eq!(planner.health(GroupId(0)), Health::ReloadFailed);
}

#[test]
fn reloads_keep_their_distance() {
    let mut distant = spec(&["a"]);
    distant.reloads[0].1 = 5_000;
    let mut driver = Driver::new(vec![distant]);
    driver.event(Event::Everything);
    driver.pass(1_000);
    driver.change("/0");
    driver.pass(1_000);
    assert_eq!(driver.told(), ["render 0", "commit 0", "reload a", "settle 0", "render 0", "commit 0"]);
    driver.pass(3_500);
    assert_eq!(driver.told(), ["reload a", "settle 0"]);
}
