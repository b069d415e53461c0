//! The etcd v3 services over gRPC.

mod cluster;
mod convert;
mod kv;
mod lease;
mod maintenance;
mod watch;

use std::sync::Arc;

use etcd_client::proto::{PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::service::Routes;

use crate::shared::Shared;

/// Largest message that is read at all. Well above the limit for requests, which is checked afterwards and answered in etcd's words.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// All services, and an answer for what is not served.
pub(crate) fn routes(shared: &Arc<Shared>) -> Routes {
    let kv = PbKvServer::new(kv::KvService::new(shared)).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut routes = Routes::new(kv)
        .add_service(PbWatchServer::new(watch::WatchService::new(shared)))
        .add_service(PbLeaseServer::new(lease::LeaseService::new(shared)))
        .add_service(PbClusterServer::new(cluster::ClusterService::new(shared)))
        .add_service(PbMaintenanceServer::new(maintenance::MaintenanceService::new(shared)));
    let router = std::mem::take(routes.axum_router_mut());
    *routes.axum_router_mut() = router.fallback(not_served);
    routes
}

async fn not_served(uri: http::Uri) -> http::Response<Body> {
    let status = Status::unimplemented(format!(
        "{} is not served by the embedded store: use an etcd cluster for it",
        uri.path()
    ));
    status.into_http()
}
