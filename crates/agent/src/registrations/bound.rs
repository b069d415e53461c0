//! One unit's keys and the lease that they share.

use std::collections::BTreeMap;

use flota_registry::{LeaseId, Millis};
use flota_unit::UnitName;

use super::event::{Effect, PutResult, RenewResult};
use super::held::{HeldKey, HeldUnit};

/// How long a call that failed waits for its next try.
pub(super) const RETRY: Millis = Millis(1_000);
/// How long a key that somebody else has is left alone.
const TAKEN_RETRY: Millis = Millis(15_000);
/// A lease is renewed this many times before it could end.
const RENEWALS_PER_LEASE: u64 = 3;

/// One unit's registrations.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) invocation: String,
    pub(super) ttl: u32,
    pub(super) lease: Lease,
    pub(super) keys: BTreeMap<String, Entry>,
    /// Whether this daemon has seen the unit alive. Until then nothing is written, and nothing given up.
    pub(super) seen: bool,
    /// What the store last had against it.
    pub(super) problem: Option<String>,
}

/// The unit's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    None { retry_at: Millis },
    Asked { serial: u64 },
    Held { id: LeaseId, renew_at: Millis, renewing: bool },
}

/// One key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Vec<u8>,
    /// False: it is removed from the store, and then forgotten.
    pub(super) wanted: bool,
    /// Whoever has the key loses it: the unit that starts is the newest truth. Not so when a key comes back.
    overwrite: bool,
    pub(super) state: KeyState,
}

/// How far a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyState {
    /// To be written, or removed, at that time.
    Due(Millis),
    /// A call is under way; `again`: something else was asked for meanwhile.
    Busy { again: bool },
    /// In the store.
    Here,
    /// Somebody else has it; looked at again at that time.
    Taken(Millis),
}

impl Bound {
    pub(super) fn new(invocation: String, ttl: u32, now: Millis) -> Bound {
        let lease = Lease::None { retry_at: now };
        Bound { invocation, ttl, lease, keys: BTreeMap::new(), seen: true, problem: None }
    }

    /// As an earlier daemon left it: nothing of it is sure before systemd and the store were asked.
    pub(super) fn from_held(held: HeldUnit, now: Millis) -> Bound {
        let entry =
            |key: HeldKey| Entry { value: key.value, wanted: key.wanted, overwrite: false, state: KeyState::Due(now) };
        Bound {
            invocation: held.invocation,
            ttl: held.ttl,
            lease: match held.lease {
                Some(id) => Lease::Held { id, renew_at: now, renewing: false },
                None => Lease::None { retry_at: now },
            },
            keys: held.keys.into_iter().map(|(name, key)| (name, entry(key))).collect(),
            seen: false,
            problem: None,
        }
    }

    pub(super) fn to_held(&self) -> HeldUnit {
        let key = |entry: &Entry| HeldKey { value: entry.value.clone(), wanted: entry.wanted };
        HeldUnit {
            invocation: self.invocation.clone(),
            ttl: self.ttl,
            lease: self.lease_id(),
            keys: self.keys.iter().map(|(name, entry)| (name.clone(), key(entry))).collect(),
        }
    }

    pub(super) fn lease_id(&self) -> Option<LeaseId> {
        match self.lease {
            Lease::Held { id, .. } => Some(id),
            _ => None,
        }
    }

    /// A key is to be in the store with this value.
    pub(super) fn set(&mut self, now: Millis, key: String, value: Vec<u8>) {
        let state = KeyState::Due(now);
        let entry = self.keys.entry(key).or_insert(Entry { value: Vec::new(), wanted: true, overwrite: true, state });
        (entry.value, entry.wanted, entry.overwrite) = (value, true, true);
        entry.ask_anew(now);
    }

    /// A key is to go; false if there is no such key.
    #[must_use]
    pub(super) fn unset(&mut self, now: Millis, key: &str) -> bool {
        let Some(entry) = self.keys.get_mut(key).filter(|entry| entry.wanted) else { return false };
        if let Lease::None { .. } = self.lease {
            self.keys.remove(key); // It cannot be in the store.
        } else {
            entry.wanted = false;
            entry.ask_anew(now);
        }
        true
    }

    /// The store answered a grant.
    pub(super) fn granted(&mut self, now: Millis, result: Result<LeaseId, String>) {
        self.lease = match result {
            Ok(id) => Lease::Held { id, renew_at: self.next_renewal(now), renewing: false },
            Err(why) => {
                self.problem = Some(why);
                Lease::None { retry_at: now.plus(RETRY) }
            }
        };
    }

