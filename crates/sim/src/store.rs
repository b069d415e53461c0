//! The store: the production state machine with the registry's words around it.

use std::sync::Arc;

use flota_mvcc::{
    Compare as MvccCompare, CompareResult, CompareTarget, DeleteRequest, Event, EventFilter, KeyRange, Mvcc,
    PutRequest, RangeRequest, Request, Response, TxnOp, TxnRequest,
};
use flota_registry::{
    Change, ClusterSnapshot, Compare, Key, KeyValue, LeaseId, MachineId, Millis, Op, Schedule, Txn, codec, keys,
};

/// A store of a cluster. What it holds is durable: it can be away; to forget something it must be wiped, or made anew.
#[derive(Debug, Default)]
pub(crate) struct Store {
    mvcc: Mvcc,
    /// Everything that it was asked to change, in order: any point of its past can be made again.
    log: Vec<(Millis, Request)>,
    /// Its own id, which its data directory got when that was made.
    pub(crate) id: u64,
}

impl Store {
    pub(crate) fn new(id: u64) -> Store {
        Store { id, ..Store::default() }
    }

    /// How much it was asked until now, to be restored later.
    pub(crate) fn backup(&self) -> usize {
        self.log.len()
    }

    /// A store as this one was when the backup was made.
    pub(crate) fn restored(&self, backup: usize, id: u64) -> Store {
        let mut store = Store::new(id);
        for (now, request) in self.log.iter().take(backup) {
            // What was refused then is refused now.
            let _ = store.execute(*now, request.clone());
        }
        store
    }

    /// All of Flota's keys are deleted.
    pub(crate) fn wipe(&mut self, now: Millis) {
        let range = KeyRange::prefix(keys::PREFIX.as_bytes());
        // A deletion of everything has no way to fail.
        let _ = self.execute(now, Request::Delete(DeleteRequest { range, prev_kv: false }));
    }

    fn execute(&mut self, now: Millis, request: Request) -> Option<Response> {
        let answer = self.mvcc.execute(time(now), &request);
        self.log.push((now, request));
        answer.ok()
    }

    pub(crate) fn revision(&self) -> i64 {
        self.mvcc.revision()
    }

    pub(crate) fn get(&self, key: &str) -> Option<KeyValue> {
        self.read(KeyRange::new(key.as_bytes(), &[]), 0).pop()
    }

    /// The whole cluster as it was at `revision`; 0 is now. `None` if that is compacted.
    pub(crate) fn snapshot_at(&self, revision: i64) -> ClusterSnapshot {
        let at = if revision == 0 { self.revision() } else { revision };
        ClusterSnapshot::from_range(at, self.read(KeyRange::prefix(keys::PREFIX.as_bytes()), revision))
    }

    pub(crate) fn snapshot(&self) -> ClusterSnapshot {
        self.snapshot_at(0)
    }

    /// Every schedule that the machine had since the store first had the one that it has now, oldest first.
    pub(crate) fn past_schedules(&self, machine: &MachineId) -> Vec<Schedule> {
        let key = Key::Schedule(machine.clone()).to_string();
        let from = self.get(&key).map_or(i64::MAX, |pair| pair.create_revision);
        let (batches, _) = self.changes(&KeyRange::new(key.as_bytes(), &[]), from);
        let changes = batches.into_iter().flat_map(|(_, changes)| changes);
        let put = |change| if let Change::Put(pair) = change { codec::decode(&pair.value).ok() } else { None };
        changes.filter_map(put).collect()
    }

    fn read(&self, range: KeyRange, revision: i64) -> Vec<KeyValue> {
        let request = RangeRequest { revision, ..RangeRequest::new(range) };
        let response = self.mvcc.range(&request);
        response.map(|response| response.kvs.iter().map(pair).collect()).unwrap_or_default()
    }

