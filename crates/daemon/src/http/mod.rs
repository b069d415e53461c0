//! The HTTP API: fleet's v1 paths and Flota's own, on unix sockets.

mod conf;
mod discovery;
mod error;
mod events;
mod extract;
mod feed;
mod join;
mod leave;
mod machines;
mod members;
mod metrics;
mod native;
mod outside;
mod precondition;
mod registrations;
mod states;
#[cfg(test)]
mod tests;
mod trust;
mod units;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state, map_response_with_state};
use axum::response::Response;
use axum::routing::{any, get, put};
use flota_api::paths;
use flota_registry::MachineId;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

pub use self::leave::{Left, serve_left};
pub use self::outside::{Outside, serve_outside};

use self::conf::Caller;
use self::events::Streams;
use self::extract::MAX_BODY_BYTES;
use self::feed::FeedSlot;
use self::metrics::Requests;
pub use self::trust::Trust;
use crate::join::Joiner;
use crate::leave::Desk;
use crate::session::LinkWatch;
use crate::tasks::conf::ConfHandle;
use crate::tasks::registrations::Handle;

/// What every answer says of its server; fleet said `fleetd/` and its version.
const SERVER: HeaderValue = HeaderValue::from_static(concat!("flota/", env!("CARGO_PKG_VERSION")));

/// What the handlers know.
pub struct Api {
    me: MachineId,
    link: LinkWatch,
    leader: watch::Receiver<Option<MachineId>>,
    generation: watch::Receiver<u64>,
    /// The cluster as requests see it, while there are any.
    feed: FeedSlot,
    streams: Streams,
    registrations: Handle,
    requests: Requests,
    joiner: Option<Joiner>,
    trust: Trust,
    /// Takes in how configuration files of this machine are.
    conf: Option<ConfHandle>,
    /// Where the order to leave the cluster is handed in.
    desk: Option<Desk>,
    /// Has ended once requests can be answered from the store, or the store has had its chance.
    open: Option<CancellationToken>,
    shutdown: CancellationToken,
}

impl Api {
    /// The API of machine `me`; its event streams end with `shutdown`.
    pub fn new(
        me: MachineId,
        link: LinkWatch,
        leader: watch::Receiver<Option<MachineId>>,
        generation: watch::Receiver<u64>,
        registrations: Handle,
        trust: Trust,
        shutdown: CancellationToken,
    ) -> Api {
        let (feed, streams, requests) = (FeedSlot::default(), Streams::default(), Requests::default());
        Api {
            me,
            link,
            leader,
            generation,
            feed,
            streams,
            registrations,
            requests,
            joiner: None,
            conf: None,
            desk: None,
            open: None,
            trust,
            shutdown,
        }
    }

    /// Lets the machine be told to join another cluster.
    pub fn with_joiner(self, joiner: Joiner) -> Api {
        Api { joiner: Some(joiner), ..self }
    }

    /// Takes in how configuration files of this machine are.
    pub fn with_conf(self, conf: ConfHandle) -> Api {
        Api { conf: Some(conf), ..self }
    }

    /// Lets requests wait until `open` has ended, but those that ask for the daemon itself.
    pub fn opened_by(self, open: CancellationToken) -> Api {
        Api { open: Some(open), ..self }
    }

    /// Lets the machine be told to leave its cluster.
    pub fn with_desk(self, desk: Desk) -> Api {
        Api { desk: Some(desk), ..self }
    }
}

/// Serves the API on all listeners until its shutdown; requests under way are finished.
pub async fn serve(api: Api, listeners: Vec<UnixListener>) {
    let shutdown = api.shutdown.clone();
    serve_on(router(Arc::new(api)), listeners, &shutdown).await;
}

async fn serve_on(router: Router, listeners: Vec<UnixListener>, shutdown: &CancellationToken) {
    let servers = TaskTracker::new();
    for listener in listeners {
        let (router, shutdown) = (router.clone(), shutdown.clone());
        servers.spawn(async move {
            let service = router.into_make_service_with_connect_info::<Caller>();
            let served = axum::serve(listener, service).with_graceful_shutdown(shutdown.cancelled_owned()).await;
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
        .route(paths::STATES, get(states::list).fallback(error::only_get))
        .route(paths::STATE_ROUTE, get(states::show).fallback(error::only_get))
        .route(paths::MACHINES, get(machines::list).patch(machines::patch).fallback(machines::wrong_method))
        .route(paths::DISCOVERY, get(discovery::show).fallback(discovery::wrong_method));
    Router::new()
        .route("/", any(error::no_method))
        .route(paths::PREFIX, any(error::no_method))
        .route(paths::LEGACY_PREFIX, any(error::no_method))
        .nest(paths::PREFIX, v1.clone())
        .nest(paths::LEGACY_PREFIX, v1)
        .route(paths::WHY_ROUTE, get(native::why).fallback(error::only_get))
        .route(paths::ALL_MACHINES, get(members::list).fallback(error::only_get))
        .route(paths::MACHINE_ROUTE, get(members::show).delete(members::remove).fallback(members::wrong_method))
        .route(
            paths::CORDON_ROUTE,
            put(members::cordon).delete(members::uncordon).fallback(members::wrong_method_of_cordon),
        )
        .route(paths::TRUST, get(trust::show).post(trust::accept).fallback(trust::wrong_method))
        .route(paths::LEAVE, get(leave::show).post(leave::order).fallback(leave::wrong_method))
        .route(paths::HEALTH, get(native::health).fallback(error::only_get))
        .route(
            paths::REGISTRATIONS,
            get(registrations::list)
                .put(registrations::put)
                .delete(registrations::remove)
                .fallback(registrations::wrong_method),
        )
        .route(paths::CONF, get(conf::list).put(conf::tell).fallback(conf::wrong_method))
        .route(paths::EVENTS, get(events::stream).fallback(error::only_get))
        .route(paths::METRICS, get(metrics::show).fallback(error::only_get))
        .merge(join::routes())
        .fallback(error::unknown_path)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(Arc::clone(&api), wait_for_store))
        .layer(map_response_with_state(Arc::clone(&api), finish))
        .with_state(api)
}

/// What every answer has in common of a machine that is in no cluster.
async fn named(mut response: Response) -> Response {
    response.headers_mut().insert(header::SERVER, SERVER);
    response
}

/// A command that follows on the heels of the daemon's start is not refused for the store's first answer.
async fn wait_for_store(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let of_daemon = [paths::HEALTH, paths::METRICS].contains(&request.uri().path());
    if let Some(open) = api.open.as_ref().filter(|_| !of_daemon) {
        open.cancelled().await;
    }
    next.run(request).await
}

/// What every answer has in common.
async fn finish(State(api): State<Arc<Api>>, mut response: Response) -> Response {
    api.requests.count(response.status());
    response.headers_mut().insert(header::SERVER, SERVER);
    if let Some(why) = api.trust.header() {
        response.headers_mut().insert(paths::FROZEN_HEADER, why);
    }
    response
}
