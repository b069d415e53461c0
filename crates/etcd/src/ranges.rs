//! Many ranges of keys, all read at one revision in few calls.

use etcd_client::{GetOptions, Txn, TxnOp, TxnOpResponse};
use flota_registry::KeyValue;

use crate::client::{CALL_TIMEOUT, MAX_MESSAGE_BYTES, PAGE_KEYS, from_wire, within};
use crate::{EtcdError, StoreClient};

/// Ranges in one transaction; what etcd takes by default.
const MAX_RANGES: usize = 128;

/// All keys from one on, up to another one that is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    /// The first key.
    pub key: String,
    /// The first key after it.
    pub end: String,
}

impl KeyRange {
    /// A path such as `/a` and all keys below it; keys such as `/a-b` are in it, too, as they lie between.
    pub fn tree(path: &str) -> KeyRange {
        let path = path.trim_end_matches('/');
        // `0` comes after `/`.
        KeyRange { key: if path.is_empty() { "/".to_owned() } else { path.to_owned() }, end: format!("{path}0") }
    }
}

impl StoreClient {
    /// Reads all keys of these ranges at one revision.
    pub async fn ranges(&self, ranges: &[KeyRange]) -> Result<(i64, Vec<KeyValue>), EtcdError> {
        let mut revision = 0;
        let mut pairs = Vec::new();
        for some in ranges.chunks(MAX_RANGES) {
            let options = |range: &KeyRange| {
                GetOptions::new().with_range(range.end.as_bytes()).with_limit(PAGE_KEYS).with_revision(revision)
            };
            let gets: Vec<TxnOp> =
                some.iter().map(|range| TxnOp::get(range.key.as_str(), Some(options(range)))).collect();
            let mut kv = self.client.kv_client().max_decoding_message_size(MAX_MESSAGE_BYTES);
            let response = within(CALL_TIMEOUT, kv.txn(Txn::new().and_then(gets))).await?;
            if revision == 0 {
                revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
            }
            for (range, answer) in some.iter().zip(response.op_responses()) {
                let TxnOpResponse::Get(mut answer) = answer else { continue };
                let more = answer.more();
                pairs.extend(answer.take_kvs().into_iter().filter_map(from_wire));
                if more && let Some(last) = pairs.last() {
                    let rest = KeyRange { key: format!("{}\0", last.key), end: range.end.clone() };
                    pairs.extend(self.rest_of(&rest, revision).await?);
                }
            }
        }
        Ok((revision, pairs))
    }

    /// Page by page; the pages grow as long as what is in them is small.
    async fn rest_of(&self, range: &KeyRange, revision: i64) -> Result<Vec<KeyValue>, EtcdError> {
        let mut pairs: Vec<KeyValue> = Vec::new();
        let mut from = range.key.clone();
        let mut limit = PAGE_KEYS;
        loop {
            let options = GetOptions::new().with_range(range.end.as_bytes()).with_limit(limit).with_revision(revision);
            let (_, page, more) = self.page(&from, options).await?;
            let bytes: usize = page.iter().map(|pair| pair.key.len() + pair.value.len()).sum();
            limit = if bytes <= SMALL_PAGE_BYTES { (limit * 4).min(MAX_PAGE_KEYS) } else { PAGE_KEYS };
            pairs.extend(page);
            match pairs.last() {
                Some(last) if more => from = format!("{}\0", last.key),
                _ => return Ok(pairs),
            }
        }
    }
}

/// After a page of at most so many bytes the next one has four times as many keys.
const SMALL_PAGE_BYTES: usize = 1 << 20;
/// Most keys of one page.
const MAX_PAGE_KEYS: i64 = 6_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_the_path_and_all_below_it() {
        let range = |key: &str, end: &str| KeyRange { key: key.to_owned(), end: end.to_owned() };
        assert_eq!(KeyRange::tree("/a/b"), range("/a/b", "/a/b0"));
        assert_eq!(KeyRange::tree("/"), range("/", "0"));
        assert_eq!(KeyRange::tree("/a/"), range("/a", "/a0"));
    }
}
