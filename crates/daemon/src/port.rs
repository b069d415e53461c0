//! Ports for other machines: bound as soon as their address is there.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tracing::{info, warn};

/// First and longest wait before an address that could not be bound is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, because there are no file descriptors left for example.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Listens at `address`. One that cannot be bound is tried again for ever: it may not be there yet.
pub async fn bind(name: &str, address: SocketAddr) -> TcpListener {
    let mut wait = RETRY_FIRST;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                info!("{name} port at {address}");
                return listener;
            }
            Err(error) if wait == RETRY_FIRST => {
                warn!("{name} port: cannot listen at {address}: {error}; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}
