//! Evaluating requests on top of the durable state, before anything is durable.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::index::{KeyHistory, Overlay, Version, View};
use crate::range::{check_revision, read};
use crate::txn;
use crate::{
    Alarm, AlarmKind, Answer, Auth, AuthRequest, Caller, Change, DeleteRequest, DeleteResponse, Error,
    KeepAliveResponse, Key, KeyRange, KeyValue, LeaseId, MAX_LEASE_TTL, Millis, Mvcc, PutRequest, PutResponse,
    RangeRequest, RangeResponse, Record, Request, Response, Revision,
};

/// Requests that will become durable together; each sees those before it.
pub struct Batch<'a> {
    pub(crate) base: &'a Mvcc,
    now: Millis,
    /// The last revision given out.
    revision: Revision,
    compacted: Revision,
    /// Pending versions of keys.
    overlay: Overlay,
    /// Pending leases: seconds, or `None` if revoked.
    leases: BTreeMap<LeaseId, Option<i64>>,
    /// Changes of the request at hand; they share one revision.
    changes: Vec<Change>,
    records: Vec<Record>,
    renewed: Vec<LeaseId>,
    /// The alarms, once the batch has changed them.
    alarms: Option<BTreeSet<Alarm>>,
    /// Users and roles with the pending changes, if there are any.
    auth: Option<Auth>,
}

/// The effect of a batch: to be logged, then applied.
#[must_use = "answers must not be sent before the records are logged and applied"]
#[derive(Debug, Default)]
pub struct Pending {
    /// What must be durable before the answers are sent.
    pub records: Vec<Record>,
    /// Leases that got their full time again; not logged, because a restart gives that to all of them.
    pub renewed: Vec<LeaseId>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(base: &'a Mvcc, now: Millis) -> Batch<'a> {
        Batch {
            base,
            now,
            revision: base.revision(),
            compacted: base.compact_revision(),
            overlay: Overlay::new(),
            leases: BTreeMap::new(),
            changes: Vec::new(),
            records: Vec::new(),
            renewed: Vec::new(),
            alarms: None,
            auth: None,
        }
    }

    /// Evaluates a request of the store itself; an error has changed nothing.
    pub fn evaluate(&mut self, request: &Request) -> Answer {
        self.evaluate_for(&Caller::Trusted, request)
    }

    /// Evaluates one request; an error has changed nothing. The caller's rights are those of this moment, changes of auth earlier in
    /// the batch included.
    pub fn evaluate_for(&mut self, caller: &Caller, request: &Request) -> Answer {
        self.check(caller, request)?;
        self.check_alarms(request)?;
        let response = match request {
            Request::Put(put) => {
                // A put of its own looks at the lease first, one in a transaction last; so does etcd.
                self.check_lease(put).and_then(|()| self.check_previous(put))?;
                Response::Put(self.put(put))
            }
            Request::Delete(delete) => Response::Delete(self.delete(delete)),
            Request::Txn(txn) => Response::Txn(self.txn(txn)?),
            Request::Compact(revision) => self.compact(*revision)?,
            Request::LeaseGrant { id, ttl } => self.grant(*id, *ttl)?,
            Request::LeaseRevoke(id) => self.revoke(*id)?,
            Request::LeaseKeepAlive(id) => Response::LeaseKeepAlive(self.keep_alive(*id)),
            Request::Alarm { alarm, active } => self.alarm(*alarm, *active),
            Request::Auth(request) => self.change_auth(request)?,
        };
        self.commit();
        Ok(response)
    }

    /// What can be wrong with a request before it is looked at what it does: its size and form, then its caller's rights.
    pub fn check(&self, caller: &Caller, request: &Request) -> Result<(), Error> {
        if request.size() > self.base.limits.max_request_bytes {
            return Err(Error::RequestTooLarge);
        }
        check_form(request, self.base.limits.max_txn_ops)?;
        if self.auth().is_enabled() {
            self.check_caller(caller, request)?;
        }
        Ok(())
    }

    /// What the batch has come to.
    pub fn finish(self) -> Pending {
        Pending { records: self.records, renewed: self.renewed }
    }

    /// The revision of the request at hand, if it writes.
    fn next_revision(&self) -> Revision {
        self.revision + 1
    }

    /// What the header of the request at hand tells: the new revision as soon as something was written.
    pub(crate) fn header_revision(&self) -> Revision {
        if self.changes.is_empty() { self.revision } else { self.next_revision() }
    }

    pub(crate) fn view(&self) -> View<'_> {
        self.base.index.view_with(&self.overlay)
    }

