//! The HTTP API: fleet's v1 paths and Flota's own, on unix sockets.

mod error;
mod machines;
mod native;
mod states;
mod units;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use flota_api::paths;
use flota_registry::MachineId;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::session::LinkWatch;

/// Largest request body: a unit file of the largest size, as JSON.
const MAX_BODY_BYTES: usize = 4 << 20;

/// What the handlers know.
pub struct Api {
    pub me: MachineId,
    pub link: LinkWatch,
    pub leader: watch::Receiver<Option<MachineId>>,
    pub generation: watch::Receiver<u64>,
}

/// Serves the API on all listeners until `shutdown`; requests under way are finished.
pub async fn serve(api: Api, listeners: Vec<UnixListener>, shutdown: CancellationToken) {
    let router = router(Arc::new(api));
    let servers = TaskTracker::new();
    for listener in listeners {
        let (router, shutdown) = (router.clone(), shutdown.clone());
        servers.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
            if let Err(why) = served {
                error!("the API stopped: {why}");
            }
        });
    }
    servers.close();
    servers.wait().await;
}

fn router(api: Arc<Api>) -> Router {
    let v1 = Router::new()
        .route(paths::UNITS, get(units::list).fallback(units::wrong_method_of_list))
        .route(paths::UNIT_ROUTE, get(units::show).put(units::put).delete(units::destroy).fallback(units::wrong_method))
        .route(paths::STATES, get(states::list).fallback(states::wrong_method))
        .route(paths::STATE_ROUTE, get(states::show).fallback(states::wrong_method))
        .route(paths::MACHINES, get(machines::list).fallback(machines::wrong_method));
    Router::new()
        .nest(paths::PREFIX, v1.clone())
        .nest(paths::LEGACY_PREFIX, v1)
        .route(paths::WHY_ROUTE, get(native::why))
        .route(paths::HEALTH, get(native::health))
        .fallback(error::unknown_path)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(api)
}