    /// Carries out a transaction; the revision, or `None` if a compare did not hold.
    pub(crate) fn commit(&mut self, now: Millis, txn: &Txn) -> Option<i64> {
        let request = Request::Txn(TxnRequest {
            compare: txn.compares.iter().map(compare).collect(),
            success: txn.ops.iter().map(operation).collect(),
            failure: Vec::new(),
        });
        match self.execute(now, request) {
            Some(Response::Txn(response)) if response.succeeded => Some(response.revision),
            // A lease that is gone refuses the whole transaction, like a compare.
            _ => None,
        }
    }

    pub(crate) fn grant(&mut self, now: Millis, number: i64, seconds: i64) -> Option<LeaseId> {
        let id = flota_mvcc::LeaseId::new(number)?;
        self.execute(now, Request::LeaseGrant { id, ttl: seconds })?;
        Some(LeaseId(id.get()))
    }

    /// Whether the lease lives, and now has its full time again.
    pub(crate) fn keep_alive(&mut self, now: Millis, lease: LeaseId) -> bool {
        let Some(id) = flota_mvcc::LeaseId::new(lease.0) else { return false };
        let answer = self.execute(now, Request::LeaseKeepAlive(id));
        matches!(answer, Some(Response::LeaseKeepAlive(kept)) if kept.ttl > 0)
    }

    pub(crate) fn next_expiry(&self) -> Option<Millis> {
        self.mvcc.next_deadline().map(|at| Millis(at.0))
    }

    /// Ends the leases whose time is over.
    pub(crate) fn expire(&mut self, now: Millis) {
        for id in self.mvcc.expired(time(now)) {
            // The state itself named it.
            let _ = self.execute(now, Request::LeaseRevoke(id));
        }
    }

    /// What a store does that was started again: every lease has its full time.
    pub(crate) fn renew_leases(&mut self, now: Millis) {
        self.mvcc.renew_leases(time(now));
    }

    /// What changed in `range` from revision `from` on, by revision, and where to go on.
    pub(crate) fn changes(&self, range: &KeyRange, from: i64) -> (Vec<(i64, Vec<Change>)>, i64) {
        let filter = EventFilter { range: range.clone(), no_put: false, no_delete: false, prev_kv: false };
        let Ok(step) = self.mvcc.events(&filter, from) else { return (Vec::new(), from) };
        let mut batches: Vec<(i64, Vec<Change>)> = Vec::new();
        for event in &step.events {
            let revision = event.kv().mod_revision;
            match batches.last_mut().filter(|(last, _)| *last == revision) {
                Some((_, changes)) => changes.push(change(event)),
                None => batches.push((revision, vec![change(event)])),
            }
        }
        (batches, step.next)
    }
}

fn time(now: Millis) -> flota_mvcc::Millis {
    flota_mvcc::Millis(now.0)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pair(kv: &Arc<flota_mvcc::KeyValue>) -> KeyValue {
    KeyValue {
        key: text(&kv.key),
        value: kv.value.to_vec(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        lease: kv.lease.map(|id| LeaseId(id.get())),
    }
}

fn change(event: &Event) -> Change {
    match event {
        Event::Put { kv, .. } => Change::Put(pair(kv)),
        Event::Delete { kv, .. } => Change::Delete { key: text(&kv.key) },
    }
}

fn compare(compare: &Compare) -> MvccCompare {
    let (key, target) = match compare {
        Compare::Absent(key) => (key, CompareTarget::Create(0)),
        Compare::Unchanged { key, mod_revision } => (key, CompareTarget::Mod(*mod_revision)),
    };
    MvccCompare { range: KeyRange::new(key.as_bytes(), &[]), target, result: CompareResult::Equal }
}

fn operation(op: &Op) -> TxnOp {
    match op {
        Op::Put { key, value, lease } => TxnOp::Put(PutRequest {
            key: key.clone().into_bytes(),
            value: value.clone(),
            lease: lease.and_then(|lease| flota_mvcc::LeaseId::new(lease.0)),
            ..PutRequest::default()
        }),
        Op::Delete { key } => {
            TxnOp::Delete(DeleteRequest { range: KeyRange::new(key.as_bytes(), &[]), prev_kv: false })
        }
    }
}
