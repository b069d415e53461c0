//! The etcd v3 services over gRPC.

mod auth;
mod cluster;
mod convert;
mod count;
mod front;
mod health;
mod http;
mod kv;
mod lease;
mod maintenance;
mod prometheus;
mod range;
mod snapshot;
mod watch;
mod watch_body;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use etcd_client::proto::{PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer};
use flota_etcd::Upstream;
use flota_etcd::server::{ElectionServer, LockServer};
use tonic::Status;
use tonic::service::Routes;

use crate::shared::Shared;
use wire::KvServer;

pub(crate) use convert::TERM;
pub(crate) use front::Front;

/// The etcd release that clients are told.
pub(crate) const ETCD_VERSION: &str = "3.4.23";

/// The version of the cluster that goes with it.
pub(crate) const CLUSTER_VERSION: &str = "3.4.0";

/// Largest message that is read at all, unless larger requests are allowed. Well above the limit for requests, which is checked afterwards and answered in etcd's words.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Bytes that a message may be larger than the limit for requests before it is refused without being looked at (etcd's figure).
const GRPC_OVERHEAD: usize = 512 << 10;

/// All gRPC services, and an answer for what is not served.
pub(crate) fn grpc(shared: &Arc<Shared>) -> Routes {
    let mut routes = Routes::new(kv_server(shared))
        .add_service(wire::WatchServer { watch: Arc::new(watch::WatchService::new(shared)) })
        .add_service(auth::AuthService::new(shared))
        .add_service(PbLeaseServer::new(lease::LeaseService::new(shared)))
        .add_service(PbClusterServer::new(cluster::ClusterService::new(shared)))
        .add_service(PbMaintenanceServer::new(maintenance::MaintenanceService::new(shared)));
    // These two are made of the others.
    let basic = Upstream::new(routes.clone());
    routes = routes.add_service(LockServer::new(basic.clone())).add_service(ElectionServer::new(basic));
    routes = routes.add_service(health::HealthService::new(shared));
    let router = std::mem::take(routes.axum_router_mut());
    let counted = from_fn_with_state(Arc::clone(shared), count::calls);
    *routes.axum_router_mut() = router.route_layer(counted).fallback(not_served);
    routes
}

fn kv_server(shared: &Arc<Shared>) -> KvServer {
    let largest = MAX_MESSAGE_BYTES.max(shared.config.limits.max_request_bytes + GRPC_OVERHEAD);
    let kv = Arc::new(kv::KvService::new(shared));
    let rest = PbKvServer::from_arc(Arc::clone(&kv)).max_decoding_message_size(largest);
    KvServer { kv, rest, largest }
}

/// What is asked most often without a way through all routes; the rest by `router`.
pub(crate) fn front(shared: &Arc<Shared>, router: Router) -> Front {
    Front::new(shared, kv_server(shared), router)
}

/// Everything that is served on the store's addresses.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let grpc = grpc(shared);
    let upstream = Upstream::new(grpc.clone());
    grpc.into_axum_router().merge(flota_etcd::json::router(upstream)).merge(http::router(shared))
}

/// An answer in the language of the question.
async fn not_served(request: Request) -> Response {
    let kind = request.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"application/grpc")) {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    let path = request.uri().path();
    let status =
        Status::unimplemented(format!("{path} is not served by the embedded store: use an etcd cluster for it"));
    status.into_http()
}
