//! `logstore [ADDRESS...]`: the log store on these addresses, `0.0.0.0:9200` and `0.0.0.0:5601` unless given.
#![expect(clippy::print_stderr, reason = "a program that talks to a log")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use logstore::{Index, REFRESH_EVERY, router};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Elasticsearch's port and Kibana's: each has the API and the page.
const ADDRESSES: [&str; 2] = ["0.0.0.0:9200", "0.0.0.0:5601"];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("logstore: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut addresses: Vec<String> = std::env::args().skip(1).collect();
    if addresses.is_empty() {
        addresses = ADDRESSES.map(str::to_owned).to_vec();
    }
    // Process 1 of a container gets only the signals that it asks for.
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let index = Arc::new(Index::new()?);
    let mut servers = tokio::task::JoinSet::new();
    for address in &addresses {
        let listener =
            TcpListener::bind(address).await.map_err(|error| format!("can't listen on {address}: {error}"))?;
        eprintln!("logstore: listening on {}", listener.local_addr()?);
        let routes = router(Arc::clone(&index));
        servers.spawn(async move { axum::serve(listener, routes).await });
    }
    let mut tick = tokio::time::interval(REFRESH_EVERY);
    loop {
        tokio::select! {
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
            Some(ended) = servers.join_next() => ended??,
            _ = tick.tick() => {
                let index = Arc::clone(&index);
                tokio::task::spawn_blocking(move || index.refresh()).await??;
            }
        }
    }
}
