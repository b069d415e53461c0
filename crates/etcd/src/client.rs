//! Reads and transactions.

use std::future::Future;
use std::time::Duration;

use etcd_client::{Client, CompareOp, ConnectOptions, GetOptions, PutOptions, TxnOp};
use flota_registry::{Compare, KeyValue, LeaseId, Op, Txn};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;

use crate::config::Way;
use crate::{Access, ClientConfig, EtcdError};

/// Longest wait for the answer to one call.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a read is sent, where the store has several members.
const MAX_READS: u32 = 3;
/// Keys read by one call; a larger range is read page by page, all at one revision.
pub(crate) const PAGE_KEYS: i64 = 100;
/// Largest answer taken in: a page of values at etcd's own limit of 1.5 MiB each.
pub(crate) const MAX_MESSAGE_BYTES: usize = 160 << 20;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// All compares held; the writes are durable at this revision.
    Yes(i64),
    /// A compare did not hold; nothing was written.
    No,
}

/// One key, and who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The store's revision.
    pub revision: i64,
    /// The store's own id, as its headers have it; 0 where they have none.
    pub store_id: u64,
    /// The key's pair, if it exists.
    pub pair: Option<KeyValue>,
}

/// A connection to the store; clones share it.
#[derive(Clone)]
pub struct StoreClient {
    pub(crate) client: Client,
    /// Whether another member may do what one does not.
    several: bool,
}

impl StoreClient {
    /// Prepares a connection; nothing is sent before the first call.
    pub async fn new(config: &ClientConfig) -> Result<StoreClient, EtcdError> {
        StoreClient::on(config.way()?, None).await
    }

    /// Prepares a connection to a store that is not Flota's own. With a user it logs in at once; the store may end what that
    /// gives, and then refuses calls until a new client is made.
    pub async fn guest(endpoints: &[String], access: &Access) -> Result<StoreClient, EtcdError> {
        let way = access.way(endpoints)?;
        match tokio::time::timeout(CALL_TIMEOUT, StoreClient::on(way, access.user.clone())).await {
            Ok(client) => client,
            Err(_) => Err(EtcdError::Timeout { limit: CALL_TIMEOUT }),
        }
    }

    async fn on(way: Way, user: Option<(String, String)>) -> Result<StoreClient, EtcdError> {
        let (channel, several) = match way {
            Way::One(channel) => (etcd_client::Channel::Tonic(channel), false),
            Way::Several(members) => (etcd_client::Channel::Custom(BoxCloneSyncService::new(members)), true),
        };
        // A member without a leader then refuses at once, and ends its watches, instead of being silent.
        let mut options = ConnectOptions::new().with_require_leader(true);
        if let Some((name, password)) = user {
            options = options.with_user(name, password);
        }
        Ok(StoreClient { client: Client::from_channel(channel, Some(options)).await?, several })
    }

    /// Reads one key, and the store's revision.
    pub async fn get(&self, key: &str) -> Result<(i64, Option<KeyValue>), EtcdError> {
        let (revision, mut pairs, _) = self.page(key, GetOptions::new()).await?;
        Ok((revision, pairs.pop()))
    }

    /// Reads one key, the store's revision, and which store it is.
    pub async fn look(&self, key: &str) -> Result<Look, EtcdError> {
        let mut kv = self.client.kv_client();
        let mut response = within(CALL_TIMEOUT, kv.get(key, None)).await?;
        let header = response.header();
        let revision = header.map_or(0, etcd_client::ResponseHeader::revision);
        let store_id = header.map_or(0, etcd_client::ResponseHeader::cluster_id);
        Ok(Look { revision, store_id, pair: response.take_kvs().into_iter().find_map(from_wire) })
    }

    /// Reads all keys under `prefix` at one revision.
    pub async fn range(&self, prefix: &str) -> Result<(i64, Vec<KeyValue>), EtcdError> {
        self.pages(prefix, 0).await
    }

