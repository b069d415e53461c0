//! The registrations' state machine: what each event changes in what it knows.

use std::collections::BTreeMap;

use flota_registry::{LeaseId, Millis};
use flota_unit::UnitName;

use super::bound::{Bound, KeyState, Lease, RETRY};
use super::event::{Effect, Event, Life, Listed, Outcome, Refusal, Register, Ticket};
use super::{
    DEFAULT_TTL, Held, MAX_ENDING, MAX_KEY_BYTES, MAX_KEYS_PER_UNIT, MAX_UNITS, MAX_VALUE_BYTES, MAX_WAITING,
    TTL_SECONDS,
};

/// How long a request waits for the store before it is told that its key will follow: a unit's start must not hang.
const ANSWER_WAIT: Millis = Millis(2_000);
/// The first part of the cluster's own keys.
const RESERVED: &str = "/flota";
/// What is said while the store is away.
const STORE_AWAY: &str = "the store is out of reach";

/// All registrations of one machine.
#[derive(Debug, Default)]
pub struct Registrations {
    boot_id: String,
    store_up: bool,
    units: BTreeMap<UnitName, Bound>,
    /// Leases to be revoked, and when that is tried; none: it is under way.
    ending: BTreeMap<LeaseId, Option<Millis>>,
    waiting: BTreeMap<Ticket, Waiting>,
    serial: u64,
    /// Whether something changed that a later daemon must know.
    dirty: bool,
}

/// A request that waits for its key to be in the store.
#[derive(Debug)]
struct Waiting {
    unit: UnitName,
    key: String,
    until: Millis,
}

impl Registrations {
    /// Knows nothing yet; [`Event::Boot`] comes first.
    pub fn new() -> Registrations {
        Registrations::default()
    }

    /// Whether there is anything to look after: if not, nobody needs to listen to systemd.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// All registered keys, by unit.
    pub fn list(&self) -> Vec<Listed> {
        let of_unit = |(unit, bound): (&UnitName, &Bound)| {
            let wanted = bound.keys.iter().filter(|(_, entry)| entry.wanted);
            let listed = wanted.map(|(key, entry)| Listed {
                unit: unit.clone(),
                key: key.clone(),
                value: entry.value.clone(),
                ttl: bound.ttl,
                lease: bound.lease_id(),
                problem: self.problem(bound, entry.state),
            });
            listed.collect::<Vec<_>>()
        };
        self.units.iter().flat_map(of_unit).collect()
    }

    fn problem(&self, bound: &Bound, state: KeyState) -> Option<String> {
        match state {
            KeyState::Here if self.store_up => None,
            KeyState::Taken(_) => Some("somebody else has put the key".to_owned()),
            _ if !self.store_up => Some(STORE_AWAY.to_owned()),
            _ => Some(bound.problem.clone().unwrap_or_else(|| "on its way to the store".to_owned())),
        }
    }

