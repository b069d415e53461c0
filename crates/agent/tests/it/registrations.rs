//! Registrations step by step: what is asked of the store and of systemd, and what is answered.

use flota_agent::registrations::{
    Effect, Event, Held, Life, MAX_KEYS_PER_UNIT, MAX_UNITS, Outcome, PutResult, Refusal, Register, Registrations,
    RenewResult, Ticket,
};
use flota_registry::{LeaseId, Millis};

use crate::name;

const WEB: &str = "web.service";
const LEASE: LeaseId = LeaseId(7);

fn life(unit: &str, active: &str, sub: &str, invocation: &str) -> Life {
    Life { unit: name(unit), active: active.into(), sub: sub.into(), invocation: invocation.into() }
}

fn alive(invocation: &str) -> Life {
    life(WEB, "active", "running", invocation)
}

fn register(ticket: u64, life: Life, key: &str) -> Event {
    Event::Register(Register { ticket: Ticket(ticket), life, key: key.into(), value: b"v".to_vec(), ttl: None })
}

fn put(key: &str, overwrite: bool) -> Effect {
    Effect::Put { unit: name(WEB), lease: LEASE, key: key.into(), value: b"v".to_vec(), overwrite }
}

fn written(key: &str, result: PutResult) -> Event {
    Event::Written { unit: name(WEB), lease: LEASE, key: key.into(), result }
}

fn granted(serial: u64) -> Event {
    Event::Granted { unit: name(WEB), serial, result: Ok(LEASE) }
}

/// The effects without what is written for a later daemon.
fn visible(effects: Vec<Effect>) -> Vec<Effect> {
    effects.into_iter().filter(|effect| !matches!(effect, Effect::Persist(_))).collect()
}

fn observe() -> Effect {
    Effect::Observe(vec![name(WEB)])
}

struct Machine {
    registrations: Registrations,
    now: u64,
    held: Held,
}

impl Machine {
    fn new() -> Machine {
        let mut machine = Machine { registrations: Registrations::new(), now: 0, held: Held::default() };
        machine.tell(Event::Boot { held: Held::default(), boot_id: "b".into() });
        machine.tell(Event::StoreUp);
        machine
    }

    /// A machine whose web.service has `/a` in the store.
    fn registered() -> Machine {
        let mut machine = Machine::new();
        machine.tell(register(1, alive("i1"), "/a"));
        machine.tell(granted(1));
        machine.tell(written("/a", PutResult::Done));
        machine
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.registrations.handle(Millis(self.now), event);
        for effect in &effects {
            if let Effect::Persist(held) = effect {
                self.held = Held::decode(&held.encode()).unwrap();
            }
        }
        visible(effects)
    }

