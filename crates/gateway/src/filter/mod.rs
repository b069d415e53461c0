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
use flota_etcd::server::{ElectionServer, LockServer};
use tonic::service::Routes;

pub use store::FilteredStore;

/// Largest request that is read at all. Above etcd's limit, which the store tells in etcd's words.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// The etcd v3 services of a gateway that clients reach at `own_url`.
pub fn routes(store: &FilteredStore, own_url: &str) -> Routes {
    let kv = PbKvServer::new(kv::KvFilter::new(store)).max_decoding_message_size(MAX_REQUEST_BYTES);
    let watch = PbWatchServer::new(watch::WatchFilter::new(store)).max_decoding_message_size(MAX_REQUEST_BYTES);
    let mut basic = Routes::new(kv)
        .add_service(watch)
        .add_service(PbLeaseServer::new(lease::LeaseFilter::new(store)))
        .add_service(PbClusterServer::new(cluster::ClusterFilter::new(store, own_url)))
        .add_service(PbMaintenanceServer::new(maintenance::MaintenanceFilter::new(store)));
    let router = std::mem::take(basic.axum_router_mut());
    let store = store.clone();
    *basic.axum_router_mut() = router.fallback(move |request| other::answer(store.clone(), request));
    // Locks and elections are made of the others: what these refuse, they refuse.
    let filtered = Upstream::new(basic.clone().prepare());
    basic.add_service(LockServer::new(filtered.clone())).add_service(ElectionServer::new(filtered))
}

/// The same as something to call, for what speaks other protocols above it.
pub fn upstream(store: &FilteredStore, own_url: &str) -> Upstream {
    Upstream::new(routes(store, own_url).prepare())
}
