//! An etcd v3 server that asks another one, and lets nothing under `/flota/` through.
//!
//! Every request is decoded, judged by [`policy`], and written anew for the store: what the gateway does not understand does not pass.
//! The answers of the store, its errors among them, pass unchanged but for what `policy` takes out.

mod cluster;
mod kv;
mod lease;
mod maintenance;
mod other;
pub mod policy;
mod relay;
mod store;
mod watch;

use etcd_client::proto::{PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer};
use flota_etcd::Upstream;
use tonic::service::Routes;

pub use store::FilteredStore;

/// Largest request that is read at all. Above etcd's limit, which the store tells in etcd's words.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// The etcd v3 services of a gateway that clients reach at `own_url`.
pub fn routes(store: &FilteredStore, own_url: &str) -> Routes {
    let mut routes =
        Routes::new(PbKvServer::new(kv::KvFilter::new(store)).max_decoding_message_size(MAX_REQUEST_BYTES))
            .add_service(
                PbWatchServer::new(watch::WatchFilter::new(store)).max_decoding_message_size(MAX_REQUEST_BYTES),
            )
            .add_service(
                PbLeaseServer::new(lease::LeaseFilter::new(store)).max_decoding_message_size(MAX_REQUEST_BYTES),
            )
            .add_service(PbClusterServer::new(cluster::ClusterFilter::new(store, own_url)))
            .add_service(PbMaintenanceServer::new(maintenance::MaintenanceFilter::new(store)));
    let router = std::mem::take(routes.axum_router_mut());
    let store = store.clone();
    *routes.axum_router_mut() = router.fallback(move |request| other::answer(store.clone(), request));
    routes
}

/// The same as something to call, for what speaks other protocols above it.
pub fn upstream(store: &FilteredStore, own_url: &str) -> Upstream {
    Upstream::new(routes(store, own_url).prepare())
}