    fn commit(&mut self) {
        if !self.changes.is_empty() {
            self.revision += 1;
            let changes = std::mem::take(&mut self.changes);
            self.records.push(Record::Commit { revision: self.revision, changes });
        }
    }

    /// `ignore_value` and `ignore_lease` need something to keep.
    pub(crate) fn check_previous(&self, put: &PutRequest) -> Result<(), Error> {
        let keeps = put.ignore_value || put.ignore_lease;
        if keeps && self.view().get(&put.key).is_none() { Err(Error::KeyNotFound) } else { Ok(()) }
    }

    /// A key can only be attached to a lease that exists.
    pub(crate) fn check_lease(&self, put: &PutRequest) -> Result<(), Error> {
        match put.lease {
            Some(id) if self.lease_ttl(id).is_none() => Err(Error::LeaseNotFound),
            _ => Ok(()),
        }
    }

    /// Inside a transaction a revision below 0 is not "now": etcd takes it for one that is compacted, if any is.
    pub(crate) fn check_read(&self, range: &RangeRequest) -> Result<(), Error> {
        if range.revision < self.compacted && range.revision != 0 {
            return Err(Error::Compacted);
        }
        check_revision(range.revision, self.compacted, self.revision)
    }

    /// Writes one key; everything that can be wrong with it has been checked.
    pub(crate) fn put(&mut self, put: &PutRequest) -> PutResponse {
        let revision = self.next_revision();
        let prev = self.view().get(&put.key).cloned();
        let lease = match &prev {
            Some(prev) if put.ignore_lease => prev.lease,
            _ => put.lease,
        };
        let value = match &prev {
            Some(prev) if put.ignore_value => prev.value.clone(),
            _ => put.value.as_slice().into(),
        };
        let kv = Arc::new(KeyValue {
            key: prev.as_ref().map_or_else(|| put.key.as_slice().into(), |prev| Arc::clone(&prev.key)),
            value,
            create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
            mod_revision: revision,
            version: prev.as_ref().map_or(1, |prev| prev.version + 1),
            lease,
            sub: self.changes.len() as u32,
        });
        self.pend(Arc::clone(&kv.key), Some(Arc::clone(&kv)));
        self.changes.push(Change::Put(kv));
        PutResponse { revision, prev_kv: prev.filter(|_| put.prev_kv) }
    }

    pub(crate) fn delete(&mut self, delete: &DeleteRequest) -> DeleteResponse {
        let found: Vec<Arc<KeyValue>> = self.view().at(&delete.range, Revision::MAX).cloned().collect();
        for kv in &found {
            self.pend(Arc::clone(&kv.key), None);
            self.changes.push(Change::Delete(Arc::clone(&kv.key)));
        }
        DeleteResponse {
            revision: self.header_revision(),
            deleted: found.len() as i64,
            prev_kvs: if delete.prev_kv { found } else { Vec::new() },
        }
    }

    pub(crate) fn range(&self, range: &RangeRequest) -> RangeResponse {
        read(self.view(), range, self.header_revision())
    }

    fn pend(&mut self, key: Key, kv: Option<Arc<KeyValue>>) {
        let revision = self.next_revision();
        let version = Version { revision, kv };
        match self.overlay.entry(key) {
            Entry::Occupied(mut entry) => entry.get_mut().push(version),
            Entry::Vacant(entry) => drop(entry.insert(KeyHistory::new(version))),
        }
    }

    fn alarms(&self) -> &BTreeSet<Alarm> {
        self.alarms.as_ref().unwrap_or(&self.base.alarms)
    }

    fn check_alarms(&self, request: &Request) -> Result<(), Error> {
        let raised = |kind| self.alarms().iter().any(|alarm| alarm.kind == kind);
        let harmless = matches!(request, Request::LeaseKeepAlive(_) | Request::Alarm { .. } | Request::Auth(_));
        if raised(AlarmKind::Corrupt) && !harmless {
            Err(Error::Corrupt)
        } else if raised(AlarmKind::NoSpace) && request.grows() {
            Err(Error::NoSpace)
        } else {
            Ok(())
        }
    }

    fn alarm(&mut self, alarm: Alarm, active: bool) -> Response {
        let mut alarms = self.alarms().clone();
        let changed = if active { alarms.insert(alarm) } else { alarms.remove(&alarm) };
        if changed {
            self.alarms = Some(alarms);
            self.records.push(Record::Alarm { alarm, active });
        }
        Response::Alarm { revision: self.revision, alarm: (active || changed).then_some(alarm) }
    }

