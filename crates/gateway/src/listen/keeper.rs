//! Keeps the gateway listening where it should.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::Listen;
use super::changes::{AddressChanges, interfaces};
use crate::Gateway;

/// Wait before an address that could not be had is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Listens until `shutdown` at all addresses of `listen`. One that is in use, or not there yet, is told and tried again: it concerns
/// neither the other addresses nor the rest of the daemon.
pub async fn keep(gateway: Arc<Gateway>, listen: Listen, shutdown: CancellationToken) {
    // Before the first look, so that no change is missed.
    let mut changes = (!listen.bridges.is_empty()).then(AddressChanges::subscribe);
    let mut keeper = Keeper {
        gateway,
        stop: shutdown.clone(),
        open: BTreeMap::new(),
        missing: BTreeSet::new(),
        tasks: TaskTracker::new(),
    };
    loop {
        keeper.follow(&listen).await;
        let change = async {
            match &mut changes {
                Some(changes) => changes.next().await,
                None => std::future::pending().await,
            }
        };
        let retry = async {
            if keeper.missing.is_empty() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(RETRY).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = change => {}
            () = retry => {}
        }
    }
    keeper.tasks.close();
    keeper.tasks.wait().await;
}

struct Keeper {
    gateway: Arc<Gateway>,
    stop: CancellationToken,
    /// Where it listens, and how to end that.
    open: BTreeMap<SocketAddr, CancellationToken>,
    /// Where it should and cannot; told once.
    missing: BTreeSet<SocketAddr>,
    tasks: TaskTracker,
}

impl Keeper {
    async fn follow(&mut self, listen: &Listen) {
        let interfaces = if listen.bridges.is_empty() { Ok(Vec::new()) } else { interfaces() };
        let interfaces = match interfaces {
            Ok(interfaces) => interfaces,
            Err(error) => {
                warn!("cannot see the addresses of this machine, the discovery gateway stays where it is: {error}");
                return;
            }
        };
        let wanted = listen.wanted(&interfaces);
        self.missing.retain(|address| wanted.contains(address));
        self.open.retain(|address, stop| {
            let stays = wanted.contains(address);
            if !stays {
                info!("discovery gateway no longer on {address}");
                stop.cancel();
            }
            stays
        });
        for address in wanted {
            if !self.open.contains_key(&address) {
                self.listen_at(address).await;
            }
        }
    }

    async fn listen_at(&mut self, address: SocketAddr) {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                self.missing.remove(&address);
                let stop = self.stop.child_token();
                self.open.insert(address, stop.clone());
                self.tasks.spawn(Arc::clone(&self.gateway).serve(listener, stop));
                info!("discovery gateway on {address}");
            }
            Err(error) => {
                if self.missing.insert(address) {
                    warn!(
                        "discovery gateway cannot listen on {address}, tried again every {} s: {error}",
                        RETRY.as_secs()
                    );
                }
            }
        }
    }
}