    #[track_caller]
    fn refuses(&mut self, event: Event, words: &str) {
        match self.tell(event).as_slice() {
            [Effect::Answer(_, Outcome::Refused(why))] => assert!(why.to_string().contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_key_gets_into_the_store_under_a_lease_of_its_units_own() {
    let mut machine = Machine::new();
    let grant = Effect::Grant { unit: name(WEB), serial: 1, ttl: 10 };
    assert_eq!(machine.tell(register(1, alive("i1"), "/a")), [observe(), grant]);
    assert_eq!(machine.tell(granted(1)), [put("/a", true)]);
    assert_eq!(
        machine.held.units[&name(WEB)].lease,
        Some(LEASE),
        "a later daemon finds the lease before the key is put"
    );
    assert_eq!(machine.tell(written("/a", PutResult::Done)), [Effect::Answer(Ticket(1), Outcome::Registered(LEASE))]);
    // A second key shares the lease.
    assert_eq!(machine.tell(register(2, alive("i1"), "/b")), [observe(), put("/b", true)]);
    machine.tell(written("/b", PutResult::Done));
    let list = machine.registrations.list();
    assert_eq!(list.len(), 2);
    assert!(list.iter().all(|it| it.lease == Some(LEASE) && it.problem.is_none()), "{list:?}");
}

#[test]
fn every_end_of_the_unit_ends_the_lease() {
    let ends = [
        life(WEB, "inactive", "dead", "i1"),
        life(WEB, "failed", "failed", "i1"),
        life(WEB, "deactivating", "stop-sigterm", "i1"),
        life(WEB, "activating", "auto-restart", "i1"),
        life(WEB, "activating", "start", "i2"),
    ];
    for end in ends {
        let mut machine = Machine::registered();
        assert_eq!(machine.tell(Event::Changed(Some(vec![name("other.service"), name(WEB)]))), [observe()]);
        assert_eq!(machine.tell(Event::Observed(vec![end.clone()])), [Effect::Revoke(LEASE)], "{end:?}");
        assert!(machine.held.units.is_empty() && machine.held.ending == [LEASE]);
        assert_eq!(machine.tell(Event::Revoked { lease: LEASE, gone: true }), []);
        assert_eq!(machine.held.ending, []);
        assert_eq!(machine.registrations.deadline(Millis(0)), None, "nothing is left to do");
    }
}

#[test]
fn what_keeps_the_unit_active_keeps_the_key() {
    let mut machine = Machine::registered();
    for (active, sub) in [("reloading", "reload"), ("activating", "start-post"), ("active", "exited")] {
        assert_eq!(machine.tell(Event::Observed(vec![life(WEB, active, sub, "i1")])), []);
    }
    assert_eq!(machine.tell(Event::Changed(None)), [observe()]);
}

#[test]
fn the_lease_is_renewed_three_times_before_it_could_end() {
    let mut machine = Machine::registered();
    let renew = Effect::Renew { unit: name(WEB), lease: LEASE };
    assert_eq!(machine.registrations.deadline(Millis(0)), Some(Millis(3333)));
    machine.now = 3333;
    assert_eq!(machine.tell(Event::Tick), [renew]);
    assert_eq!(machine.tell(Event::Tick), [], "one at a time");
    let renewed = Event::Renewed { unit: name(WEB), lease: LEASE, result: RenewResult::Alive };
    machine.tell(renewed);
    assert_eq!(machine.registrations.deadline(Millis(3333)), Some(Millis(6666)));
}

#[test]
fn a_lease_that_the_store_lost_is_replaced_and_the_key_comes_back_unless_somebody_has_it() {
    let mut machine = Machine::registered();
    assert_eq!(machine.tell(Event::StoreDown), []);
    machine.now = 60_000;
    assert_eq!(machine.tell(Event::Tick), [], "nothing is asked of a store that is away");
    assert_eq!(machine.tell(Event::StoreUp), [Effect::Renew { unit: name(WEB), lease: LEASE }]);
    let lost = Event::Renewed { unit: name(WEB), lease: LEASE, result: RenewResult::Lost };
    let effects = machine.tell(lost);
    assert!(matches!(effects.as_slice(), [Effect::Note(_), Effect::Grant { serial: 2, .. }]), "{effects:?}");
    assert_eq!(machine.tell(granted(2)), [put("/a", false)]);
    assert_eq!(machine.tell(written("/a", PutResult::Taken)), []);
    assert_eq!(machine.registrations.list()[0].problem.as_deref(), Some("somebody else has put the key"));
    machine.now += 15_000;
    let effects = machine.tell(Event::Tick);
    assert!(effects.contains(&put("/a", false)), "{effects:?}");
}

#[test]
fn the_next_daemon_takes_the_lease_over_and_a_silent_systemd_ends_nothing() {
    let held = Machine::registered().held;
    let mut machine = Machine { registrations: Registrations::new(), now: 0, held: Held::default() };
    assert_eq!(machine.tell(Event::Boot { held: held.clone(), boot_id: "b".into() }), [observe()]);
    assert_eq!(machine.tell(Event::StoreUp), [Effect::Renew { unit: name(WEB), lease: LEASE }]);
    assert_eq!(machine.tell(Event::Observed(vec![alive("i1")])), [put("/a", false)]);
    // After a reboot nothing of it is true.
    let mut machine = Machine { registrations: Registrations::new(), now: 0, held: Held::default() };
    machine.tell(Event::Boot { held, boot_id: "another".into() });
    assert_eq!(machine.tell(Event::StoreUp), [Effect::Revoke(LEASE)]);
}

#[test]
fn a_start_does_not_wait_for_a_store_that_is_away_or_slow() {
    let mut machine = Machine::new();
    machine.tell(register(1, alive("i1"), "/a"));
    machine.now = 2_000;
    let slow = Outcome::Accepted("the store has not answered yet".into());
    assert_eq!(machine.tell(Event::Tick), [Effect::Answer(Ticket(1), slow)]);
    machine.tell(register(2, alive("i1"), "/b"));
    let away = Outcome::Accepted("the store is out of reach".into());
    assert_eq!(machine.tell(Event::StoreDown), [Effect::Answer(Ticket(2), away.clone())]);
    assert_eq!(machine.tell(register(3, alive("i1"), "/c")), [observe(), Effect::Answer(Ticket(3), away)]);
}

#[test]
fn a_unit_that_ends_while_its_lease_is_granted_leaves_no_lease_behind() {
    let mut machine = Machine::new();
    machine.tell(register(1, alive("i1"), "/a"));
    let ended = Outcome::Refused(Refusal::Ended { unit: name(WEB) });
    let dead = Event::Observed(vec![life(WEB, "inactive", "dead", "i1")]);
    assert_eq!(machine.tell(dead), [Effect::Answer(Ticket(1), ended)]);
    assert_eq!(machine.tell(granted(1)), [Effect::Revoke(LEASE)]);
}

#[test]
fn a_key_changes_its_value_and_can_be_given_up() {
    let mut machine = Machine::registered();
    assert_eq!(machine.tell(register(2, alive("i1"), "/a")), [observe(), put("/a", true)]);
    // While the first is under way, a second one waits for it.
    assert_eq!(machine.tell(register(3, alive("i1"), "/a")), [observe()]);
    assert_eq!(machine.tell(written("/a", PutResult::Done)), [put("/a", true)]);
    machine.tell(written("/a", PutResult::Done));
    let remove = || Event::Remove { ticket: Ticket(4), unit: name(WEB), key: "/a".into() };
    let delete = Effect::Delete { unit: name(WEB), lease: LEASE, key: "/a".into() };
    assert_eq!(machine.tell(remove()), [Effect::Answer(Ticket(4), Outcome::Removed), delete]);
    assert_eq!(machine.tell(written("/a", PutResult::Done)), [Effect::Revoke(LEASE)], "it was the last key");
    machine.refuses(remove(), "web.service has not registered key /a");
}

#[test]
fn what_is_refused() {
    let mut machine = Machine::registered();
    machine.refuses(register(9, life("db.service", "inactive", "dead", ""), "/x"), "it is inactive (dead)");
    machine.refuses(register(9, alive("i1"), "/flota/v1/leader"), "the cluster's own");
    machine.refuses(register(9, alive("i1"), "/flota"), "the cluster's own");
    machine.refuses(register(9, alive("i1"), ""), "1 to 1024 bytes");
    machine.refuses(register(9, life("db.service", "active", "running", "i"), "/a"), "registered by web.service");
    let with = |value: Vec<u8>, ttl| {
        Event::Register(Register { ticket: Ticket(9), life: alive("i1"), key: "/b".into(), value, ttl })
    };
    machine.refuses(with(vec![0; 4097], None), "at most 4096 bytes, this one 4097");
    machine.refuses(with(Vec::new(), Some(4)), "4 s: expected 5 to 3600 s");
    machine.refuses(with(Vec::new(), Some(20)), "share one lease, which has a time to live of 10 s");
    assert_eq!(machine.registrations.list().len(), 1, "nothing of it is kept");
}

#[test]
fn numbers_are_bounded() {
    let mut machine = Machine::new();
    for number in 0..MAX_KEYS_PER_UNIT {
        machine.tell(register(1, alive("i1"), &format!("/{number}")));
    }
    machine.refuses(register(2, alive("i1"), "/more"), "has registered 32 keys");
    let mut machine = Machine::new();
    machine.tell(Event::StoreDown);
    for number in 0..MAX_UNITS {
        machine.tell(register(
            1,
            life(&format!("u@{number}.service"), "active", "running", "i"),
            &format!("/{number}"),
        ));
    }
    machine.refuses(register(2, alive("i1"), "/more"), "256 units of this machine");
}
