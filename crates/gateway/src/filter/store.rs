//! The store behind the filter, and how it is called.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbStatusRequest, PbStatusResponse};
use flota_etcd::{ON_BEHALF, Upstream, root};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};

/// The method that tells how the store is.
pub(super) const STATUS: &str = "/etcdserverpb.Maintenance/Status";

/// Longest wait for the answer to a request that the store answers at once. etcd itself gives up after 7 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// Most streams (watches, keep-alives, waits for locks) of all clients together.
const MAX_STREAMS: usize = 4096;

/// What of a request's metadata the store gets: who asks, whether a leader is needed, and how long the client waits.
const CARRIED: [&str; 4] = ["token", "authorization", "hasleader", "grpc-timeout"];

/// The store that a filter asks; clones share its bounds.
#[derive(Clone, Debug)]
pub struct FilteredStore {
    upstream: Upstream,
    address: Arc<str>,
    streams: Arc<Semaphore>,
}

impl FilteredStore {
    /// `address` is what people are told who want something that only the store itself does.
    pub fn new(upstream: Upstream, address: &str) -> FilteredStore {
        FilteredStore { upstream, address: address.into(), streams: Arc::new(Semaphore::new(MAX_STREAMS)) }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Asks the store, on behalf of who sent `metadata`.
    pub(super) async fn ask<Q, A>(
        &self,
        path: &'static str,
        metadata: &MetadataMap,
        message: Q,
    ) -> Result<Response<A>, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let answer = self.upstream.unary::<Q, A>(path, on_behalf(metadata, message));
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answer) => answer.map(|answer| Response::new(answer.into_inner())).map_err(told),
            Err(_) => Err(Status::unavailable("etcdserver: request timed out")),
        }
    }

    /// How the store is.
    pub(crate) async fn status(&self) -> Result<PbStatusResponse, Status> {
        self.ask(STATUS, &MetadataMap::new(), PbStatusRequest::default()).await.map(Response::into_inner)
    }

    /// A place among the streams, held as long as the stream.
    pub(super) fn stream_place(&self) -> Result<OwnedSemaphorePermit, Status> {
        let place = Arc::clone(&self.streams).try_acquire_owned();
        place.map_err(|_| Status::resource_exhausted("etcdserver: too many requests"))
    }

    /// The answer to what is not for applications.
    pub(super) fn refusal(&self) -> Status {
        Status::permission_denied(format!(
            "the discovery gateway does not do this: ask the store itself, at {}",
            self.address
        ))
    }
}

/// A request to the store with what it must know of the client's.
pub(super) fn on_behalf<Q>(metadata: &MetadataMap, message: Q) -> Request<Q> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(ON_BEHALF, MetadataValue::from_static("gateway"));
    for name in CARRIED {
        if let Some(value) = metadata.get(name) {
            request.metadata_mut().insert(name, value.clone());
        }
    }
    request
}

/// What the client is told: the store's own words, or that it is away.
pub(super) fn told(status: Status) -> Status {
    match status.source() {
        // Made on this side, of what happened to the connection.
        Some(source) => Status::unavailable(format!("the store is out of reach: {}", root(source))),
        None => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_told_who_asks_and_that_it_is_somebody_else() {
        let mut metadata = MetadataMap::new();
        metadata.insert("token", MetadataValue::from_static("word.7"));
        metadata.insert("cookie", MetadataValue::from_static("crumbs"));
        let request = on_behalf(&metadata, ());
        assert_eq!(request.metadata().get("token").unwrap(), "word.7");
        assert!(request.metadata().contains_key(ON_BEHALF), "or an application without a token would be root");
        assert!(!request.metadata().contains_key("cookie"));
    }
}
