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
    let mut found = Found::default();
    for kv in matches {
        response.count += 1;
        if found.len() < fetch {
            if plain || passes(request, kv) {
                found.push(kv);
            }
        } else {
            response.more = true;
        }
    }
    response.kvs = found.share();
    sort(&mut response.kvs, order, request.sort_target);
    if response.kvs.len() > limit {
        response.kvs.truncate(limit);
        response.more = true;
    }
    response
}

/// Versions on their way into an answer. They lie anywhere in memory, and to share one waits until it is there, alone; to look at some
/// waits for all of them at once.
#[derive(Default)]
struct Found<'a> {
    next: Vec<&'a Arc<KeyValue>>,
    shared: Vec<Arc<KeyValue>>,
}

impl<'a> Found<'a> {
    /// How many are looked at before they are shared.
    const AT_ONCE: usize = 64;

    fn len(&self) -> usize {
        self.shared.len() + self.next.len()
    }

    fn push(&mut self, kv: &'a Arc<KeyValue>) {
        self.next.push(kv);
        if self.next.len() == Self::AT_ONCE {
            self.share_next();
        }
    }

    fn share_next(&mut self) {
        std::hint::black_box(self.next.iter().map(|kv| Arc::strong_count(kv)).sum::<usize>());
        self.shared.extend(self.next.drain(..).cloned());
    }

    fn share(mut self) -> Vec<Arc<KeyValue>> {
        self.share_next();
        self.shared
    }
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
