//! The embedded store of a machine whose cluster was told to be elsewhere: still served where it is the cluster's own.
//!
//! After a move to another store it is closed for writes, and tells machines that were off meanwhile where to go. After a move
//! back it is the cluster's store again, under the address that was named then.

use std::path::PathBuf;

use anyhow::Context;
use etcd_client::proto::{PbRangeRequest, PbRangeResponse};
use flota_registry::{Cluster, ClusterId, Key, codec};
use flota_store::{Listen, Store, StoreConfig};
use tracing::{error, info};

/// Opens the store if it is there and of this cluster. What a machine kept for itself before it joined another cluster stays shut.
pub async fn open(dir: PathBuf, listen: Vec<Listen>, cluster: &ClusterId) -> Option<Store> {
    if !dir.is_dir() {
        return None;
    }
    match try_open(dir, listen, cluster).await {
        Ok(store) => store,
        Err(why) => {
            // This machine's own way to its store does not lead through it, or will say so by itself.
            error!(
                "the embedded store that the cluster left cannot be served to machines that still look there: {why:#}"
            );
            None
        }
    }
}

async fn try_open(dir: PathBuf, listen: Vec<Listen>, cluster: &ClusterId) -> anyhow::Result<Option<Store>> {
    let store = Store::open(StoreConfig::new(dir, listen)).await?;
    let key = Key::Cluster.to_string();
    let range = PbRangeRequest { key: key.clone().into_bytes(), ..PbRangeRequest::default() };
    let upstream = store.upstream();
    let found = upstream.unary::<PbRangeRequest, PbRangeResponse>("/etcdserverpb.KV/Range", range).await;
    let found = found.with_context(|| format!("cannot read {key}"))?.into_inner();
    let own = match found.kvs.first() {
        Some(pair) => codec::decode::<Cluster>(&pair.value).with_context(|| key)?.id == *cluster,
        None => false,
    };
    if own {
        info!("the embedded store at revision {} is served beside the cluster's", store.revision());
    }
    Ok(own.then_some(store))
}
