//! Reading a store back from its records, faster than one by one.

use crate::index::Created;
use crate::{Change, Millis, Mvcc, Record, ReplayError};

/// A store that is being read back. Keys that commits create are kept aside until something asks for them, and then put into the index in
/// their order: most of the time to look for a key's place is spent waiting for memory that its neighbours need too.
#[derive(Debug, Default)]
pub struct Replay {
    state: Mvcc,
    created: Created,
}

impl Replay {
    /// Begins with an empty store.
    pub fn new() -> Replay {
        Replay::default()
    }

    /// Applies the next record; refuses one that does not follow from those before it, and nothing may be applied after that.
    pub fn apply(&mut self, now: Millis, record: Record) -> Result<(), ReplayError> {
        match record {
            Record::Commit { revision, changes } if changes.iter().all(creates) => {
                self.state.check_follows(revision)?;
                let created = changes.into_iter().filter_map(|change| match change {
                    Change::Put(kv) => Some(kv),
                    Change::Delete(_) => None,
                });
                let events = created.inspect(|kv| self.created.push(kv));
                self.state.commit_created(revision, events);
                Ok(())
            }
            // Looks at no key.
            Record::LeaseGrant { .. } => self.state.replay(now, record),
            record => {
                self.settle();
                self.state.replay(now, record)
            }
        }
    }

    /// The store.
    pub fn finish(mut self) -> Mvcc {
        self.settle();
        self.state
    }

    fn settle(&mut self) {
        self.state.index.extend(std::mem::take(&mut self.created));
    }
}

/// A first version: whatever was there before is deleted, so nothing is to be looked up.
fn creates(change: &Change) -> bool {
    matches!(change, Change::Put(kv) if kv.version == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, KeyRange, KeyValue, PutRequest, RangeRequest, Request};
    use std::sync::Arc;

    fn all(state: &Mvcc) -> Vec<Arc<KeyValue>> {
        state.range(&RangeRequest::new(KeyRange::From(Key::from(&b"\0"[..])))).unwrap().kvs
    }

    #[test]
    fn keys_come_into_their_order_wherever_they_differ() {
        let keys =
            ["same/b", "same/", "same/a-long-one-2", "same", "same/a-long-one", "same/a-long-one-10", "same/\u{ff}"];
        let mut store = Mvcc::new();
        let mut records = Vec::new();
        // The first is written a second time between the others, so that some come to an index that holds keys already.
        for key in keys[..4].iter().chain(&keys[..1]).chain(&keys[4..]) {
            let put = PutRequest { key: key.as_bytes().into(), value: b"value".into(), ..PutRequest::default() };
            let mut batch = store.batch(Millis(0));
            batch.evaluate(&Request::Put(put)).unwrap();
            let pending = batch.finish();
            records.extend(pending.records.clone());
            store.apply(Millis(0), pending);
        }
        let mut replay = Replay::new();
        for record in records {
            replay.apply(Millis(0), record).unwrap();
        }
        let again = replay.finish();
        assert_eq!(all(&again), all(&store));
        assert_eq!((again.keys(), again.bytes(), again.revision()), (store.keys(), store.bytes(), store.revision()));
        assert!(all(&again).is_sorted_by_key(|kv| Arc::clone(&kv.key)));
    }
}
