//! Runs the store until it is told to end.

use std::time::Duration;

use anyhow::Context;
use flota_gateway::v2;
use flota_store::Store;
use flota_systemd::Notifier;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::termination;
use crate::logging;
use crate::standalone::ServeOptions;
use crate::standalone::urls::is_open;

/// The etcd release whose API is served, as clients ask for it.
const CAPABILITIES: &str = "3.4";

/// Runs the store alone until SIGTERM or SIGINT; returns with an error when it cannot start or its disk fails.
pub fn run(options: ServeOptions) -> anyhow::Result<()> {
    logging::to(&options.log.output, options.log.level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(options));
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let config = options.store()?;
    for line in options.without_effect() {
        info!("{line}");
    }
    if let Some(alone) = options.alone() {
        warn!("{alone}");
    }
    for open in config.listen.iter().filter(|listen| is_open(listen)) {
        warn!("{open} lets everybody on the network read and write, unless users are asked for (etcdctl auth enable)");
    }
    let (data_dir, peer_urls) = (config.data_dir.clone(), config.peer_urls.clone());
    let store =
        Store::open(config).await.with_context(|| format!("cannot open the store in {}", data_dir.display()))?;
    info!("opened {} at revision {}", data_dir.display(), store.revision());
    let store = if options.enable_v2 { with_v2(store, peer_urls) } else { store };
    tell_ready(&store);
    let notifier = Notifier::from_env();
    notifier.ready();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let signal = termination().await;
        info!("{signal}: the store ends");
        stop.cancel();
    });
    let served = store.serve(shutdown).await.context("the store failed");
    notifier.stopping();
    served
}

/// Serves v2 over the same keys, on the same addresses.
fn with_v2(store: Store, peer_urls: Vec<String>) -> Store {
    let (name, client_urls) = store.member();
    let info = v2::Info { name: name.to_owned(), peer_urls, client_urls: client_urls.to_vec() };
    let routes = v2::router(store.upstream(), info);
    store.with_routes(routes)
}

/// Says that connections are taken from now on, in words that programs which start etcd wait for.
fn tell_ready(store: &Store) {
    let (name, urls) = store.member();
    info!("published {{Name:{name} ClientURLs:[{}]}} to cluster {:x}", urls.join(" "), store.cluster_id());
    info!("enabled capabilities for version {CAPABILITIES}");
    for listen in store.addresses() {
        info!("ready to serve client requests on {listen}");
    }
}