    /// The store answered a renewal; true if the lease is lost.
    #[must_use]
    pub(super) fn renewed(&mut self, now: Millis, lease: LeaseId, result: RenewResult) -> bool {
        let next = self.next_renewal(now);
        match &mut self.lease {
            Lease::Held { id, renew_at, renewing } if *id == lease => {
                *renewing = false;
                match result {
                    RenewResult::Alive => *renew_at = next,
                    RenewResult::Failed(_) => *renew_at = now.plus(RETRY),
                    RenewResult::Lost => {
                        self.lose_lease(now);
                        return true;
                    }
                }
            }
            _ => {}
        }
        false
    }

    /// The store answered a put or a delete; true if the lease is lost.
    #[must_use]
    pub(super) fn written(&mut self, now: Millis, lease: LeaseId, key: &str, result: PutResult) -> bool {
        if self.lease_id() != Some(lease) {
            return false; // Of an earlier lease.
        }
        if result == PutResult::NoLease {
            self.lose_lease(now);
            return true;
        }
        let Some(entry) = self.keys.get_mut(key) else { return false };
        if entry.state == (KeyState::Busy { again: true }) {
            entry.state = KeyState::Due(now);
            return false;
        }
        match result {
            PutResult::Failed(why) => {
                self.problem = Some(why);
                entry.state = KeyState::Due(now.plus(RETRY));
                return false;
            }
            _ if !entry.wanted => drop(self.keys.remove(key)),
            PutResult::Taken => entry.state = KeyState::Taken(now.plus(TAKEN_RETRY)),
            _ => {
                entry.overwrite = false;
                entry.state = KeyState::Here;
            }
        }
        self.problem = None;
        false
    }

    /// The keys went with the lease: those that are wanted come back under a new one, unless somebody has them by then.
    fn lose_lease(&mut self, now: Millis) {
        self.lease = Lease::None { retry_at: now };
        self.keys.retain(|_, entry| entry.wanted);
        self.keys.values_mut().for_each(|entry| entry.state = KeyState::Due(now));
    }

    /// The store is there again: what waits for a later time is due now.
    pub(super) fn hurry(&mut self, now: Millis) {
        match &mut self.lease {
            Lease::None { retry_at } => *retry_at = now,
            Lease::Held { renew_at, .. } => *renew_at = now,
            Lease::Asked { .. } => {}
        }
        for entry in self.keys.values_mut() {
            if matches!(entry.state, KeyState::Due(_)) {
                entry.state = KeyState::Due(now);
            }
        }
    }

    /// Asks for everything that is due.
    pub(super) fn advance(&mut self, now: Millis, unit: &UnitName, serial: &mut u64, effects: &mut Vec<Effect>) {
        match &mut self.lease {
            Lease::None { retry_at } if self.seen && *retry_at <= now && !self.keys.is_empty() => {
                *serial += 1;
                effects.push(Effect::Grant { unit: unit.clone(), serial: *serial, ttl: self.ttl });
                self.lease = Lease::Asked { serial: *serial };
            }
            Lease::Held { id, renew_at, renewing } if *renew_at <= now && !*renewing => {
                *renewing = true;
                effects.push(Effect::Renew { unit: unit.clone(), lease: *id });
            }
            _ => {}
        }
        let Some(lease) = self.lease_id().filter(|_| self.seen) else { return };
        for (key, entry) in &mut self.keys {
            let (KeyState::Due(at) | KeyState::Taken(at)) = entry.state else { continue };
            if at <= now {
                entry.state = KeyState::Busy { again: false };
                let (unit, key) = (unit.clone(), key.clone());
                effects.push(if entry.wanted {
                    let (value, overwrite) = (entry.value.clone(), entry.overwrite);
                    Effect::Put { unit, lease, key, value, overwrite }
                } else {
                    Effect::Delete { unit, lease, key }
                });
            }
        }
    }

    /// When [`Bound::advance`] has something to do, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let lease = match self.lease {
            Lease::None { retry_at } if self.seen => Some(retry_at),
            Lease::Held { renew_at, renewing: false, .. } => Some(renew_at),
            _ => None,
        };
        let writable = self.seen && matches!(self.lease, Lease::Held { .. });
        let keys = self.keys.values().filter(|_| writable).filter_map(|entry| match entry.state {
            KeyState::Due(at) | KeyState::Taken(at) => Some(at),
            _ => None,
        });
        lease.into_iter().chain(keys).min()
    }

    fn next_renewal(&self, now: Millis) -> Millis {
        now.plus(Millis(u64::from(self.ttl) * 1000 / RENEWALS_PER_LEASE))
    }
}

impl Entry {
    /// What is wanted changed: it is due, or due again after the call under way.
    fn ask_anew(&mut self, now: Millis) {
        self.state = match self.state {
            KeyState::Busy { .. } => KeyState::Busy { again: true },
            _ => KeyState::Due(now),
        };
    }
}
