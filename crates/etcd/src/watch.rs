//! Watches: every change of a prefix from a revision on, in order and without gaps.

use std::collections::VecDeque;

use etcd_client::{EventType, WatchOptions, WatchStream};
use flota_registry::Change;

use crate::client::{CALL_TIMEOUT, MAX_MESSAGE_BYTES, from_wire, prefix_end, within};
use crate::{EtcdError, KeyRange, StoreClient};

/// Changes that belong together: all of one revision. Without changes it is the answer to
/// [`Watch::request_progress`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The revision.
    pub revision: i64,
    /// The changes, in order.
    pub changes: Vec<Change>,
}

/// An open watch.
pub struct Watch {
    stream: WatchStream,
    /// What came in one response and was not returned yet.
    ready: VecDeque<Batch>,
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

    /// Watches all keys of a range from revision `from` (inclusive) on.
    pub async fn watch_range(&self, range: &KeyRange, from: i64) -> Result<Watch, EtcdError> {
        let options = WatchOptions::new().with_range(range.end.as_bytes()).with_start_revision(from);
        self.watch(&range.key, options).await
    }

    async fn watch(&self, key: &str, options: WatchOptions) -> Result<Watch, EtcdError> {
        let mut client = self.client.watch_client().max_decoding_message_size(MAX_MESSAGE_BYTES);
        let stream = within(CALL_TIMEOUT, client.watch(key, Some(options))).await?;
        Ok(Watch { stream, ready: VecDeque::new() })
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
            if let Some(batch) = self.ready.pop_front() {
                return Ok(batch);
            }
            let Some(response) = self.stream.message().await? else {
                return Err(EtcdError::Ended { what: "watch", reason: "stream closed".to_owned() });
            };
            if response.compact_revision() > 0 {
                return Err(EtcdError::Compacted { revision: response.compact_revision() });
            }
            if response.canceled() {
                return Err(EtcdError::Ended { what: "watch", reason: response.cancel_reason().to_owned() });
            }
            self.ready = to_batches(&response);
        }
    }
}

/// One batch for each revision, in order; none for the response that only says that the watch was created.
fn to_batches(response: &etcd_client::WatchResponse) -> VecDeque<Batch> {
    if response.events().is_empty() && !response.created() {
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        return VecDeque::from([Batch { revision, changes: Vec::new() }]);
    }
    let mut batches: VecDeque<Batch> = VecDeque::new();
    for event in response.events() {
        let Some(pair) = event.kv() else { continue };
        let revision = pair.mod_revision();
        let Some(pair) = from_wire(pair.clone()) else { continue };
        let change = match event.event_type() {
            EventType::Put => Change::Put(pair),
            EventType::Delete => Change::Delete { key: pair.key },
        };
        match batches.back_mut() {
            Some(batch) if batch.revision == revision => batch.changes.push(change),
            _ => batches.push_back(Batch { revision, changes: vec![change] }),
        }
    }
    batches
}
