//! Transactions: checked whole, compared whole, and only then run.

use std::collections::BTreeSet;

use crate::batch::{Batch, check_put, check_range};
use crate::index::View;
use crate::intervals::Intervals;
use crate::{
    Compare, CompareResult, CompareTarget, Error, Key, KeyValue, Response, Revision, TxnOp, TxnRequest, TxnResponse,
};

/// The branch taken by a transaction and by each one inside that branch, in order.
struct Path {
    succeeded: bool,
    inner: Vec<Path>,
}

impl Batch<'_> {
    /// Decides the whole tree, checks it against the state, then runs it: a refused transaction has changed nothing. It has passed
    /// [`check`], and so has its caller.
    pub(crate) fn txn(&mut self, txn: &TxnRequest) -> Result<TxnResponse, Error> {
        let path = decide(self.view(), txn);
        // etcd looks at all puts before it looks at any range: that decides which error is told.
        self.check_branch(txn, &path, Self::check_put_op)?;
        self.check_branch(txn, &path, Self::check_range_op)?;
        let mut response = self.run(txn, &path);
        response.revision = self.header_revision();
        Ok(response)
    }

    /// Checks the chosen operations against the state; the rules of `check` make sure that none spoils a later one.
    /// `one` sees each of them but the transactions inside, whose operations it sees instead.
    fn check_branch(
        &self,
        txn: &TxnRequest,
        path: &Path,
        one: fn(&Self, &TxnOp) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut inner = path.inner.iter();
        for op in branch(txn, path.succeeded) {
            match op {
                TxnOp::Txn(txn) => {
                    if let Some(path) = inner.next() {
                        self.check_branch(txn, path, one)?;
                    }
                }
                op => one(self, op)?,
            }
        }
        Ok(())
    }

    fn check_put_op(&self, op: &TxnOp) -> Result<(), Error> {
        match op {
            TxnOp::Put(put) => self.check_previous(put).and_then(|()| self.check_lease(put)),
            _ => Ok(()),
        }
    }

    fn check_range_op(&self, op: &TxnOp) -> Result<(), Error> {
        match op {
            TxnOp::Range(range) => self.check_read(range),
            _ => Ok(()),
        }
    }

    fn run(&mut self, txn: &TxnRequest, path: &Path) -> TxnResponse {
        let mut inner = path.inner.iter();
        let mut responses = Vec::new();
        for op in branch(txn, path.succeeded) {
            responses.extend(match op {
                TxnOp::Range(range) => Some(Response::Range(self.range(range))),
                TxnOp::Put(put) => Some(Response::Put(self.put(put))),
                TxnOp::Delete(delete) => Some(Response::Delete(self.delete(delete))),
                TxnOp::Txn(txn) => inner.next().map(|path| Response::Txn(self.run(txn, path))),
            });
        }
        TxnResponse { revision: 0, succeeded: path.succeeded, responses }
    }
}

fn branch(txn: &TxnRequest, succeeded: bool) -> &[TxnOp] {
    if succeeded { &txn.success } else { &txn.failure }
}

// === What can be wrong with a transaction by itself ===

/// Limits, empty keys and keys written twice, in both branches.
pub(crate) fn check(txn: &TxnRequest, max_ops: usize) -> Result<(), Error> {
    check_ops(txn, max_ops)?;
    check_branch_writes(&txn.success)?;
    check_branch_writes(&txn.failure)?;
    Ok(())
}

/// `limit` counts down with depth, so nesting ends before the stack does.
fn check_ops(txn: &TxnRequest, limit: usize) -> Result<(), Error> {
    let ops = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    let left = limit.checked_sub(ops).ok_or(Error::TooManyOps)?;
    for compare in &txn.compare {
        check_range(&compare.range)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            TxnOp::Range(range) => check_range(&range.range)?,
            TxnOp::Put(put) => check_put(put)?,
            TxnOp::Delete(delete) => check_range(&delete.range)?,
            TxnOp::Txn(txn) => check_ops(txn, left)?,
        }
    }
    Ok(())
}

/// The keys that a branch puts and the ranges that it deletes.
#[derive(Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Intervals,
}

/// No key may be put twice, or put and deleted, by operations that can run together.
fn check_branch_writes(ops: &[TxnOp]) -> Result<Writes<'_>, Error> {
    let mut writes = Writes::default();
    for op in ops {
        if let TxnOp::Delete(delete) = op {
            writes.deletes.insert(&delete.range);
        }
    }
    for op in ops {
        if let TxnOp::Txn(txn) = op {
            let success = check_branch_writes(&txn.success)?;
            let failure = check_branch_writes(&txn.failure)?;
            for key in success.puts.union(&failure.puts) {
                writes.put(key)?;
            }
            writes.deletes.merge(success.deletes);
            writes.deletes.merge(failure.deletes);
        }
    }
    for op in ops {
        if let TxnOp::Put(put) = op {
            writes.put(&put.key)?;
        }
    }
    Ok(writes)
}

impl<'a> Writes<'a> {
    fn put(&mut self, key: &'a [u8]) -> Result<(), Error> {
        if self.deletes.contains(key) || !self.puts.insert(key) { Err(Error::DuplicateKey) } else { Ok(()) }
    }
}

// === Compares ===

/// Decides every transaction of the tree against the state before any of them has run.
fn decide(view: View<'_>, txn: &TxnRequest) -> Path {
    let succeeded = txn.compare.iter().all(|compare| holds(view, compare));
    let inner = branch(txn, succeeded)
        .iter()
        .filter_map(|op| if let TxnOp::Txn(txn) = op { Some(decide(view, txn)) } else { None })
        .collect();
    Path { succeeded, inner }
}

fn holds(view: View<'_>, compare: &Compare) -> bool {
    let mut keys = view.at(&compare.range, Revision::MAX).peekable();
    if keys.peek().is_none() {
        return holds_without_key(compare);
    }
    keys.all(|kv| holds_for(compare, kv))
}

/// A key that does not exist has all numbers 0, but no value, not even an empty one.
fn holds_without_key(compare: &Compare) -> bool {
    let zeros = KeyValue::tombstone(Key::default(), 0);
    !matches!(compare.target, CompareTarget::Value(_)) && holds_for(compare, &zeros)
}

fn holds_for(compare: &Compare, kv: &KeyValue) -> bool {
    let ordering = match &compare.target {
        CompareTarget::Version(version) => kv.version.cmp(version),
        CompareTarget::Create(revision) => kv.create_revision.cmp(revision),
        CompareTarget::Mod(revision) => kv.mod_revision.cmp(revision),
        CompareTarget::Value(value) => (*kv.value).cmp(value.as_slice()),
        CompareTarget::Lease(id) => kv.lease.map_or(0, crate::LeaseId::get).cmp(id),
    };
    match compare.result {
        CompareResult::Equal => ordering.is_eq(),
        CompareResult::Greater => ordering.is_gt(),
        CompareResult::Less => ordering.is_lt(),
        CompareResult::NotEqual => ordering.is_ne(),
    }
}
