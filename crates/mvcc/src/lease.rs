//! Leases: who holds which keys, and which ends next.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Key, LeaseId, LeaseStatus, Millis};

/// One lease.
#[derive(Debug)]
struct Lease {
    ttl: i64,
    deadline: Millis,
    keys: BTreeSet<Key>,
}

/// All leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<LeaseId, Lease>,
    by_deadline: BTreeSet<(Millis, LeaseId)>,
}

impl Leases {
    pub(crate) fn grant(&mut self, now: Millis, id: LeaseId, ttl: i64) {
        let deadline = deadline(now, ttl);
        self.by_deadline.insert((deadline, id));
        self.by_id.insert(id, Lease { ttl, deadline, keys: BTreeSet::new() });
    }

    pub(crate) fn remove(&mut self, id: LeaseId) {
        if let Some(lease) = self.by_id.remove(&id) {
            self.by_deadline.remove(&(lease.deadline, id));
        }
    }

    pub(crate) fn renew(&mut self, now: Millis, id: LeaseId) {
        if let Some(lease) = self.by_id.get_mut(&id) {
            self.by_deadline.remove(&(lease.deadline, id));
            lease.deadline = deadline(now, lease.ttl);
            self.by_deadline.insert((lease.deadline, id));
        }
    }

    pub(crate) fn renew_all(&mut self, now: Millis) {
        let ids: Vec<LeaseId> = self.by_id.keys().copied().collect();
        for id in ids {
            self.renew(now, id);
        }
    }

    /// A lease that is gone holds nothing: while a log is replayed, history may name leases that have ended since.
    pub(crate) fn attach(&mut self, id: LeaseId, key: Key) {
        if let Some(lease) = self.by_id.get_mut(&id) {
            lease.keys.insert(key);
        }
    }

    pub(crate) fn detach(&mut self, id: LeaseId, key: &[u8]) {
        if let Some(lease) = self.by_id.get_mut(&id) {
            lease.keys.remove(key);
        }
    }

    /// Seconds the lease was granted.
    pub(crate) fn ttl(&self, id: LeaseId) -> Option<i64> {
        Some(self.by_id.get(&id)?.ttl)
    }

    pub(crate) fn is_expired(&self, now: Millis, id: LeaseId) -> bool {
        self.by_id.get(&id).is_some_and(|lease| lease.deadline <= now)
    }

    pub(crate) fn keys(&self, id: LeaseId) -> impl Iterator<Item = &Key> {
        self.by_id.get(&id).into_iter().flat_map(|lease| &lease.keys)
    }

    pub(crate) fn status(&self, now: Millis, id: LeaseId) -> Option<LeaseStatus> {
        let lease = self.by_id.get(&id)?;
        let ttl = (lease.deadline.since(now) / 1000) as i64;
        Some(LeaseStatus { ttl, granted_ttl: lease.ttl, keys: lease.keys.iter().cloned().collect() })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LeaseId, i64)> {
        self.by_id.iter().map(|(id, lease)| (*id, lease.ttl))
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn expired(&self, now: Millis) -> impl Iterator<Item = LeaseId> {
        self.by_deadline.iter().take_while(move |(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }
}

fn deadline(now: Millis, ttl: i64) -> Millis {
    now + u64::try_from(ttl).unwrap_or(0).saturating_mul(1000)
}
