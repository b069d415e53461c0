//! Watches: every change of a prefix from a revision on, in order and without gaps.

use etcd_client::{EventType, WatchOptions, WatchStream};
use flota_registry::Change;

use crate::client::{CALL_TIMEOUT, MAX_MESSAGE_BYTES, from_wire, prefix_end, within};
use crate::{EtcdError, StoreClient};

/// Changes that belong together: all of one or more whole revisions. Without changes it is the answer to
/// [`Watch::request_progress`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The last revision in it.
    pub revision: i64,
    /// The changes, in order.
    pub changes: Vec<Change>,
}

/// An open watch.
pub struct Watch {
    stream: WatchStream,
}

impl StoreClient {
    /// Watches one key from revision `from` (inclusive) on.
    pub async fn watch_key(&self, key: &str, from: i64) -> Result<Watch, EtcdError> {
        self.watch(key, WatchOptions::new().with_start_revision(from)).await
    }

    /// Watches all keys under `prefix` from revision `from` (inclusive) on.
    pub async fn watch_prefix(&self, prefix: &str, from: i64) -> Result<Watch, EtcdError> {
        self.watch(prefix, WatchOptions::new().with_range(prefix_end(prefix)).with_start_revision(from)).await
    }

    async fn watch(&self, key: &str, options: WatchOptions) -> Result<Watch, EtcdError> {
        let mut client = self.client.watch_client().max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Watch { stream: within(CALL_TIMEOUT, client.watch(key, Some(options))).await? })
    }
}

impl Watch {
    /// Asks the store how far this watch is: [`Watch::next`] then returns a batch without changes, whose revision
    /// says up to where everything has been delivered. The store may pass a request over; ask again.
    pub async fn request_progress(&mut self) -> Result<(), EtcdError> {
        within(CALL_TIMEOUT, self.stream.request_progress()).await
    }

    /// Waits for the next changes. After an error the watch is over. Nothing is lost if the wait is dropped.
    pub async fn next(&mut self) -> Result<Batch, EtcdError> {
        loop {
            let Some(response) = self.stream.message().await? else {
                return Err(EtcdError::Ended { what: "watch", reason: "stream closed".to_owned() });
            };
            if response.compact_revision() > 0 {
                return Err(EtcdError::Compacted { revision: response.compact_revision() });
            }
            if response.canceled() {
                return Err(EtcdError::Ended { what: "watch", reason: response.cancel_reason().to_owned() });
            }
            if let Some(batch) = to_batch(&response) {
                return Ok(batch);
            }
        }
    }
}

/// None for the response that only says that the watch was created.
fn to_batch(response: &etcd_client::WatchResponse) -> Option<Batch> {
    if response.events().is_empty() && !response.created() {
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        return (revision > 0).then_some(Batch { revision, changes: Vec::new() });
    }
    let mut revision = 0;
    let mut changes = Vec::with_capacity(response.events().len());
    for event in response.events() {
        let Some(pair) = event.kv() else { continue };
        revision = revision.max(pair.mod_revision());
        let Some(pair) = from_wire(pair.clone()) else { continue };
        changes.push(match event.event_type() {
            EventType::Put => Change::Put(pair),
            EventType::Delete => Change::Delete { key: pair.key },
        });
    }
    (revision > 0).then_some(Batch { revision, changes })
}
