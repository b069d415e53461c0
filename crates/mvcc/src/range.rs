//! Reading a range: revision checks, filters, order and limit, in etcd's sequence.

use std::sync::Arc;

use crate::index::View;
use crate::{Error, KeyValue, RangeRequest, RangeResponse, Revision, SortOrder, SortTarget};

/// Refuses revisions that are compacted or yet to come; 0 and less mean now.
pub(crate) fn check_revision(asked: Revision, compacted: Revision, current: Revision) -> Result<(), Error> {
    if asked <= 0 {
        Ok(())
    } else if asked > current {
        Err(Error::FutureRevision)
    } else if asked < compacted {
        Err(Error::Compacted)
    } else {
        Ok(())
    }
}

/// Reads the range; the revision has been checked. `current` is what the answer's header tells.
pub(crate) fn read(view: View<'_>, request: &RangeRequest, current: Revision) -> RangeResponse {
    let revision = if request.revision <= 0 { Revision::MAX } else { request.revision };
    let matches = view.at(&request.range, revision);
    let mut response =
        RangeResponse { revision: current, kvs: Vec::new(), keys_only: request.keys_only, more: false, count: 0 };
    if request.count_only {
        response.count = matches.count() as i64;
        return response;
    }
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let order = order(request);
    // Order and filters work on the whole range; a plain limit needs one pair more than it answers, which counts when a target sorts.
    let plain = request.sort_order == SortOrder::None && !filters(request);
    let fetch = if plain { limit.saturating_add(1) } else { usize::MAX };
    for kv in matches {
        response.count += 1;
        if response.kvs.len() < fetch {
            if passes(request, kv) {
                response.kvs.push(Arc::clone(kv));
            }
        } else {
            response.more = true;
        }
    }
    sort(&mut response.kvs, order, request.sort_target);
    if response.kvs.len() > limit {
        response.kvs.truncate(limit);
        response.more = true;
    }
    response
}

// A target other than the key without an order ascends, but only after the limit: etcd's quirk, which clients can see.
fn order(request: &RangeRequest) -> SortOrder {
    match request.sort_order {
        SortOrder::None if request.sort_target != SortTarget::Key => SortOrder::Ascend,
        order => order,
    }
}

fn filters(request: &RangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}

fn passes(request: &RangeRequest, kv: &KeyValue) -> bool {
    let within =
        |value: Revision, min: Revision, max: Revision| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
}

fn sort(kvs: &mut [Arc<KeyValue>], order: SortOrder, target: SortTarget) {
    if order == SortOrder::None {
        return;
    }
    kvs.sort_by(|a, b| {
        let ordering = match target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        };
        if order == SortOrder::Descend { ordering.reverse() } else { ordering }
    });
}
