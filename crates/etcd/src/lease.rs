//! Leases: granted, kept alive, taken up again after a broken connection.

use std::time::Duration;

use etcd_client::{LeaseGrantOptions, LeaseKeepAliveStream, LeaseKeeper};
use flota_registry::LeaseId;

use rustix::rand::{GetRandomFlags, getrandom};
use tonic::Code;

use crate::client::{CALL_TIMEOUT, within};
use crate::{EtcdError, StoreClient};

/// Ids tried for one lease. Each is taken already with a chance of one to 2^48 per living lease.
const MAX_IDS_TRIED: usize = 4;

impl StoreClient {
    /// Grants a lease of Flota's own for `ttl` (whole seconds; a store may raise it to its minimum). Its id is one that applications
    /// cannot use ([`LeaseId::is_own`]).
    pub async fn grant(&self, ttl: Duration) -> Result<LeaseId, EtcdError> {
        let mut lease = self.client.lease_client();
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let mut tried = 0;
        loop {
            let id = LeaseId::own(random_number()?);
            let options = LeaseGrantOptions::new().with_id(id.0);
            tried += 1;
            match within(CALL_TIMEOUT, lease.grant(seconds, Some(options))).await {
                Ok(granted) => return Ok(LeaseId(granted.id())),
                Err(error) if is_taken(&error) && tried < MAX_IDS_TRIED => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens a keep-alive stream for a lease, which renews it at once.
    pub async fn keep_alive(&self, lease: LeaseId) -> Result<KeepAlive, EtcdError> {
        let mut client = self.client.lease_client();
        match within(CALL_TIMEOUT, client.keep_alive(lease.0)).await {
            Ok((keeper, stream)) => Ok(KeepAlive { lease, keeper, stream }),
            Err(EtcdError::Call(etcd_client::Error::LeaseKeepAliveError(_))) => {
                Err(EtcdError::LeaseExpired { id: lease.0 })
            }
            Err(other) => Err(other),
        }
    }
}

/// Whether a lease has that id already.
fn is_taken(error: &EtcdError) -> bool {
    error.status().is_some_and(|status| status.code() == Code::FailedPrecondition)
}

/// A number that nobody can guess.
pub fn random_number() -> Result<u64, EtcdError> {
    let mut bytes = [0; 8];
    // The kernel gives 8 bytes whole or not at all.
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|errno| EtcdError::Random { source: errno.into() })?;
    Ok(u64::from_le_bytes(bytes))
}

/// A keep-alive stream.
pub struct KeepAlive {
    lease: LeaseId,
    keeper: LeaseKeeper,
    stream: LeaseKeepAliveStream,
}

impl KeepAlive {
    /// Renews the lease once; returns the store's revision, as far as who answered knows it. What the store answers is to this renewal, never to an earlier one.
    pub async fn renew(&mut self) -> Result<i64, EtcdError> {
        within(CALL_TIMEOUT, self.keeper.keep_alive()).await?;
        match within(CALL_TIMEOUT, self.stream.message()).await? {
            Some(answer) if answer.ttl() > 0 => Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision)),
            Some(_) => Err(EtcdError::LeaseExpired { id: self.lease.0 }),
            None => Err(EtcdError::Ended { what: "keep-alive", reason: "stream closed".to_owned() }),
        }
    }
}
