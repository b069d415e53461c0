//! Leases: granted, kept alive, taken up again after a broken connection.

use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use flota_registry::LeaseId;

use crate::client::{CALL_TIMEOUT, within};
use crate::{EtcdError, StoreClient};

impl StoreClient {
    /// Grants a lease of `ttl` (whole seconds; a store may raise it to its minimum).
    pub async fn grant(&self, ttl: Duration) -> Result<LeaseId, EtcdError> {
        let mut lease = self.client.lease_client();
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        Ok(LeaseId(within(CALL_TIMEOUT, lease.grant(seconds, None)).await?.id()))
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

/// A keep-alive stream.
pub struct KeepAlive {
    lease: LeaseId,
    keeper: LeaseKeeper,
    stream: LeaseKeepAliveStream,
}

impl KeepAlive {
    /// Renews the lease for ever, `interval` apart; returns only with what went wrong.
    pub async fn run(mut self, interval: Duration) -> EtcdError {
        loop {
            tokio::time::sleep(interval).await;
            if let Err(error) = self.renew().await {
                return error;
            }
        }
    }

    async fn renew(&mut self) -> Result<(), EtcdError> {
        within(CALL_TIMEOUT, self.keeper.keep_alive()).await?;
        match within(CALL_TIMEOUT, self.stream.message()).await? {
            Some(answer) if answer.ttl() > 0 => Ok(()),
            Some(_) => Err(EtcdError::LeaseExpired { id: self.lease.0 }),
            None => Err(EtcdError::Ended { what: "keep-alive", reason: "stream closed".to_owned() }),
        }
    }
}
