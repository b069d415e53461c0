//! Reads: a range across the reserved keys becomes two, whose answers become one.

use std::cmp::Ordering;

use etcd_client::proto::{PbKeyValue, PbRangeRequest, PbRangeResponse};

use super::{Beside, Keys, Refusal, beside};

const ORDER_NONE: i32 = 0;
const ORDER_DESCEND: i32 = 2;
const TARGET_KEY: i32 = 0;
const TARGET_VERSION: i32 = 1;
const TARGET_CREATE: i32 = 2;
const TARGET_MOD: i32 = 3;
const TARGET_VALUE: i32 = 4;

/// What to ask instead of a range.
#[derive(Debug, Clone, PartialEq)]
pub enum RangePlan {
    /// This; the answer is the answer.
    One(PbRangeRequest),
    /// These two, at one revision; their answers are to be merged.
    Two(Box<[PbRangeRequest; 2]>, RangeMerge),
}

/// How the answers for two parts of a range become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeMerge {
    /// Pairs after which the first pass is cut, in the order of keys, before anything is sorted; 0 for none.
    cut_first: usize,
    /// What to sort by, and whether downwards; none for the order of keys.
    sort: Option<(i32, bool)>,
    /// Pairs in the answer; 0 for all.
    limit: usize,
    /// Values were only asked for to sort by them.
    blank_values: bool,
}

/// Plans a read.
pub fn range(request: PbRangeRequest) -> Result<RangePlan, Refusal> {
    let known = (ORDER_NONE..=ORDER_DESCEND).contains(&request.sort_order)
        && (TARGET_KEY..=TARGET_VALUE).contains(&request.sort_target);
    if !known {
        return Err(Refusal::InvalidSort);
    }
    match beside(&request.key, &request.range_end) {
        Beside::Whole => Ok(RangePlan::One(request)),
        Beside::Part(keys) => Ok(RangePlan::One(over(&request, keys))),
        Beside::Two(before, behind) => {
            let (each, merge) = halves(request);
            Ok(RangePlan::Two(Box::new([over(&each, before), over(&each, behind)]), merge))
        }
        Beside::Nothing => Err(Refusal::Reserved),
    }
}

fn over(request: &PbRangeRequest, Keys { key, range_end }: Keys) -> PbRangeRequest {
    PbRangeRequest { key, range_end, ..request.clone() }
}

/// The request that both halves get, and how to merge what they answer.
fn halves(mut request: PbRangeRequest) -> (PbRangeRequest, RangeMerge) {
    let limit = usize::try_from(request.limit).unwrap_or(0);
    let (order, target) = (request.sort_order, request.sort_target);
    let sort = (order != ORDER_NONE || target != TARGET_KEY).then_some((target, order == ORDER_DESCEND));
    let blank_values = request.keys_only && target == TARGET_VALUE;
    if blank_values {
        request.keys_only = false;
    }
    let filters =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    // etcd's own habit: with a target but no order, it takes one pair more than the limit in the order of keys, and sorts those.
    let takes_first = order == ORDER_NONE && target != TARGET_KEY && limit > 0 && filters == [0; 4];
    let cut_first = if takes_first { limit.saturating_add(1) } else { 0 };
    if takes_first {
        request.limit = request.limit.saturating_add(1);
        request.sort_target = TARGET_KEY;
    }
    (request, RangeMerge { cut_first, sort, limit, blank_values })
}

impl RangeMerge {
    /// The answer over the whole range, from the ones over its parts.
    pub fn merge(&self, before: PbRangeResponse, behind: PbRangeResponse) -> PbRangeResponse {
        let (header, count) = (before.header, before.count + behind.count);
        let more_behind = before.more || behind.more;
        let mut kvs = before.kvs;
        kvs.extend(behind.kvs);
        if self.cut_first > 0 {
            kvs.truncate(self.cut_first);
        }
        if let Some((target, downwards)) = self.sort {
            // Stable, so that equals stay in the order of keys.
            kvs.sort_by(|a, b| if downwards { compare(target, b, a) } else { compare(target, a, b) });
        }
        let more = self.limit > 0 && (more_behind || kvs.len() > self.limit);
        if self.limit > 0 {
            kvs.truncate(self.limit);
        }
        if self.blank_values {
            for kv in &mut kvs {
                kv.value = Vec::new();
            }
        }
        PbRangeResponse { header, kvs, more, count }
    }
}

fn compare(target: i32, a: &PbKeyValue, b: &PbKeyValue) -> Ordering {
    match target {
        TARGET_VERSION => a.version.cmp(&b.version),
        TARGET_CREATE => a.create_revision.cmp(&b.create_revision),
        TARGET_MOD => a.mod_revision.cmp(&b.mod_revision),
        TARGET_VALUE => a.value.cmp(&b.value),
        _ => a.key.cmp(&b.key),
    }
}