    fn compact(&mut self, revision: Revision) -> Answer {
        if revision <= self.compacted {
            return Err(Error::Compacted);
        }
        if revision > self.revision {
            return Err(Error::FutureRevision);
        }
        self.compacted = revision;
        self.records.push(Record::Compact(revision));
        Ok(Response::Compact { revision: self.revision })
    }

    fn lease_ttl(&self, id: LeaseId) -> Option<i64> {
        self.leases.get(&id).copied().unwrap_or_else(|| self.base.leases.ttl(id))
    }

    fn grant(&mut self, id: LeaseId, ttl: i64) -> Answer {
        if ttl > MAX_LEASE_TTL {
            return Err(Error::LeaseTtlTooLarge);
        }
        if self.lease_ttl(id).is_some() {
            return Err(Error::LeaseExists);
        }
        let ttl = ttl.max(self.base.limits.min_lease_ttl);
        self.leases.insert(id, Some(ttl));
        self.records.push(Record::LeaseGrant { id, ttl });
        Ok(Response::LeaseGrant { revision: self.revision, id, ttl })
    }

    fn revoke(&mut self, id: LeaseId) -> Answer {
        if self.lease_ttl(id).is_none() {
            return Err(Error::LeaseNotFound);
        }
        let keys: Vec<Key> = self.attached(id).into_iter().collect();
        let revision = (!keys.is_empty()).then(|| self.next_revision());
        for key in &keys {
            self.pend(Arc::clone(key), None);
        }
        self.revision += i64::from(revision.is_some());
        self.leases.insert(id, None);
        self.records.push(Record::LeaseRevoke { id, revision, keys });
        Ok(Response::LeaseRevoke { revision: self.revision })
    }

    /// The keys attached to the lease: the durable ones, and those that the batch has attached or detached since.
    pub(crate) fn attached(&self, id: LeaseId) -> BTreeSet<Key> {
        let mut keys: BTreeSet<Key> = self.base.leases.keys(id).cloned().collect();
        for (key, history) in &self.overlay {
            if history.latest().is_some_and(|kv| kv.lease == Some(id)) {
                keys.insert(Arc::clone(key));
            } else {
                keys.remove(key);
            }
        }
        keys
    }

    /// Users and roles as the requests so far have left them.
    pub(crate) fn auth(&self) -> &Auth {
        self.auth.as_ref().unwrap_or(&self.base.auth)
    }

    fn change_auth(&mut self, request: &AuthRequest) -> Answer {
        if let Some(change) = self.auth().decide(request)? {
            let revision = self.auth().revision() + u64::from(change.makes_revision());
            let base = self.base;
            self.auth.get_or_insert_with(|| base.auth.clone()).apply(revision, change.clone());
            self.records.push(Record::Auth { revision, change });
        }
        Ok(Response::Auth { revision: self.revision })
    }

    fn keep_alive(&mut self, id: LeaseId) -> KeepAliveResponse {
        let granted_now = self.leases.contains_key(&id);
        let ttl = match self.lease_ttl(id) {
            // Its time is over although it has not been revoked yet: it must not come back to life.
            Some(_) if !granted_now && self.base.leases.is_expired(self.now, id) => 0,
            Some(ttl) => ttl,
            None => 0,
        };
        if ttl > 0 {
            self.renewed.push(id);
        }
        KeepAliveResponse { revision: self.revision, id, ttl }
    }
}

/// What can be wrong with a request by itself: told before anything about callers or keys.
fn check_form(request: &Request, max_txn_ops: usize) -> Result<(), Error> {
    match request {
        Request::Put(put) => check_put(put),
        Request::Delete(delete) => check_range(&delete.range),
        Request::Txn(txn) => txn::check(txn, max_txn_ops),
        _ => Ok(()),
    }
}

/// What can be wrong with a put by itself.
pub(crate) fn check_put(put: &PutRequest) -> Result<(), Error> {
    if put.key.is_empty() {
        Err(Error::EmptyKey)
    } else if put.ignore_value && !put.value.is_empty() {
        Err(Error::ValueProvided)
    } else if put.ignore_lease && put.lease.is_some() {
        Err(Error::LeaseProvided)
    } else {
        Ok(())
    }
}

/// A range needs a key.
pub(crate) fn check_range(range: &KeyRange) -> Result<(), Error> {
    if range.start().is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
}
