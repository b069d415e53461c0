//! Keys of applications that live under a lease: written once, owned by whoever's lease they have.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse};
use flota_registry::LeaseId;

use crate::client::{CALL_TIMEOUT, within};
use crate::{EtcdError, StoreClient};

/// What became of a key that was to be put under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased {
    /// It is there, with this value and under this lease.
    Here,
    /// It is under another lease, or under none, and was left alone.
    Taken,
}

impl StoreClient {
    /// Grants a lease for keys of applications, for `ttl` in seconds. The store picks its id: none of Flota's own, so the
    /// gateway shows it.
    pub async fn grant_application(&self, ttl: u32) -> Result<LeaseId, EtcdError> {
        let granted = within(CALL_TIMEOUT, self.client.lease_client().grant(ttl.into(), None)).await?;
        Ok(LeaseId(granted.id()))
    }

    /// Puts a key under a lease. A key that is so already is not written again, and wakes no watcher. One that somebody
    /// else has is overwritten if so asked, else left alone.
    pub async fn put_leased(
        &self,
        key: &str,
        value: &[u8],
        lease: LeaseId,
        overwrite: bool,
    ) -> Result<Leased, EtcdError> {
        let put = || TxnOp::put(key, value, Some(PutOptions::new().with_lease(lease.0)));
        let ours = Compare::lease(key, CompareOp::Equal, lease.0);
        let same = Compare::value(key, CompareOp::Equal, value);
        let otherwise = if overwrite {
            put()
        } else {
            let absent = Txn::new().when([Compare::create_revision(key, CompareOp::Equal, 0)]).and_then([put()]);
            TxnOp::txn(Txn::new().when([ours.clone()]).and_then([put()]).or_else([TxnOp::txn(absent)]))
        };
        let txn = Txn::new().when([ours, same]).or_else([otherwise]);
        let response = within(CALL_TIMEOUT, self.client.kv_client().txn(txn)).await?;
        let here = response.succeeded() || response.op_responses().iter().all(written);
        Ok(if here { Leased::Here } else { Leased::Taken })
    }

    /// Removes a key if it is under this lease.
    pub async fn delete_leased(&self, key: &str, lease: LeaseId) -> Result<(), EtcdError> {
        let ours = Compare::lease(key, CompareOp::Equal, lease.0);
        let txn = Txn::new().when([ours]).and_then([TxnOp::delete(key, None)]);
        within(CALL_TIMEOUT, self.client.kv_client().txn(txn)).await?;
        Ok(())
    }

    /// Renews a lease once; [`EtcdError::LeaseExpired`] if the store does not know it.
    pub async fn renew(&self, lease: LeaseId) -> Result<(), EtcdError> {
        self.keep_alive(lease).await.map(drop)
    }

    /// Ends a lease, and its keys with it. One that the store does not know has ended already.
    pub async fn revoke(&self, lease: LeaseId) -> Result<(), EtcdError> {
        match within(CALL_TIMEOUT, self.client.lease_client().revoke(lease.0)).await {
            Err(error) if error.is_unknown_lease() => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Whether an operation wrote, or a transaction in its place did.
fn written(response: &TxnOpResponse) -> bool {
    match response {
        TxnOpResponse::Put(_) => true,
        // The innermost one, whose compare did not hold, has no answers.
        TxnOpResponse::Txn(inner) => inner.succeeded() || inner.op_responses().iter().any(written),
        _ => false,
    }
}
