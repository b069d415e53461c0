//! The store alone, for tests and for trying it with etcdctl.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use flota_mvcc::Retention;
use flota_store::{Listen, Store, StoreConfig};
use mimalloc::MiMalloc;
use tokio_util::sync::CancellationToken;

/// The allocator of the `flota` program: what is measured here is what runs there.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Serves etcd v3 from a data directory.
#[derive(Parser)]
struct Options {
    /// The data directory; made if missing.
    #[arg(long)]
    data_dir: PathBuf,
    /// Where to listen: http://ADDRESS:PORT and unix://PATH, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2379", value_parser = parse_listen)]
    listen_client_urls: Vec<Listen>,
    /// History younger than so many seconds is kept, as `30s`; without it the store's default.
    #[arg(long, value_parser = parse_seconds)]
    auto_compaction_retention: Option<u64>,
}

fn parse_seconds(text: &str) -> Result<u64, String> {
    let seconds = text.strip_suffix('s').ok_or("it does not end with `s`")?;
    seconds.parse().map_err(|error| format!("`{seconds}`: {error}"))
}

fn parse_listen(url: &str) -> Result<Listen, String> {
    if let Some(path) = url.strip_prefix("unix://") {
        return Ok(Listen::Unix(path.into()));
    }
    let addr =
        url.strip_prefix("http://").ok_or_else(|| format!("`{url}` begins neither with http:// nor with unix://"))?;
    addr.parse().map(Listen::Tcp).map_err(|error| format!("`{addr}`: {error}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = Options::parse();
    let mut config = StoreConfig::new(options.data_dir, options.listen_client_urls);
    if let Some(seconds) = options.auto_compaction_retention {
        config.limits.retention = Retention { age: seconds * 1000, revisions: 0 };
    }
    let store = match Store::open(config).await {
        Ok(store) => store,
        Err(error) => {
            tracing::error!("{error}");
            return Err(error.into());
        }
    };
    for listen in store.addresses() {
        tracing::info!(revision = store.revision(), "listening on {listen}");
    }
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            asked.cancel();
        }
    });
    store.serve(shutdown).await?;
    Ok(())
}
