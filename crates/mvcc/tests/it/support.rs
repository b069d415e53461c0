//! Short ways to say what a test does.

use flota_mvcc::{
    Compare, CompareResult, CompareTarget, DeleteRequest, DeleteResponse, Error, Event, EventFilter, Key, KeyRange,
    LeaseId, Millis, Mvcc, PutRequest, PutResponse, RangeRequest, Request, Response, Revision, TxnOp, TxnRequest,
    TxnResponse,
};

pub const T0: Millis = Millis(0);

pub fn lease(id: i64) -> LeaseId {
    LeaseId::new(id).unwrap()
}

pub fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() }
}

pub fn put_with_lease(key: &str, id: i64) -> PutRequest {
    PutRequest { lease: LeaseId::new(id), ..put(key, "leased") }
}

pub fn one(key: &str) -> KeyRange {
    KeyRange::new(key.as_bytes(), b"")
}

pub fn between(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes(), end.as_bytes())
}

pub fn all() -> KeyRange {
    KeyRange::new(b"\0", b"\0")
}

pub fn delete(range: KeyRange) -> DeleteRequest {
    DeleteRequest { range, prev_kv: true }
}

pub fn version_is(key: &str, version: i64) -> Compare {
    Compare { range: one(key), target: CompareTarget::Version(version), result: CompareResult::Equal }
}

pub fn txn(compare: Vec<Compare>, success: Vec<TxnOp>, failure: Vec<TxnOp>) -> TxnRequest {
    TxnRequest { compare, success, failure }
}

/// A store with one-line operations that must succeed.
#[derive(Default)]
pub struct Store {
    pub mvcc: Mvcc,
    pub now: Millis,
}

impl Store {
    pub fn try_run(&mut self, request: Request) -> Result<Response, Error> {
        self.mvcc.execute(self.now, &request)
    }

    #[track_caller]
    pub fn put(&mut self, key: &str, value: &str) -> PutResponse {
        self.put_request(put(key, value))
    }

    #[track_caller]
    pub fn put_request(&mut self, request: PutRequest) -> PutResponse {
        match self.try_run(Request::Put(request)) {
            Ok(Response::Put(put)) => put,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn delete(&mut self, range: KeyRange) -> DeleteResponse {
        match self.try_run(Request::Delete(delete(range))) {
            Ok(Response::Delete(delete)) => delete,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn txn(&mut self, txn: TxnRequest) -> TxnResponse {
        match self.try_run(Request::Txn(txn)) {
            Ok(Response::Txn(txn)) => txn,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn grant(&mut self, id: i64, ttl: i64) -> i64 {
        match self.try_run(Request::LeaseGrant { id: lease(id), ttl }) {
            Ok(Response::LeaseGrant { ttl, .. }) => ttl,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn compact(&mut self, revision: Revision) {
        self.try_run(Request::Compact(revision)).unwrap();
    }

    /// `key=value` of everything at a revision (0 is now).
    #[track_caller]
    pub fn at(&self, revision: Revision) -> Vec<String> {
        let range = self.mvcc.range(&RangeRequest { revision, ..RangeRequest::new(all()) }).unwrap();
        range.kvs.iter().map(|kv| format!("{}={}", text(&kv.key), text(&kv.value))).collect()
    }

    /// `revision put|delete key [<prev>]` of everything from a revision on.
    #[track_caller]
    pub fn watch(&self, from: Revision) -> Vec<String> {
        self.try_watch(from).unwrap()
    }

    pub fn try_watch(&self, from: Revision) -> Result<Vec<String>, Error> {
        let filter = EventFilter { range: all(), no_put: false, no_delete: false, prev_kv: true };
        let mut events = Vec::new();
        let mut next = from;
        while next <= self.mvcc.revision() {
            let step = self.mvcc.events(&filter, next)?;
            assert!(step.next > next, "each step goes on");
            next = step.next;
            events.extend(step.events.iter().map(describe));
        }
        Ok(events)
    }
}

fn describe(event: &Event) -> String {
    let kind = match event {
        Event::Put { .. } => "put",
        Event::Delete { .. } => "delete",
    };
    let prev = event.prev().map(|kv| format!(" <{}>", text(&kv.value))).unwrap_or_default();
    format!("{} {kind} {}{prev}", event.kv().mod_revision, text(&event.kv().key))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn key(text: &str) -> Key {
    text.as_bytes().into()
}
