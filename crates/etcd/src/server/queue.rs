//! A place in the queue below a prefix.

use etcd_client::proto::PbResponseHeader;
use tonic::Status;

use super::calls::{Calls, delete};

/// A key of somebody who waits; taken away when he gives up.
pub(super) struct Place {
    calls: Calls,
    key: Vec<u8>,
    revision: i64,
    waiting: bool,
}

/// The key of a lease below a prefix.
pub(super) fn key(prefix: &[u8], lease: i64) -> Vec<u8> {
    let mut key = prefix.to_vec();
    key.extend(format!("{lease:x}").into_bytes());
    key
}

/// The prefix of a name.
pub(super) fn prefix(name: &[u8]) -> Vec<u8> {
    [name, b"/"].concat()
}

impl Place {
    /// The place of `key`, which was created at `revision`.
    pub(super) fn new(calls: Calls, key: Vec<u8>, revision: i64) -> Place {
        Place { calls, key, revision, waiting: true }
    }

    /// Waits until it is the first one below `prefix`; gives it up on an error.
    pub(super) async fn first(mut self, prefix: &[u8]) -> Result<Option<PbResponseHeader>, Status> {
        let header = self.calls.wait_for_older(prefix, self.revision - 1).await?;
        self.waiting = false;
        Ok(header)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.waiting {
            let (calls, key, revision) = (self.calls.clone(), std::mem::take(&mut self.key), self.revision);
            runtime.spawn(async move {
                // A key that cannot be taken away now goes with its lease.
                let _ = calls.if_created((&key, revision), vec![delete(&key)], Vec::new()).await;
            });
        }
    }
}
