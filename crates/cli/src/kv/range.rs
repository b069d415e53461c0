//! Ranges of keys, read page by page.

use etcd_client::{GetOptions, KeyValue};

use super::{Store, call_failed};
use crate::{exit::Exit, failure::Failure};

/// Keys asked for at once; with values of etcd's largest size their answer is still taken in.
const PAGE_KEYS: i64 = 100;
/// The same without values.
const PAGE_BARE_KEYS: i64 = 10_000;
/// Where the cluster's own keys are.
const RESERVED: &[u8] = b"/flota/";

/// The keys from `start` up to `end`; without an end the one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first key.
    pub start: Vec<u8>,
    /// The first key after the range.
    pub end: Option<Vec<u8>>,
}

impl Range {
    /// One key.
    pub fn key(key: &str) -> Range {
        Range { start: key.as_bytes().to_vec(), end: None }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Range {
        // A range cannot start with the empty key.
        let start = if prefix.is_empty() { vec![0] } else { prefix.to_vec() };
        Range { start, end: Some(prefix_end(prefix)) }
    }

    fn touches(&self, prefix: &[u8]) -> bool {
        match &self.end {
            None => self.start.starts_with(prefix),
            // An end of a zero byte alone is the end of all keys.
            Some(end) => self.start < prefix_end(prefix) && (end.as_slice() == [0] || end.as_slice() > prefix),
        }
    }
}

/// Fails if a write to this range would reach the cluster's own keys. The gateway would refuse it too; a store that is
/// reached directly would not.
pub fn refuse_reserved(range: &Range) -> Result<(), Failure> {
    if !range.touches(RESERVED) {
        return Ok(());
    }
    Err(Failure::new(Exit::FAILURE, "the keys below /flota/ are the cluster's own: nothing was changed")
        .with_hint("units are changed with flota submit, start, stop and destroy"))
}

fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

/// One page of a range, and whether there is more; `revision` 0 is now.
pub async fn page(store: &Store, range: &Range, revision: i64, bare: bool, limit: i64) -> Result<Page, Failure> {
    let mut options = GetOptions::new().with_revision(revision).with_limit(limit);
    if let Some(end) = &range.end {
        options = options.with_range(end.clone());
    }
    if bare {
        options = options.with_keys_only();
    }
    let what = || format!("cannot read {}", super::shown(&range.start));
    let mut response =
        store.call(store.kv().get(range.start.clone(), Some(options))).await.map_err(call_failed(store, what))?;
    let revision = response.header().map_or(revision, etcd_client::ResponseHeader::revision);
    Ok(Page { revision, more: response.more(), pairs: response.take_kvs() })
}

/// A part of a range.
pub struct Page {
    /// The store's revision when it was read.
    pub revision: i64,
    /// The range goes on.
    pub more: bool,
    /// The keys.
    pub pairs: Vec<KeyValue>,
}

/// A whole range, or its first `limit` keys, as it was at one revision.
pub async fn pages(
    store: &Store,
    range: &Range,
    revision: i64,
    bare: bool,
    limit: Option<u32>,
) -> Result<Vec<KeyValue>, Failure> {
    let most = if bare { PAGE_BARE_KEYS } else { PAGE_KEYS };
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let (mut range, mut revision, mut found) = (range.clone(), revision, Vec::new());
    loop {
        let left = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
        let page = page(store, &range, revision, bare, left.min(most)).await?;
        if revision == 0 {
            revision = page.revision;
        }
        found.extend(page.pairs);
        match found.last() {
            Some(last) if page.more && found.len() < limit => {
                range.start = [last.key(), b"\0"].concat();
            }
            _ => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clusters_own_keys() {
        let touches = |range: &Range| refuse_reserved(range).is_err();
        for key in ["/flota/", "/flota/v1/leader"] {
            assert!(touches(&Range::key(key)), "{key}");
        }
        for key in ["/flota", "/flotas", "/a", "flota/"] {
            assert!(!touches(&Range::key(key)), "{key}");
        }
        for prefix in ["", "/", "/f", "/flota", "/flota/v1/units/"] {
            assert!(touches(&Range::prefix(prefix.as_bytes())), "{prefix}");
        }
        for prefix in ["/flotas/", "/a", "/g", "flota/"] {
            assert!(!touches(&Range::prefix(prefix.as_bytes())), "{prefix}");
        }
    }
}
