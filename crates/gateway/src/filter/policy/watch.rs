//! Watches: none on reserved keys, and of the others nothing about reserved keys.

use std::collections::{BTreeSet, VecDeque};

use etcd_client::proto::{PbWatchRequest, PbWatchRequestUnion, PbWatchResponse};

use super::{Beside, MAX_OUTSTANDING, Refusal, beside, is_reserved};

/// Most watches of one stream; one more is answered as canceled.
pub const MAX_WATCHES: usize = 4096;

/// The smallest key, which is what watches call the empty one.
const SMALLEST: &[u8] = &[0];

/// A range without keys. A store answers a watch on it as created and canceled, in its turn and with its header.
const NOWHERE: &[u8] = &[1];

/// The id of an answer that is about no watch.
const NO_WATCH: i64 = -1;

/// etcd's reason for a watch on keys that the client has no permission for.
const PERMISSION_DENIED: &str = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
const TOO_MANY_WATCHES: &str = "mvcc: too many watches on the WatchStream";

/// A stream of watches. A request that is refused goes to the store as a watch on nothing, so that answers keep the order of requests.
#[derive(Debug, Default)]
pub struct WatchPolicy {
    /// One for each watch that is asked for and not answered yet: why it is refused, or none.
    creating: VecDeque<Option<&'static str>>,
    open: usize,
    /// Watches that have been sent a part of a response, and must be sent its end.
    in_parts: BTreeSet<i64>,
}

impl WatchPolicy {
    /// What to ask the store instead.
    pub fn request(&mut self, mut request: PbWatchRequest) -> Result<PbWatchRequest, Refusal> {
        let Some(PbWatchRequestUnion::CreateRequest(create)) = &mut request.request_union else {
            return Ok(request);
        };
        if self.creating.len() >= MAX_OUTSTANDING {
            return Err(Refusal::TooManyOutstanding);
        }
        let key = if create.key.is_empty() { SMALLEST } else { create.key.as_slice() };
        let place = beside(key, &create.range_end);
        let refused = match place {
            Beside::Nothing => Some(PERMISSION_DENIED),
            _ if self.open + self.creating.len() >= MAX_WATCHES => Some(TOO_MANY_WATCHES),
            _ => None,
        };
        if refused.is_some() {
            create.key = NOWHERE.to_vec();
            create.range_end = NOWHERE.to_vec();
        } else if let Beside::Part(keys) = place {
            create.key = keys.key;
            create.range_end = keys.range_end;
        }
        self.creating.push_back(refused);
        Ok(request)
    }

    /// What to tell the client; `None` for an answer that is only about reserved keys.
    pub fn response(&mut self, mut response: PbWatchResponse) -> Option<PbWatchResponse> {
        if response.created
            && let Some(reason) = self.creating.pop_front().flatten()
        {
            let (watch_id, canceled, cancel_reason) = (NO_WATCH, true, reason.to_owned());
            return Some(PbWatchResponse { watch_id, canceled, cancel_reason, events: Vec::new(), ..response });
        }
        match (response.created, response.canceled) {
            (true, false) => self.open += 1,
            (false, true) => {
                self.open = self.open.saturating_sub(1);
                self.in_parts.remove(&response.watch_id);
            }
            _ => {}
        }
        let had_events = !response.events.is_empty();
        response.events.retain(|event| !event.kv.as_ref().is_some_and(|kv| is_reserved(&kv.key)));
        let is_control = response.created || response.canceled || !had_events;
        if is_control || !response.events.is_empty() {
            if response.fragment {
                self.in_parts.insert(response.watch_id);
            } else {
                self.in_parts.remove(&response.watch_id);
            }
            return Some(response);
        }
        // The last part is sent even if nothing is left of it: without it the client would go on waiting with the first ones.
        let ends_parts = !response.fragment && self.in_parts.remove(&response.watch_id);
        ends_parts.then_some(response)
    }
}
