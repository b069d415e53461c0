//! The gateway as a whole: the store behind its filter, and what is served above it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use flota_etcd::{EtcdError, Upstream, connection, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::http;
use crate::filter::{self, FilteredStore};
use crate::v2;

/// Most connections of all addresses together; one more waits in the kernel until another ends.
const MAX_CONNECTIONS: usize = 1024;

/// Most requests and streams at the same time on one HTTP/2 connection; the client waits with the next one.
const MAX_STREAMS_PER_CONNECTION: u32 = 256;

/// How long requests at hand may take when the gateway leaves an address. Watches never end by themselves; they are cut.
const DRAIN: Duration = Duration::from_secs(1);

/// Wait after a connection that could not be accepted, for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Opens the way to the store.
type Connect = Box<dyn Fn() -> Result<Upstream, EtcdError> + Send + Sync>;

/// The discovery gateway of one machine. Nothing is built, and the store is not called, before the first client comes;
/// from then on the times to live of v2 are ended.
pub struct Gateway {
    store_address: String,
    connect: Connect,
    /// The store behind its filter, and v2 over it: made once, for all addresses and connections.
    store: Mutex<Option<(FilteredStore, Router)>>,
    connections: Arc<Semaphore>,
}

impl Gateway {
    /// `store_address` is what people are told who want what only the store itself does; `connect` opens the way to it.
    pub fn new(
        store_address: impl Into<String>,
        connect: impl Fn() -> Result<Upstream, EtcdError> + Send + Sync + 'static,
    ) -> Gateway {
        Gateway {
            store_address: store_address.into(),
            connect: Box::new(connect),
            store: Mutex::new(None),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }

    /// All that clients find at `address`, which is what the gateway tells them of itself.
    pub fn router(&self, address: SocketAddr) -> Result<Router, EtcdError> {
        let (store, v2) = self.store(address)?;
        let own_url = format!("http://{address}");
        let grpc = filter::routes(&store, &own_url).prepare();
        let filtered = Upstream::new(grpc.clone());
        Ok(grpc.into_axum_router().merge(json::router(filtered)).merge(http::router(&store)).merge(v2))
    }

    fn store(&self, address: SocketAddr) -> Result<(FilteredStore, Router), EtcdError> {
        let mut place = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = place.as_ref() {
            return Ok(store.clone());
        }
        let store = FilteredStore::new((self.connect)()?, &self.store_address);
        // v2 does not list the members that the filter shows; it has its own, of which clients are told where they ask.
        let upstream = filter::upstream(&store, &format!("http://{address}"));
        let info = v2::Info { name: "flota".to_owned(), peer_urls: Vec::new(), client_urls: Vec::new() };
        Ok(place.insert((store, v2::router(upstream, info))).clone())
    }

    /// Serves one address until `stop`, then gives the requests at hand a moment.
    pub async fn serve(self: Arc<Gateway>, listener: TcpListener, stop: CancellationToken) {
        let routers = Routers { gateway: Arc::clone(&self), shared: OnceLock::new() };
        let tasks = TaskTracker::new();
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.connections).acquire_owned().await else { break };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            if let Some(router) = routers.of(&stream) {
                let stop = stop.clone();
                tasks.spawn(async move {
                    serve(stream, router, stop).await;
                    drop(place);
                });
            }
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }
}

/// Serves a connection until its end, or until shortly after `stop`.
async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    let cut = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = connection::serve(connection::tuned(stream), router, MAX_STREAMS_PER_CONNECTION, stop.clone()) => {}
        () = cut => {}
    }
}

/// The routers of a listener: one, or one for each connection where clients reach it at several addresses.
struct Routers {
    gateway: Arc<Gateway>,
    shared: OnceLock<(SocketAddr, Router)>,
}

impl Routers {
    fn of(&self, stream: &TcpStream) -> Option<Router> {
        let address = stream.local_addr().ok()?;
        if let Some((_, router)) = self.shared.get().filter(|(shared, _)| *shared == address) {
            return Some(router.clone());
        }
        match self.gateway.router(address) {
            Ok(router) => {
                // Somebody else's router for the first address is as good.
                let _ = self.shared.set((address, router.clone()));
                Some(router)
            }
            Err(error) => {
                warn!("the discovery gateway has no way to the store: {error}");
                None
            }
        }
    }
}
