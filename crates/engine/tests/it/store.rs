//! A store of keys and revisions, in memory: what the engine's transactions meet.

use std::collections::BTreeMap;

use flota_registry::{Change, ClusterSnapshot, Compare, Key, KeyValue, LeaseId, Op, Txn};

/// Keys with their revisions, and every change since the beginning.
#[derive(Default)]
pub struct FakeStore {
    pub revision: i64,
    keys: BTreeMap<String, KeyValue>,
    history: Vec<(i64, Vec<Change>)>,
}

impl FakeStore {
    /// Carries out the transaction; the revision, or none when a compare did not hold.
    pub fn commit(&mut self, txn: &Txn) -> Option<i64> {
        let holds = |compare: &Compare| match compare {
            Compare::Absent(key) => !self.keys.contains_key(key),
            Compare::Unchanged { key, mod_revision } => {
                self.keys.get(key).is_some_and(|pair| pair.mod_revision == *mod_revision)
            }
        };
        if !txn.compares.iter().all(holds) {
            return None;
        }
        self.revision += 1;
        let changes = txn.ops.iter().filter_map(|op| self.carry_out(op)).collect();
        self.history.push((self.revision, changes));
        Some(self.revision)
    }

    fn carry_out(&mut self, op: &Op) -> Option<Change> {
        match op {
            Op::Put { key, value, lease } => {
                let create_revision = self.keys.get(key).map_or(self.revision, |pair| pair.create_revision);
                let pair = KeyValue {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision,
                    mod_revision: self.revision,
                    lease: *lease,
                };
                self.keys.insert(key.clone(), pair.clone());
                Some(Change::Put(pair))
            }
            Op::Delete { key } => self.keys.remove(key).map(|_| Change::Delete { key: key.clone() }),
        }
    }

    /// Writes raw bytes, as a later version might.
    pub fn put_raw(&mut self, key: &Key, value: &[u8], lease: Option<LeaseId>) {
        let op = Op::Put { key: key.to_string(), value: value.to_vec(), lease };
        assert!(self.commit(&Txn { compares: Vec::new(), ops: vec![op] }).is_some());
    }

    /// The lease ends, and its keys with it.
    pub fn expire(&mut self, lease: LeaseId) {
        let gone = self.keys.values().filter(|pair| pair.lease == Some(lease));
        let ops = gone.map(|pair| Op::Delete { key: pair.key.clone() }).collect();
        assert!(self.commit(&Txn { compares: Vec::new(), ops }).is_some());
    }

    pub fn get(&self, key: &Key) -> Option<&KeyValue> {
        self.keys.get(&key.to_string())
    }

    /// The changes after `revision`.
    pub fn since(&self, revision: i64) -> Vec<(i64, Vec<Change>)> {
        let from = self.history.partition_point(|(at, _)| *at <= revision);
        self.history[from..].to_vec()
    }

    pub fn snapshot(&self) -> ClusterSnapshot {
        ClusterSnapshot::from_range(self.revision, self.keys.values().cloned())
    }
}