    /// Reads all keys under `prefix` as they were at `revision`; refused when that is compacted or yet to come
    /// ([`EtcdError::no_such_revision`]).
    pub async fn range_at(&self, prefix: &str, revision: i64) -> Result<Vec<KeyValue>, EtcdError> {
        Ok(self.pages(prefix, revision).await?.1)
    }

    /// Page by page at `revision`; at the first page's where it is 0.
    async fn pages(&self, prefix: &str, revision: i64) -> Result<(i64, Vec<KeyValue>), EtcdError> {
        let end = prefix_end(prefix);
        let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE_KEYS).with_revision(revision);
        let (current, mut pairs, mut more) = self.page(prefix, options).await?;
        let revision = if revision > 0 { revision } else { current };
        while let (true, Some(last)) = (more, pairs.last()) {
            let from = format!("{}\0", last.key);
            let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE_KEYS).with_revision(revision);
            let (_, next, goes_on) = self.page(&from, options).await?;
            pairs.extend(next);
            more = goes_on;
        }
        Ok((revision, pairs))
    }

    /// Carries out a transaction. It is sent once.
    pub async fn commit(&self, txn: &Txn) -> Result<Committed, EtcdError> {
        let mut kv = self.client.kv_client();
        let response = within(CALL_TIMEOUT, kv.txn(to_wire(txn))).await?;
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok(if response.succeeded() { Committed::Yes(revision) } else { Committed::No })
    }

    pub(crate) async fn page(&self, key: &str, options: GetOptions) -> Result<(i64, Vec<KeyValue>, bool), EtcdError> {
        let mut kv = self.client.kv_client().max_decoding_message_size(MAX_MESSAGE_BYTES);
        let deadline = Instant::now() + CALL_TIMEOUT;
        let mut sent = 0;
        let mut response = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            sent += 1;
            match within(left, kv.get(key, Some(options.clone()))).await {
                Err(error) if self.several && error.is_of_one_member() && sent < MAX_READS => {}
                other => break other?,
            }
        };
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        let more = response.more();
        Ok((revision, response.take_kvs().into_iter().filter_map(from_wire).collect(), more))
    }
}

/// The first key after all keys with `prefix` (a key prefix of Flota's ends in `/`).
pub(crate) fn prefix_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0] // Everything.
}

/// Bounds a call in time.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, EtcdError> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(EtcdError::Timeout { limit }),
    }
}

fn to_wire(txn: &Txn) -> etcd_client::Txn {
    let compares = txn.compares.iter().map(|compare| match compare {
        Compare::Absent(key) => etcd_client::Compare::create_revision(key.as_str(), CompareOp::Equal, 0),
        Compare::Unchanged { key, mod_revision } => {
            etcd_client::Compare::mod_revision(key.as_str(), CompareOp::Equal, *mod_revision)
        }
    });
    let ops = txn.ops.iter().map(|op| match op {
        Op::Put { key, value, lease } => {
            let options = lease.map(|LeaseId(id)| PutOptions::new().with_lease(id));
            TxnOp::put(key.as_str(), value.as_slice(), options)
        }
        Op::Delete { key } => TxnOp::delete(key.as_str(), None),
    });
    etcd_client::Txn::new().when(compares.collect::<Vec<_>>()).and_then(ops.collect::<Vec<_>>())
}

/// None for a key that is not UTF-8: Flota writes none such, so it is nobody's business here.
pub(crate) fn from_wire(pair: etcd_client::KeyValue) -> Option<KeyValue> {
    let (create_revision, mod_revision, lease) = (pair.create_revision(), pair.mod_revision(), pair.lease());
    let (key, value) = pair.into_key_value();
    let key = String::from_utf8(key).ok()?;
    Some(KeyValue { key, value, create_revision, mod_revision, lease: (lease != 0).then_some(LeaseId(lease)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(prefix_end("/flota/v1/"), b"/flota/v10");
        assert_eq!(prefix_end(""), [0]);
    }
}
