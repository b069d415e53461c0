//! Watch.

use etcd_client::proto::{PbWatchRequest, PbWatchResponse, PbWatchService};
use tonic::{Request, Response, Status, Streaming};

use super::policy::{Refusal, WatchPolicy};
use super::relay::{Answers, StreamPolicy, relay};
use super::store::FilteredStore;

const WATCH: &str = "/etcdserverpb.Watch/Watch";

pub(super) struct WatchFilter {
    store: FilteredStore,
}

impl WatchFilter {
    pub(super) fn new(store: &FilteredStore) -> WatchFilter {
        WatchFilter { store: store.clone() }
    }
}

impl StreamPolicy for WatchPolicy {
    type Request = PbWatchRequest;
    type Response = PbWatchResponse;

    fn request(&mut self, request: PbWatchRequest) -> Result<PbWatchRequest, Refusal> {
        WatchPolicy::request(self, request)
    }

    fn response(&mut self, response: PbWatchResponse) -> Option<PbWatchResponse> {
        WatchPolicy::response(self, response)
    }
}

#[tonic::async_trait]
impl PbWatchService for WatchFilter {
    type WatchStream = Answers<PbWatchResponse>;

    async fn watch(&self, request: Request<Streaming<PbWatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        relay(&self.store, WATCH, request, WatchPolicy::default()).await
    }
}