    /// When [`Event::Tick`] is wanted, if nothing happens before.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let answers = self.waiting.values().map(|waiting| waiting.until);
        let units = self.units.values().filter_map(Bound::deadline);
        let calls = units.chain(self.ending.values().copied().flatten()).filter(|_| self.store_up);
        answers.chain(calls).filter(|at| *at > now).min()
    }

    /// Takes in one event.
    #[must_use]
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Boot { held, boot_id } => self.boot(now, held, boot_id, &mut effects),
            Event::StoreUp => {
                self.store_up = true;
                self.units.values_mut().for_each(|bound| bound.hurry(now));
                self.ending.values_mut().flatten().for_each(|at| *at = now);
            }
            Event::StoreDown => {
                self.store_up = false;
                self.answer_all(STORE_AWAY, |_| true, &mut effects);
            }
            Event::Changed(names) => self.observe_again(names, &mut effects),
            Event::Observed(lives) => lives.iter().for_each(|life| self.see(now, life, &mut effects)),
            Event::Register(request) => self.register(now, request, &mut effects),
            Event::Remove { ticket, unit, key } => {
                let outcome = self.remove(now, unit, key);
                effects.push(Effect::Answer(ticket, outcome));
            }
            Event::Granted { unit, serial, result } => self.granted(now, &unit, serial, result),
            Event::Renewed { unit, lease, result } => {
                let lost = self.units.get_mut(&unit).is_some_and(|bound| bound.renewed(now, lease, result));
                self.note_loss(lost, &unit, &mut effects);
            }
            Event::Written { unit, lease, key, result } => {
                let lost = self.units.get_mut(&unit).is_some_and(|bound| bound.written(now, lease, &key, result));
                self.note_loss(lost, &unit, &mut effects);
                self.answer_if_here(&unit, &key, &mut effects);
                self.forget_if_empty(now, &unit);
            }
            Event::Revoked { lease, gone } => self.revoked(now, lease, gone),
            Event::Tick => {}
        }
        self.answer_all("the store has not answered yet", |waiting| waiting.until <= now, &mut effects);
        self.advance(now, &mut effects);
        if std::mem::take(&mut self.dirty) {
            effects.insert(0, Effect::Persist(self.held()));
        }
        effects
    }

    fn held(&self) -> Held {
        Held {
            boot_id: self.boot_id.clone(),
            units: self.units.iter().map(|(unit, bound)| (unit.clone(), bound.to_held())).collect(),
            ending: self.ending.keys().copied().collect(),
        }
    }

    /// Takes over what an earlier daemon of this boot left. What is of another boot has ended with it.
    fn boot(&mut self, now: Millis, held: Held, boot_id: String, effects: &mut Vec<Effect>) {
        let same_boot = held.boot_id == boot_id;
        self.boot_id = boot_id;
        held.ending.into_iter().for_each(|lease| self.end(now, lease));
        for (unit, held) in held.units {
            if same_boot {
                self.units.insert(unit, Bound::from_held(held, now));
            } else if let Some(lease) = held.lease {
                self.end(now, lease);
            }
        }
        self.observe_again(None, effects);
    }

    fn observe_again(&self, names: Option<Vec<UnitName>>, effects: &mut Vec<Effect>) {
        let names: Vec<UnitName> = match names {
            Some(names) => names.into_iter().filter(|name| self.units.contains_key(name)).collect(),
            None => self.units.keys().cloned().collect(),
        };
        if !names.is_empty() {
            effects.push(Effect::Observe(names));
        }
    }

    /// A unit that is not up any more, or up anew, has lost its keys.
    fn see(&mut self, now: Millis, life: &Life, effects: &mut Vec<Effect>) {
        let Some(bound) = self.units.get_mut(&life.unit) else { return };
        if life.is_alive() && life.invocation == bound.invocation {
            bound.seen = true;
        } else {
            self.release(now, &life.unit, effects);
        }
    }

    fn release(&mut self, now: Millis, unit: &UnitName, effects: &mut Vec<Effect>) {
        let Some(bound) = self.units.remove(unit) else { return };
        self.dirty = true;
        if let Some(lease) = bound.lease_id() {
            self.end(now, lease);
        }
        let ended = Outcome::Refused(Refusal::Ended { unit: unit.clone() });
        for (ticket, _) in self.take_waiting(|waiting| waiting.unit == *unit) {
            effects.push(Effect::Answer(ticket, ended.clone()));
        }
    }

    /// The lease is to be revoked, and its keys with it.
    fn end(&mut self, now: Millis, lease: LeaseId) {
        self.dirty = true;
        if self.ending.len() >= MAX_ENDING {
            self.ending.pop_first();
        }
        self.ending.insert(lease, Some(now));
    }

    fn register(&mut self, now: Millis, request: Register, effects: &mut Vec<Effect>) {
        let Register { ticket, life, key, value, ttl } = request;
        self.see(now, &life, effects);
        if let Err(refusal) = self.check(&life, &key, &value, ttl) {
            effects.push(Effect::Answer(ticket, Outcome::Refused(refusal)));
            return;
        }
        let unit = life.unit;
        let fresh = || Bound::new(life.invocation, ttl.unwrap_or(DEFAULT_TTL), now);
        self.units.entry(unit.clone()).or_insert_with(fresh).set(now, key.clone(), value);
        self.dirty = true;
        // What happened to the unit since it was looked at was nobody's business then.
        effects.push(Effect::Observe(vec![unit.clone()]));
        if self.store_up {
            self.waiting.insert(ticket, Waiting { unit, key, until: now.plus(ANSWER_WAIT) });
        } else {
            effects.push(Effect::Answer(ticket, Outcome::Accepted(STORE_AWAY.to_owned())));
        }
    }

    fn check(&self, life: &Life, key: &str, value: &[u8], ttl: Option<u32>) -> Result<(), Refusal> {
        let unit = || life.unit.clone();
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(Refusal::KeyLength { bytes: key.len() });
        }
        if key.strip_prefix(RESERVED).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(Refusal::Reserved { key: key.to_owned() });
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(Refusal::ValueLength { key: key.to_owned(), bytes: value.len() });
        }
        if let Some(seconds) = ttl.filter(|ttl| !TTL_SECONDS.contains(ttl)) {
            return Err(Refusal::Ttl { seconds });
        }
        if !life.is_alive() {
            return Err(Refusal::NotActive { unit: unit(), active: life.active.clone(), sub: life.sub.clone() });
        }
        let has_key = |bound: &Bound| bound.keys.get(key).is_some_and(|entry| entry.wanted);
        if let Some((other, _)) = self.units.iter().find(|(other, bound)| **other != life.unit && has_key(bound)) {
            return Err(Refusal::OtherUnit { key: key.to_owned(), unit: other.clone() });
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(Refusal::TooManyWaiting);
        }
        match self.units.get(&life.unit) {
            None if self.units.len() >= MAX_UNITS => Err(Refusal::TooManyUnits),
            Some(bound) if ttl.is_some_and(|ttl| ttl != bound.ttl) => {
                Err(Refusal::OtherTtl { unit: unit(), ttl: bound.ttl })
            }
            Some(bound) if !bound.keys.contains_key(key) && bound.keys.len() >= MAX_KEYS_PER_UNIT => {
                Err(Refusal::TooManyKeys { unit: unit() })
            }
            _ => Ok(()),
        }
    }

    fn remove(&mut self, now: Millis, unit: UnitName, key: String) -> Outcome {
        if !self.units.get_mut(&unit).is_some_and(|bound| bound.unset(now, &key)) {
            return Outcome::Refused(Refusal::Unknown { unit, key });
        }
        self.dirty = true;
        self.forget_if_empty(now, &unit);
        Outcome::Removed
    }

    fn granted(&mut self, now: Millis, unit: &UnitName, serial: u64, result: Result<LeaseId, String>) {
        match (self.units.get_mut(unit).filter(|bound| bound.lease == Lease::Asked { serial }), result) {
            (Some(bound), result) => {
                bound.granted(now, result);
                self.dirty = true;
            }
            // The unit ended meanwhile.
            (None, Ok(lease)) => self.end(now, lease),
            (None, Err(_)) => {}
        }
    }

    fn note_loss(&mut self, lost: bool, unit: &UnitName, effects: &mut Vec<Effect>) {
        if lost {
            self.dirty = true;
            effects.push(Effect::Note(format!("{unit}: the store lost the lease of its keys; they are put again")));
        }
    }

    /// A unit whose last key was removed needs no lease.
    fn forget_if_empty(&mut self, now: Millis, unit: &UnitName) {
        let Some(bound) = self.units.get(unit).filter(|bound| bound.keys.is_empty()) else { return };
        let lease = bound.lease_id();
        self.units.remove(unit);
        self.dirty = true;
        if let Some(lease) = lease {
            self.end(now, lease);
        }
    }

    fn revoked(&mut self, now: Millis, lease: LeaseId, gone: bool) {
        if gone {
            self.dirty |= self.ending.remove(&lease).is_some();
        } else if let Some(at) = self.ending.get_mut(&lease) {
            *at = Some(now.plus(RETRY));
        }
    }

    fn answer_if_here(&mut self, unit: &UnitName, key: &str, effects: &mut Vec<Effect>) {
        let Some(bound) = self.units.get(unit) else { return };
        let (Some(lease), Some(entry)) = (bound.lease_id(), bound.keys.get(key)) else { return };
        if entry.state == KeyState::Here {
            for (ticket, _) in self.take_waiting(|waiting| waiting.unit == *unit && waiting.key == *key) {
                effects.push(Effect::Answer(ticket, Outcome::Registered(lease)));
            }
        }
    }

    fn answer_all(&mut self, why: &str, which: impl Fn(&Waiting) -> bool, effects: &mut Vec<Effect>) {
        for (ticket, waiting) in self.take_waiting(which) {
            let problem = self.units.get(&waiting.unit).and_then(|bound| bound.problem.clone());
            let why = problem.filter(|_| self.store_up).unwrap_or_else(|| why.to_owned());
            effects.push(Effect::Answer(ticket, Outcome::Accepted(why)));
        }
    }

    fn take_waiting(&mut self, which: impl Fn(&Waiting) -> bool) -> BTreeMap<Ticket, Waiting> {
        let waiting = std::mem::take(&mut self.waiting);
        let (taken, left) = waiting.into_iter().partition(|(_, waiting)| which(waiting));
        self.waiting = left;
        taken
    }

    /// Asks the store for everything that is due.
    fn advance(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if !self.store_up {
            return;
        }
        for (lease, at) in &mut self.ending {
            if at.is_some_and(|at| at <= now) {
                *at = None;
                effects.push(Effect::Revoke(*lease));
            }
        }
        for (unit, bound) in &mut self.units {
            bound.advance(now, unit, &mut self.serial, effects);
        }
    }
}
